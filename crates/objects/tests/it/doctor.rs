//! What the doctor says of stores that are ill.

use std::sync::Arc;

use backup_objects::{Examination, Outcome, StoreConfig};
use private_stores::{Azurite, Moto, Proxy, S3Server};
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::places::{open, s3};

async fn examine(config: Value) -> Examination {
    let config: StoreConfig = serde_json::from_value(config).unwrap();
    Examination::of("main", &config).await
}

/// The first step that failed, with what was said.
fn complaint(found: &Examination) -> (&'static str, String, String) {
    let failed = found.steps.iter().find_map(|step| match &step.outcome {
        Outcome::Failed { problem, advice } => Some((step.name, problem.clone(), advice.clone())),
        _ => None,
    });
    failed.unwrap_or_else(|| panic!("it is healthy: {found:#?}"))
}

#[tokio::test]
async fn what_is_wrong_with_an_s3_store_is_said_in_words() {
    let server = S3Server::start().await.unwrap();
    let good = s3(&server.url());
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let cases = [
        ("secret_access_key", json!("wrong"), "signature is wrong", "secret_access_key"),
        ("access_key_id", json!("nobody"), "does not know the access key", "access_key_id"),
        ("endpoint", json!(format!("http://{closed}")), "refuses connections", "firewall"),
        ("endpoint", json!("http://store.invalid"), "host name of the store is not known", "DNS"),
        ("endpoint", json!(server.url().replace("http", "https")), "no secure connection", "scheme"),
    ];
    for (key, value, problem, advice) in cases {
        let mut config = good.clone();
        config[key] = value.clone();
        let found = examine(config).await;
        let (step, said, advised) = complaint(&found);
        assert_eq!(step, "write", "{value}");
        assert!(said.contains(problem), "{key} {value}: {said}");
        assert!(advised.contains(advice), "{key} {value}: {advised}");
        assert_eq!(found.steps.last().unwrap().outcome, Outcome::Skipped);
    }
}

#[tokio::test]
async fn a_missing_bucket_is_not_made() {
    let Some(server) = Moto::start().unwrap() else {
        println!("SKIPPED, missing bucket: moto is not installed; `cargo xtask test` installs it");
        return;
    };
    let (step, said, advice) = complaint(&examine(s3(server.url())).await);
    assert_eq!((step, said.as_str()), ("write", "the bucket or container does not exist"));
    assert!(advice.contains("not created by itself"), "{advice}");
}

#[tokio::test]
async fn what_is_wrong_with_an_azure_store_is_said_in_words() {
    let Some(server) = Azurite::start().unwrap() else {
        println!("SKIPPED, Azure: azurite is not installed; `cargo xtask test` installs it");
        return;
    };
    let good = json!({
        "kind": "azure", "account": Azurite::ACCOUNT, "container": Azurite::CONTAINER,
        "access_key": Azurite::KEY, "endpoint": server.url(), "allow_http": true,
    });
    for (key, value, problem) in [
        ("container", "missing", "bucket or container does not exist"),
        ("access_key", "d3Jvbmc=", "signature is wrong"),
    ] {
        let mut config = good.clone();
        config[key] = json!(value);
        let (step, said, _) = complaint(&examine(config).await);
        assert_eq!(step, "write");
        assert!(said.contains(problem), "{key}: {said}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_directory_is_said_in_words() {
    let missing = examine(json!({"kind": "local", "directory": "/nonexistent/mount"})).await;
    let (step, said, advice) = complaint(&missing);
    assert_eq!((step, said.as_str()), ("open", "the directory does not exist"));
    assert!(advice.contains("mount"), "{advice}");
    // Nobody may write there, not even root.
    let kernel = examine(json!({"kind": "local", "directory": "/proc/sys"})).await;
    assert_eq!(complaint(&kernel).0, "write");
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_named_and_only_then() {
    let server = S3Server::start().await.unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let (acceptor, plain) = (TlsAcceptor::from(Arc::new(tls)), server.address());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut secure = acceptor.accept(socket).await?;
                let mut server = tokio::net::TcpStream::connect(plain).await?;
                tokio::io::copy_bidirectional(&mut secure, &mut server).await
            });
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let authority = directory.path().join("ca.pem");
    std::fs::write(&authority, made.cert.pem()).unwrap();
    let mut config = s3(&format!("https://localhost:{port}"));
    config["ca_path"] = json!(authority);
    config["allow_http"] = json!(false);
    let found = examine(config.clone()).await;
    assert!(found.is_healthy(), "{found:#?}");

    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(&authority, other.cert.pem()).unwrap();
    let (step, said, advice) = complaint(&examine(config).await);
    assert_eq!(step, "write");
    assert!(said.contains("issued by an authority that is not trusted"), "{said}");
    assert!(advice.contains("ca_path"), "{advice}");
}

#[tokio::test]
async fn a_store_that_breaks_off_in_the_middle_fails_one_step_and_the_others_are_done() {
    let server = S3Server::start().await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    proxy.cut_up(&[2_000_000]);
    let found = open(s3(&format!("http://{}", proxy.address()))).examine().await;
    let (step, said, _) = complaint(&found);
    assert_eq!(step, "write in chunks", "{found:#?}");
    assert!(said.contains("connection to the store broke"), "{said}");
    let failed = found.steps.iter().filter(|step| step.outcome != Outcome::Passed).count();
    assert_eq!(failed, 1, "{found:#?}");
    assert_eq!(server.unfinished_pieces().unwrap(), 0);
}
