//! Who gets in, and who may do what.

use backup_api::routes;
use reqwest::Method;

use crate::app::{App, PASSWORD, error, json, status};

fn filled(path: &str) -> String {
    path.replace("{instance_id}", "some-guid").replace("{id}", "1").replace("{store}", "local")
}

#[tokio::test]
async fn every_route_but_health_answers_401_without_credentials_and_with_wrong_ones() {
    let app = App::start().await;
    let mut seen = 0;
    for endpoint in routes::protected() {
        for method in endpoint.methods() {
            let method = Method::from_bytes(method.as_str().as_bytes()).unwrap();
            let path = filled(endpoint.path());
            let answer = app.anonymous(method.clone(), &path).send().await.unwrap();
            let challenge = answer.headers()["www-authenticate"].to_str().unwrap().to_owned();
            assert!(challenge.starts_with("Basic realm="), "{challenge}");
            error(answer, 401, "Unauthorized").await;
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
    error(app.anonymous(Method::GET, "/nowhere").send().await.unwrap(), 401, "Unauthorized").await;
    for (name, password) in
        [("admin", "wrong"), ("nobody", PASSWORD), ("", ""), ("admin", ""), ("ADMIN", PASSWORD)]
    {
        let answer =
            app.anonymous(Method::GET, "/instances").basic_auth(name, Some(password)).send().await.unwrap();
        error(answer, 401, "Unauthorized").await;
    }
    for header in ["Basic", "Basic !!!", "Bearer abc", "Basic YWRtaW4=", "basic  ", "Basic /////w=="] {
        let answer =
            app.anonymous(Method::GET, "/instances").header("Authorization", header).send().await.unwrap();
        error(answer, 401, "Unauthorized").await;
    }
}

#[tokio::test]
async fn health_needs_no_credentials() {
    let app = App::start().await;
    let alive = json(app.anonymous(Method::GET, "/livez").send().await.unwrap(), 200).await;
    assert_eq!(alive["status"], "alive");
    json(app.anonymous(Method::GET, "/readyz").send().await.unwrap(), 200).await;
    let healthy = app.anonymous(Method::GET, "/v2/healthy").send().await.unwrap();
    error(healthy, 503, "Unhealthy").await;
}

#[tokio::test]
async fn an_auditor_reads_and_changes_nothing() {
    let app = App::start().await;
    let instance = app.instance("g-1");
    let eve = |method: Method, path: &str| app.anonymous(method, path).basic_auth("eve", Some(PASSWORD));
    assert_eq!(status(&eve(Method::GET, "/instances").send().await.unwrap()), 200);
    assert_eq!(status(&eve(Method::GET, "/instances/g-1/backups").send().await.unwrap()), 200);
    for endpoint in routes::protected() {
        for method in endpoint.methods().iter().filter(|method| *method != "GET") {
            let method = Method::from_bytes(method.as_str().as_bytes()).unwrap();
            let path = endpoint
                .path()
                .replace("{instance_id}", &instance.guid)
                .replace("{id}", "1")
                .replace("{store}", "local");
            error(eve(method, &path).send().await.unwrap(), 403, "Forbidden").await;
        }
    }
    assert_eq!(app.database.value("SELECT count(*) FROM backups").unwrap().unwrap(), "0");
    assert_eq!(app.database.value("SELECT count(*) FROM jobs").unwrap().unwrap(), "0");
}
