//! Certificates, server names and authorities of both clients.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use backup_core::clients::agent::{AgentClient, AgentCredential, AgentEndpoint, AgentError};
use backup_core::clients::{HttpSetupError, TlsOptions};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use secrecy::SecretString;

const INFO: &str = r#"{"agent_version":"1","protocol_versions":[1],"data_service":"files"}"#;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn options(&self, server_name: Option<&str>) -> TlsOptions {
        TlsOptions {
            ca_pem: Some(self.0.pem().into_bytes()),
            server_name: server_name.map(str::to_owned),
            identity_pem: None,
        }
    }

    /// Serves one TLS connection with a certificate for `name`.
    fn serve(&self, name: &str) -> SocketAddr {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut tls = StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream);
            if tls.read(&mut [0; 4096]).is_ok() {
                let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length";
                let _ = write!(tls, "{head}: {}\r\n\r\n{INFO}", INFO.len());
                tls.conn.send_close_notify();
                let _ = tls.flush();
            }
        });
        address
    }
}

async fn ask(options: &TlsOptions, address: SocketAddr) -> Result<(), AgentError> {
    let url = format!("https://{address}").parse().unwrap();
    let agent = AgentEndpoint::new(url, AgentCredential::Bearer(SecretString::from("t")));
    AgentClient::new(options).unwrap().info(&agent).await.map(|_| ())
}

#[tokio::test]
async fn a_certificate_of_the_bundle_for_the_host_is_accepted() {
    let authority = Authority::new();
    ask(&authority.options(None), authority.serve("127.0.0.1")).await.unwrap();
}

#[tokio::test]
async fn a_certificate_for_the_configured_server_name_is_accepted_at_any_address() {
    let authority = Authority::new();
    ask(&authority.options(Some("agent.internal")), authority.serve("agent.internal")).await.unwrap();
}

#[tokio::test]
async fn a_certificate_for_another_name_or_from_another_authority_is_refused() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let refused =
        |result: Result<(), AgentError>| assert!(matches!(result, Err(AgentError::Unreachable { .. })));
    refused(ask(&authority.options(None), authority.serve("agent.internal")).await);
    refused(ask(&authority.options(Some("agent.internal")), authority.serve("127.0.0.1")).await);
    refused(ask(&authority.options(Some("agent.internal")), stranger.serve("agent.internal")).await);
    refused(ask(&authority.options(None), stranger.serve("127.0.0.1")).await);
    refused(ask(&TlsOptions::default(), authority.serve("127.0.0.1")).await);
}

#[test]
fn a_bundle_without_certificate_and_an_impossible_name_stop_the_start() {
    let empty = TlsOptions { ca_pem: Some(b"no pem here".to_vec()), ..TlsOptions::default() };
    assert!(matches!(AgentClient::new(&empty), Err(HttpSetupError::EmptyCaBundle)));
    let named = Authority::new().options(Some("not a name"));
    assert!(matches!(AgentClient::new(&named), Err(HttpSetupError::InvalidServerName(_))));
}
