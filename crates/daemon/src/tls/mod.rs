//! The server side of TLS, 1.2 and 1.3: the server's certificate, and the authorities of its clients', both read again
//! when their files change. Clients configure their trust themselves.

mod certificate;
mod clients;
mod watch;

use std::path::PathBuf;

use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem;

pub use certificate::ServerCertificate;
pub use clients::ClientAuthority;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A PEM file is absent, unreadable or not PEM.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        source: pem::Error,
    },
    /// The certificate file holds no certificate.
    #[error("{0} holds no certificate")]
    NoCertificate(PathBuf),
    /// Certificate and key do not fit together, or the key is of an unknown kind.
    #[error("the certificate {certificate} and the key {key} cannot be used together")]
    Unusable {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
    /// A certificate that shall vouch for others cannot.
    #[error("the authorities in {path} cannot be used")]
    UnusableAuthority {
        /// The file.
        path: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
}

/// Makes aws-lc-rs the process's cryptography, for every rustls user in it. Harmless when called again.
pub fn install_provider() {
    // An error says that a provider is installed already, which is what is wanted.
    let _ = aws_lc_rs::default_provider().install_default();
}
