//! HTTP and HTTPS together or alone.

use backup_api::StartError;
use std::path::Path;
use std::time::Duration;

use backup_config::{ClientCertificates, ListenSettings};
use backup_core::Policy;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::{Certificate, Client, Identity};
use tempfile::TempDir;

use crate::app::{App, PASSWORD, http, json};

fn certificate() -> (TempDir, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(directory.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    (directory, made.cert.pem())
}

/// An authority, and the certificate and key of a client of it.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn client(&self) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["client".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity::from_pem(format!("{}{}", certificate.pem(), key.serialize_pem()).as_bytes()).unwrap()
    }

    fn write(&self, directory: &TempDir) -> std::path::PathBuf {
        let path = directory.path().join("clients.pem");
        std::fs::write(&path, self.0.pem()).unwrap();
        path
    }
}

/// Asks `/livez` over HTTPS, over a connection of its own.
async fn livez(app: &App, pem: &str, identity: Option<Identity>) -> reqwest::Result<u16> {
    let client = Client::builder().tls_certs_only([Certificate::from_pem(pem.as_bytes()).unwrap()]);
    let client = match identity {
        Some(identity) => client.identity(identity),
        None => client,
    };
    let url = format!("https://localhost:{}/livez", app.running.https.unwrap().port());
    Ok(client.build().unwrap().get(url).send().await?.status().as_u16())
}

fn replace(directory: &TempDir, certificate: &str, key: &str) {
    let write = |name: &str, text: &str| {
        let fresh = directory.path().join("fresh");
        std::fs::write(&fresh, text).unwrap();
        std::fs::rename(fresh, Path::new(directory.path()).join(name)).unwrap();
    };
    write("cert.pem", certificate);
    write("key.pem", key);
}

async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap_or_else(|_| panic!("{what}"));
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

#[tokio::test]
async fn a_new_certificate_is_served_to_new_connections_while_old_ones_go_on() {
    let (directory, first) = certificate();
    let app = App::with(Policy::default(), https(&directory)).await;
    let trust = Certificate::from_pem(first.as_bytes()).unwrap();
    let old = Client::builder().tls_certs_only([trust]).build().unwrap();
    let url = format!("https://localhost:{}/livez", app.running.https.unwrap().port());
    // The client trusts the first certificate only: its later requests succeed only over this connection.
    assert_eq!(old.get(&url).send().await.unwrap().status(), 200);
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let second = made.cert.pem();
    replace(&directory, &second, &made.signing_key.serialize_pem());
    eventually("the new certificate is served", async || livez(&app, &second, None).await.is_ok()).await;
    assert!(livez(&app, &first, None).await.is_err());
    assert_eq!(old.get(&url).send().await.unwrap().status(), 200);
    replace(&directory, "no certificate", "no key");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(livez(&app, &second, None).await.unwrap(), 200, "the last good one stays");
    assert_eq!(old.get(&url).send().await.unwrap().status(), 200);
    replace(&directory, &second, &made.signing_key.serialize_pem());
    assert_eq!(livez(&app, &second, None).await.unwrap(), 200);
}

#[tokio::test]
async fn required_client_certificates_are_of_the_configured_authority_and_follow_its_file() {
    let (directory, pem) = certificate();
    let (ours, foreign) = (Authority::new(), Authority::new());
    let listen = ListenSettings { client_ca_path: Some(ours.write(&directory)), ..https(&directory) };
    let app = App::with(Policy::default(), listen).await;
    assert_eq!(livez(&app, &pem, Some(ours.client())).await.unwrap(), 200);
    assert!(livez(&app, &pem, Some(foreign.client())).await.is_err());
    assert!(livez(&app, &pem, None).await.is_err());
    foreign.write(&directory);
    let is_let_in = async || livez(&app, &pem, Some(foreign.client())).await.is_ok();
    eventually("the new authority counts", is_let_in).await;
    assert!(livez(&app, &pem, Some(ours.client())).await.is_err());
}

#[tokio::test]
async fn optional_client_certificates_may_be_absent_but_not_foreign() {
    let (directory, pem) = certificate();
    let (ours, foreign) = (Authority::new(), Authority::new());
    let listen = ListenSettings {
        client_ca_path: Some(ours.write(&directory)),
        client_certificates: ClientCertificates::Optional,
        ..https(&directory)
    };
    let app = App::with(Policy::default(), listen).await;
    assert_eq!(livez(&app, &pem, Some(ours.client())).await.unwrap(), 200);
    assert_eq!(livez(&app, &pem, None).await.unwrap(), 200);
    assert!(livez(&app, &pem, Some(foreign.client())).await.is_err());
}
