//! The agents' side of TLS.

use std::path::Path;

use anyhow::Context;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ServerSessionMemoryCache;

/// Sessions that can be resumed: thousands of agents remember more of them together than one would.
const SESSIONS: usize = 65_536;

/// One certificate for all.
pub(super) fn config(certificate: &Path, key: &Path) -> anyhow::Result<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .context("the certificate cannot be read")?;
    let key = PrivateKeyDer::from_pem_file(key).context("the key cannot be read")?;
    let mut config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
    Ok(config)
}
