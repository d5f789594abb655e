//! Client certificates: which authorities' are accepted, and whether one is demanded.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio_util::sync::CancellationToken;

use super::certificate::read_chain;
use super::watch::reload_on_change;
use super::{TlsError, install_provider};

/// The authorities of a PEM file; keeps those last read when a new file is unusable.
#[derive(Debug)]
pub struct ClientAuthority {
    path: PathBuf,
    is_required: bool,
    current: RwLock<Arc<dyn ClientCertVerifier>>,
}

impl ClientAuthority {
    /// Lets nobody in without a certificate of one of the authorities.
    pub fn required(path: &Path) -> Result<Arc<Self>, TlsError> {
        Self::load(path, true)
    }

    /// Lets in who has no certificate; one that is shown must be of one of the authorities.
    pub fn optional(path: &Path) -> Result<Arc<Self>, TlsError> {
        Self::load(path, false)
    }

    fn load(path: &Path, is_required: bool) -> Result<Arc<Self>, TlsError> {
        let current = RwLock::new(read(path, is_required)?);
        Ok(Arc::new(Self { path: path.to_owned(), is_required, current }))
    }

    /// Reads the file again.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = read(&self.path, self.is_required)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Reloads whenever the file changes, until the token is cancelled.
    pub async fn watch(self: Arc<Self>, until: CancellationToken) {
        reload_on_change("file of the clients' authorities", &[&self.path], || self.reload(), until).await;
    }

    fn current(&self) -> Arc<dyn ClientCertVerifier> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientCertVerifier for ClientAuthority {
    fn client_auth_mandatory(&self) -> bool {
        self.is_required
    }

    /// None: the names would have to live as long as this value. Clients then show the certificate they have.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.current().verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current().verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current().verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current().supported_verify_schemes()
    }
}

fn read(path: &Path, is_required: bool) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    install_provider();
    let unusable = |source| TlsError::UnusableAuthority { path: path.to_owned(), source };
    let mut roots = RootCertStore::empty();
    for authority in read_chain(path)? {
        roots.add(authority).map_err(unusable)?;
    }
    let builder = WebPkiClientVerifier::builder(Arc::new(roots));
    let builder = if is_required { builder } else { builder.allow_unauthenticated() };
    let verifier = builder.build().map_err(|error| unusable(Error::General(error.to_string())))?;
    Ok(verifier)
}
