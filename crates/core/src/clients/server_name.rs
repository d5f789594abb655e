//! TLS towards hosts whose certificates all carry one agreed name, whatever address they are reached at.
//! Only the name that is compared changes; the chain, the dates and the signature are verified as usual.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use secrecy::{ExposeSecret, SecretString};

use super::http::HttpSetupError;

/// Builds the TLS configuration that trusts `ca_pem` and expects `name` in the certificate.
pub(super) fn client_config(
    ca_pem: &[u8],
    name: &str,
    identity_pem: Option<&SecretString>,
) -> Result<ClientConfig, HttpSetupError> {
    let name = ServerName::try_from(name.to_owned())
        .map_err(|_| HttpSetupError::InvalidServerName(name.to_owned()))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates(ca_pem)? {
        roots.add(certificate)?;
    }
    if roots.is_empty() {
        return Err(HttpSetupError::EmptyCaBundle);
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|error| HttpSetupError::Pem(error.to_string()))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(FixedName { name, verifier }));
    let Some(identity) = identity_pem else {
        return Ok(builder.with_no_client_auth());
    };
    let pem = identity.expose_secret().as_bytes();
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| HttpSetupError::Pem(error.to_string()))?;
    Ok(builder.with_client_auth_cert(certificates(pem)?, key)?)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, HttpSetupError> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| HttpSetupError::Pem(error.to_string()))
}

/// Verifies as the standard verifier does, but compares with a name of its own.
#[derive(Debug)]
struct FixedName {
    name: ServerName<'static>,
    verifier: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for FixedName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verifier.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
