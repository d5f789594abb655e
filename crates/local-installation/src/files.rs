//! Files with secrets in them, and the secrets.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use rand::RngCore;

/// 32 random hexadecimal digits, usable in URLs as they are.
#[must_use]
pub fn random_secret() -> String {
    let mut bytes = [0; 16];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

/// Writes a file only its owner may read (0600).
///
/// # Errors
/// When it cannot be written.
pub fn write_private(path: &Path, content: impl AsRef<[u8]>) -> anyhow::Result<()> {
    std::fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(content.as_ref()))
        .with_context(|| format!("{} cannot be written", path.display()))
}
