//! The data of the service instances: written, changed and compared as a whole. What a fingerprint covers is what a backup
//! must bring back: paths, kinds, permissions and bytes of files; rows of a table.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use private_postgres::Server;
use sha2::{Digest, Sha256};

use crate::dice::Dice;

const DATABASE: &str = "shop";
const FILES: u64 = 6;

/// What one agent backs up.
#[derive(Debug, Clone)]
pub enum Data {
    /// A directory with about so many bytes in it.
    Files {
        /// The directory.
        directory: PathBuf,
        /// Bytes of all files.
        bytes: u64,
    },
    /// A PostgreSQL server with about so many rows in one table.
    Postgres {
        /// The server.
        server: Arc<Server>,
        /// Rows.
        rows: u64,
    },
}

impl Data {
    /// Whether a backup of the one can be restored into the other.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        matches!(
            (self, other),
            (Self::Files { .. }, Self::Files { .. }) | (Self::Postgres { .. }, Self::Postgres { .. })
        )
    }

    /// Replaces everything by what follows from the throws.
    ///
    /// # Errors
    /// When the data service does not take it.
    pub fn rewrite(&self, dice: &mut Dice) -> anyhow::Result<()> {
        match self {
            Self::Files { directory, bytes } => write_files(directory, *bytes, dice),
            Self::Postgres { server, rows } => {
                if server
                    .psql("postgres", &format!("SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"))?
                    .is_empty()
                {
                    server.create_database(DATABASE)?;
                }
                let (salt, rows) = (dice.throw(), dice.between(rows / 2, *rows));
                let sql = format!(
                    "DROP TABLE IF EXISTS orders;
                     CREATE TABLE orders (id bigint PRIMARY KEY, payload text NOT NULL);
                     INSERT INTO orders SELECT n, repeat(md5('{salt}' || n), 4) FROM generate_series(1, {rows}) n;"
                );
                server.psql(DATABASE, &sql).map(drop)
            }
        }
    }

    /// Changes a part.
    ///
    /// # Errors
    /// When the data service does not take it.
    pub fn change(&self, dice: &mut Dice) -> anyhow::Result<()> {
        match self {
            Self::Files { directory, bytes } => {
                let path = directory.join(format!("file-{}", dice.between(0, FILES.saturating_sub(1))));
                let size = dice.between(1, bytes / FILES);
                fs::write(path, noise(size, dice)).context("a file cannot be written")
            }
            Self::Postgres { server, .. } => {
                let salt = dice.throw();
                let sql =
                    format!("UPDATE orders SET payload = md5('{salt}' || id) WHERE id % 7 = {}", salt % 7);
                server.psql(DATABASE, &sql).map(drop)
            }
        }
    }

    /// SHA-256 over all of it.
    ///
    /// # Errors
    /// When it cannot be read, or changes meanwhile.
    pub fn fingerprint(&self) -> anyhow::Result<String> {
        match self {
            Self::Files { directory, .. } => {
                let mut hash = Sha256::new();
                hash_directory(directory, directory, &mut hash)?;
                Ok(hex::encode(hash.finalize()))
            }
            Self::Postgres { server, .. } => server.psql(
                DATABASE,
                "SELECT encode(sha256(convert_to(coalesce(string_agg(id || ':' || payload, ',' ORDER BY id), ''), 'UTF8')), 'hex')
                 FROM orders",
            ),
        }
    }
}

fn write_files(directory: &Path, bytes: u64, dice: &mut Dice) -> anyhow::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(&path)? } else { fs::remove_file(&path)? }
    }
    let folder = directory.join("folder");
    fs::create_dir(&folder)?;
    fs::write(folder.join("words"), "the same word again and again\n".repeat(500))?;
    symlink("words", folder.join("link"))?;
    for number in 0..FILES {
        let path = directory.join(format!("file-{number}"));
        let size = dice.between(1, (bytes / FILES).saturating_mul(2));
        fs::write(&path, noise(size, dice))?;
        let mode = if number % 2 == 0 { 0o640 } else { 0o755 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Bytes that no compression makes smaller.
fn noise(bytes: u64, dice: &mut Dice) -> Vec<u8> {
    let mut noise = Vec::with_capacity(usize::try_from(bytes.saturating_add(8)).unwrap_or(0));
    while u64::try_from(noise.len()).unwrap_or(u64::MAX) < bytes {
        noise.extend_from_slice(&dice.throw().to_le_bytes());
    }
    noise
}

fn hash_directory(root: &Path, directory: &Path, hash: &mut Sha256) -> anyhow::Result<()> {
    let mut paths =
        fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        let found = path.symlink_metadata()?;
        hash.update(path.strip_prefix(root)?.to_string_lossy().as_bytes());
        hash.update(found.permissions().mode().to_le_bytes());
        if found.is_symlink() {
            hash.update(fs::read_link(&path)?.to_string_lossy().as_bytes());
        } else if found.is_dir() {
            hash_directory(root, &path, hash)?;
        } else {
            let content = fs::read(&path)?;
            hash.update(content.len().to_le_bytes());
            hash.update(content);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_sees_every_difference() {
        let folder = tempfile::tempdir().unwrap();
        let data = Data::Files { directory: folder.path().to_owned(), bytes: 60_000 };
        data.rewrite(&mut Dice::new(1)).unwrap();
        let first = data.fingerprint().unwrap();
        assert_eq!(data.fingerprint().unwrap(), first);
        let file = folder.path().join("file-3");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let second = data.fingerprint().unwrap();
        assert_ne!(first, second);
        data.change(&mut Dice::new(3)).unwrap();
        let third = data.fingerprint().unwrap();
        assert_ne!(third, second);
        fs::remove_file(file).unwrap();
        assert_ne!(data.fingerprint().unwrap(), third);
        data.rewrite(&mut Dice::new(1)).unwrap();
        assert_eq!(data.fingerprint().unwrap(), first, "the same throws, the same data");
    }
}
