//! What may stand below `stores:`, and what is said of anything else. Google's store cannot be tested with a server, so its
//! configuration is tested here alone.

use backup_objects::{Store, StoreConfig};
use serde_json::{Value, json};

fn parse(config: Value) -> Result<StoreConfig, String> {
    serde_json::from_value(config).map_err(|error| error.to_string())
}

fn faults(config: Value) -> Vec<&'static str> {
    parse(config).unwrap().faults().into_iter().map(|fault| fault.key).collect()
}

#[test]
fn every_kind_is_read_and_can_be_opened() {
    let all = [
        json!({"kind": "s3", "bucket": "b"}),
        json!({"kind": "s3", "bucket": "b", "region": "eu-central-1", "access_key_id": "a", "secret_access_key": "s",
               "session_token": "t", "prefix": "x/y"}),
        json!({"kind": "azure", "account": "a", "container": "c"}),
        json!({"kind": "azure", "account": "a", "container": "c", "sas_token": "?sv=2024-11-04&sig=abc%3D"}),
        json!({"kind": "gcs", "bucket": "b", "endpoint": "http://localhost:4443", "allow_http": true}),
    ];
    for config in all {
        let kind = config["kind"].as_str().unwrap().to_owned();
        let config = parse(config).unwrap();
        assert_eq!(config.faults(), []);
        let store = Store::open("main", &config).unwrap();
        assert_eq!(store.kind(), kind);
    }
}

#[test]
fn an_unknown_or_missing_key_is_named() {
    let unknown = parse(json!({"kind": "s3", "bucket": "b", "container": "c"})).unwrap_err();
    assert!(unknown.starts_with("unknown field `container`, expected one of `kind`, `bucket`"), "{unknown}");
    assert!(parse(json!({"kind": "local", "directry": "/x"})).unwrap_err().contains("`directry`"));
    assert!(parse(json!({"kind": "gcs"})).unwrap_err().contains("missing field `bucket`"));
    assert!(parse(json!({"directory": "/x"})).unwrap_err().contains("missing field `kind`"));
    assert!(parse(json!({"kind": "ftp"})).unwrap_err().contains("unknown variant `ftp`"));
}

#[test]
fn values_that_do_not_fit_are_found_without_asking_anybody() {
    let s3 = |key: &str, value: Value| {
        let mut config = json!({"kind": "s3", "bucket": "b"});
        config[key] = value;
        faults(config)
    };
    assert_eq!(s3("bucket", json!("https://x")), ["bucket"]);
    assert_eq!(s3("prefix", json!("a/../b")), ["prefix"]);
    assert_eq!(s3("endpoint", json!("localhost:9000")), ["endpoint"]);
    assert_eq!(s3("endpoint", json!("http://localhost:9000")), ["endpoint"]);
    assert_eq!(s3("endpoint", json!("https://user:password@localhost")), ["endpoint"]);
    assert_eq!(s3("access_key_id", json!("a")), ["secret_access_key"]);
    assert_eq!(s3("secret_access_key", json!("s")), ["access_key_id"]);
    assert_eq!(s3("session_token", json!("t")), ["session_token"]);
    let both =
        json!({"kind": "azure", "account": "a", "container": "c", "access_key": "k", "sas_token": "t"});
    assert_eq!(faults(both), ["sas_token"]);
}

#[test]
fn no_secret_is_shown_by_debug_or_by_an_error() {
    let s3 = json!({"kind": "s3", "bucket": "b", "access_key_id": "a", "secret_access_key": "s3cr3t",
                    "session_token": "s3cr3t"});
    let azure = json!({"kind": "azure", "account": "a", "container": "c", "access_key": "s3cr3t!"});
    let sas = json!({"kind": "azure", "account": "a", "container": "c", "sas_token": "s3cr3t"});
    for config in [s3, azure, sas] {
        let config = parse(config).unwrap();
        let opened = Store::open("main", &config);
        let shown = format!(
            "{config:?} {opened:?} {}",
            opened.as_ref().err().map(ToString::to_string).unwrap_or_default()
        );
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }
}

#[test]
fn files_that_are_named_must_be_there() {
    let ca = json!({"kind": "s3", "bucket": "b", "ca_path": "/nonexistent/ca.pem"});
    let error = Store::open("main", &parse(ca).unwrap()).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/ca.pem"), "{error}");
    let account = json!({"kind": "gcs", "bucket": "b", "service_account_path": "/nonexistent/key.json"});
    let error = Store::open("main", &parse(account).unwrap()).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/key.json"), "{error}");
}
