//! HTTP and HTTPS together or alone.

use backup_api::StartError;
use backup_config::ListenSettings;
use backup_core::Policy;
use reqwest::{Certificate, Client};
use tempfile::TempDir;

use crate::app::{App, PASSWORD, http, json};

fn certificate() -> (TempDir, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(directory.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    (directory, made.cert.pem())
}

fn https(directory: &TempDir) -> ListenSettings {
    ListenSettings {
        https: Some(([127, 0, 0, 1], 0).into()),
        certificate_path: Some(directory.path().join("cert.pem")),
        key_path: Some(directory.path().join("key.pem")),
        ..http()
    }
}

#[tokio::test]
async fn http_and_https_answer_together() {
    let (directory, pem) = certificate();
    let app = App::with(Policy::default(), https(&directory)).await;
    let trust = Certificate::from_pem(pem.as_bytes()).unwrap();
    for version in [reqwest::tls::Version::TLS_1_2, reqwest::tls::Version::TLS_1_3] {
        let client = Client::builder()
            .tls_certs_only([trust.clone()])
            .tls_version_min(version)
            .tls_version_max(version)
            .build()
            .unwrap();
        let url = format!("https://localhost:{}/instances", app.running.https.unwrap().port());
        json(client.get(&url).basic_auth("admin", Some(PASSWORD)).send().await.unwrap(), 200).await;
        assert_eq!(client.get(&url).send().await.unwrap().status(), 401);
    }
    json(app.get("/instances").await, 200).await;
}

#[tokio::test]
async fn http_can_be_switched_off() {
    let (directory, _) = certificate();
    let app = App::with(Policy::default(), ListenSettings { http: None, ..https(&directory) }).await;
    assert!(app.running.http.is_none());
    assert!(app.running.https.is_some());
}

#[tokio::test]
async fn https_without_a_certificate_does_not_start() {
    let database = backup_testkit::Database::create().unwrap();
    let store = tempfile::tempdir().unwrap();
    let listen = ListenSettings { https: Some(([127, 0, 0, 1], 0).into()), ..http() };
    let manager = crate::app::manager(&database, store.path(), Policy::default());
    let outcome = backup_api::start(manager, &crate::app::auth(), &listen).await;
    assert!(matches!(outcome, Err(StartError::NoCertificate)));
}

#[tokio::test]
async fn a_stopped_server_lets_running_answers_end() {
    let app = App::start().await;
    json(app.get("/instances").await, 200).await;
    let url = app.url("/instances");
    app.running.stop().await;
    assert!(app.client.get(url).send().await.is_err());
}
