//! `backupctl stores`.

use serde_json::{Value, json};

use crate::fake::{Answer, Fake};

fn stores() -> Value {
    json!([{"name": "far", "kind": "s3"}, {"name": "near", "kind": "local"}])
}

fn step(name: &str, outcome: &str, problem: Option<&str>) -> Value {
    json!({"name": name, "outcome": outcome, "duration_ms": 12, "problem": problem,
           "advice": problem.map(|_| "Check `endpoint`.")})
}

#[test]
fn stores_are_listed_with_their_kind() {
    let fake = Fake::start(&[("GET /v2/stores", vec![Answer::new(200, stores())])]);
    let ended = fake.run("stores list");
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.contains("far    s3"), "{}", ended.out);
}

#[test]
fn a_store_that_does_not_work_ends_the_check_with_words_and_a_code() {
    let ill = json!({"name": "far", "is_healthy": false, "steps": [
        step("write", "failed", Some("the store refuses connections")), step("read", "skipped", None)]});
    let well = json!({"name": "near", "is_healthy": true, "steps": [step("write", "passed", None)]});
    let fake = Fake::start(&[
        ("GET /v2/stores", vec![Answer::new(200, stores())]),
        ("POST /v2/stores/far/check", vec![Answer::new(200, ill)]),
        ("POST /v2/stores/near/check", vec![Answer::new(200, well)]),
    ]);
    let all = fake.run("stores check");
    assert_eq!(all.code, 1);
    assert!(all.out.contains("the store refuses connections. Check `endpoint`."), "{}", all.out);
    assert!(all.err.contains("not everything works with: far"), "{}", all.err);
    let one = fake.run("--output json stores check near");
    assert_eq!(one.code, 0, "{}", one.err);
    assert_eq!(serde_json::from_str::<Value>(&one.out).unwrap()[0]["is_healthy"], json!(true));
}
