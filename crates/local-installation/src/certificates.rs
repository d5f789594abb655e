//! A certificate authority for one run, and a certificate of it for 127.0.0.1.

use std::path::{Path, PathBuf};

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

use crate::files::write_private;

/// PEM files of an authority and one server certificate.
#[derive(Debug, Clone)]
pub struct Certificates {
    /// The authority's certificate: what clients trust.
    pub authority: PathBuf,
    /// The server's certificate for `127.0.0.1` and `localhost`.
    pub certificate: PathBuf,
    /// The server's private key.
    pub key: PathBuf,
}

impl Certificates {
    /// Generates both into the folder; the authority's key is thrown away.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn generate(directory: &Path) -> anyhow::Result<Self> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        authority.distinguished_name.push(DnType::CommonName, "local installation, throw-away authority");
        let issuer = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

        let mut server = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])?;
        server.distinguished_name.push(DnType::CommonName, "localhost");
        server.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = server.signed_by(&key, &issuer).context("the certificate cannot be signed")?;

        let files = Self {
            authority: directory.join("ca.pem"),
            certificate: directory.join("server.pem"),
            key: directory.join("server.key"),
        };
        write_private(&files.authority, issuer.pem())?;
        write_private(&files.certificate, certificate.pem())?;
        write_private(&files.key, key.serialize_pem())?;
        Ok(files)
    }
}
