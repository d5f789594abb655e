//! `X-Forwarded-For`, believed and not believed.

use backup_config::ListenSettings;
use backup_core::Policy;
use reqwest::Method;
use serde_json::json;

use crate::app::{App, http, json as read};

async fn address_in_the_audit(trusted: &[&str], forwarded: &str) -> String {
    let trusted_proxies = trusted.iter().map(|network| network.parse().unwrap()).collect();
    let app = App::with(Policy::default(), ListenSettings { trusted_proxies, ..http() }).await;
    app.instance("g-1");
    let request = app.request(Method::POST, "/instances/g-1/backups").json(&json!({}));
    let request = request.header("X-Forwarded-For", forwarded).header("X-Forwarded-Host", "elsewhere");
    read(request.header("X-Forwarded-Proto", "https").send().await.unwrap(), 201).await;
    app.database.value("SELECT address FROM audit_events").unwrap().unwrap()
}

#[tokio::test]
async fn the_audit_names_the_client_behind_trusted_proxies() {
    let proxies = ["127.0.0.0/8", "10.0.0.7/32"];
    assert_eq!(address_in_the_audit(&proxies, "1.1.1.1, 203.0.113.9, 10.0.0.7").await, "203.0.113.9");
}

#[tokio::test]
async fn a_malformed_value_or_a_stranger_changes_nothing() {
    assert_eq!(address_in_the_audit(&["127.0.0.0/8"], "<script>, ;;").await, "127.0.0.1");
    assert_eq!(address_in_the_audit(&[], "203.0.113.9").await, "127.0.0.1");
}
