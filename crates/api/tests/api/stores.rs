//! The stores and the doctor.

use serde_json::json;

use crate::app::{App, assert_fields, error, json as read};

#[tokio::test]
async fn stores_are_listed_and_examined() {
    let app = App::start().await;
    let stores = read(app.get("/v2/stores").await, 200).await;
    assert_eq!(stores, json!([{"name": "local", "kind": "local"}]));
    let found = read(app.post("/v2/stores/local/check", json!({})).await, 200).await;
    assert_fields(&found, &["name", "is_healthy", "steps"]);
    assert_eq!((&found["name"], &found["is_healthy"]), (&json!("local"), &json!(true)), "{found}");
    let steps = found["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 8);
    for step in steps {
        assert_fields(step, &["name", "outcome", "duration_ms", "problem", "advice"]);
        assert_eq!(step["outcome"], "passed", "{step}");
    }
    let said = error(app.post("/v2/stores/other/check", json!({})).await, 404, "NotFound").await;
    assert!(said.to_string().contains("No configured store"), "{said}");
}
