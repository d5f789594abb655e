//! The limit of failed logins per address.

use backup_config::ListenSettings;
use backup_core::Policy;
use reqwest::Method;

use crate::app::{App, PASSWORD, error, http, json};

#[tokio::test]
async fn after_ten_failures_an_address_waits_but_what_was_right_before_still_works() {
    let listen = ListenSettings { trusted_proxies: vec!["127.0.0.1/32".parse().unwrap()], ..http() };
    let app = App::with(Policy::default(), listen).await;
    let login = async |from: &str, name: &str, password: &str| {
        let request = app.anonymous(Method::GET, "/instances").header("X-Forwarded-For", from);
        request.basic_auth(name, Some(password)).send().await.unwrap()
    };
    json(login("192.0.2.1", "admin", PASSWORD).await, 200).await;
    for count in 0..10 {
        error(login("192.0.2.1", "admin", &format!("guess {count}")).await, 401, "Unauthorized").await;
    }
    let refused = login("192.0.2.1", "admin", "guess").await;
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    error(refused, 429, "TooManyRequests").await;
    // Right, but never seen here before: it could be the guess that fits.
    error(login("192.0.2.1", "eve", PASSWORD).await, 429, "TooManyRequests").await;
    json(login("192.0.2.1", "admin", PASSWORD).await, 200).await;
    json(login("192.0.2.2", "eve", PASSWORD).await, 200).await;
}

#[tokio::test]
async fn what_is_no_login_is_not_counted() {
    let app = App::start().await;
    for _ in 0..15 {
        error(app.anonymous(Method::GET, "/instances").send().await.unwrap(), 401, "Unauthorized").await;
        let unknown = app.anonymous(Method::GET, "/instances").header("Authorization", "Digest a=b");
        error(unknown.send().await.unwrap(), 401, "Unauthorized").await;
    }
    json(app.get("/instances").await, 200).await;
}
