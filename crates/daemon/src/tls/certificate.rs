//! The server's certificate chain and key from PEM files.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;

use super::watch::reload_on_change;
use super::{ClientAuthority, TlsError, install_provider};

/// A certificate with its key, as files; keeps serving the last good pair when new files are unusable.
#[derive(Debug)]
pub struct ServerCertificate {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
}

impl ServerCertificate {
    /// Reads both files.
    pub fn load(certificate: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        let current = RwLock::new(Arc::new(read(certificate, key)?));
        Ok(Arc::new(Self { certificate: certificate.to_owned(), key: key.to_owned(), current }))
    }

    /// A server's TLS configuration (1.2 and 1.3, no client certificates) with this certificate.
    pub fn server_config(self: &Arc<Self>) -> ServerConfig {
        install_provider();
        let resolver: Arc<dyn ResolvesServerCert> = self.clone();
        ServerConfig::builder().with_no_client_auth().with_cert_resolver(resolver)
    }

    /// Reads the files again.
    pub fn reload(&self) -> Result<(), TlsError> {
        let fresh = Arc::new(read(&self.certificate, &self.key)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// Like [`Self::server_config`], but asks clients for certificates of these authorities. Sessions are not resumed,
    /// because a resumed one would not be checked against the authorities that count now.
    pub fn server_config_for(self: &Arc<Self>, clients: &Arc<ClientAuthority>) -> ServerConfig {
        install_provider();
        let resolver: Arc<dyn ResolvesServerCert> = self.clone();
        let mut config =
            ServerConfig::builder().with_client_cert_verifier(clients.clone()).with_cert_resolver(resolver);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config
    }

    /// Reloads whenever one of the files changes, until the token is cancelled.
    pub async fn watch(self: Arc<Self>, until: CancellationToken) {
        let files = [self.certificate.as_path(), self.key.as_path()];
        reload_on_change("certificate", &files, || self.reload(), until).await;
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let unreadable = |source| TlsError::Unreadable { path: key.to_owned(), source };
    let chain = read_chain(certificate)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(unreadable)?;
    let provider: CryptoProvider = aws_lc_rs::default_provider();
    CertifiedKey::from_der(chain, private, &provider).map_err(|source| TlsError::Unusable {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    })
}

/// Reads all certificates of a PEM file; at least one.
pub(super) fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })?;
    if chain.is_empty() { Err(TlsError::NoCertificate(path.to_owned())) } else { Ok(chain) }
}
