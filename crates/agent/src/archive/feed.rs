//! The way back: stored segments, fetched one by one, decrypted and checked by their authentication, as a replaying
//! server asks for them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use age::secrecy::SecretString;
use age::{scrypt, x25519};
use backup_objects::{BackupFolder, Store};
use backup_protocol::Encryption;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::upload::{ENDING, IDENTITY};
use crate::drivers::{DriverError, LogFeed};
use crate::pipeline::Failure;

const LARGEST_IDENTITY: u64 = 16 * 1024;
const LARGEST_WORK_FACTOR: u8 = 20;
const LARGEST_SEGMENT: u64 = 80 * 1024 * 1024;

/// The object that says where the window begins.
pub(super) const START: &str = "start.json";

/// What is in [`START`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Start {
    /// The end of the base backup.
    pub(super) start_time: DateTime<Utc>,
    /// The timeline the log is of.
    pub(super) timeline: u32,
}

/// The log stored with a base backup.
pub(crate) struct StoredLog {
    store: Store,
    folder: BackupFolder,
    identity: x25519::Identity,
    names: BTreeSet<String>,
    runtime: tokio::runtime::Handle,
}

impl StoredLog {
    /// Opens the folder's secret key with the backup's own, and lists what is there.
    ///
    /// # Errors
    /// When there is no log, it begins after the moment, or the key does not open it.
    pub(crate) async fn open(
        store: &Store,
        folder: &BackupFolder,
        encryption: &Encryption,
        moment: DateTime<Utc>,
    ) -> Result<Self, Failure> {
        let start = store.get_bytes(&folder.log(START)?, LARGEST_IDENTITY).await?;
        let start: Start = serde_json::from_slice(&start)
            .map_err(|e| Failure::new("store_error", format!("{START} cannot be read: {e}")))?;
        if moment < start.start_time {
            let (moment, start) = (moment.to_rfc3339(), start.start_time.to_rfc3339());
            let message = format!("the moment {moment} is before the end of the base backup, {start}");
            return Err(Failure::new("bad_request", message));
        }
        let sealed = store.get_bytes(&folder.log(IDENTITY)?, LARGEST_IDENTITY).await?;
        let encryption = encryption.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            let broken =
                |e: &dyn std::fmt::Display| Failure::new("decryption_failed", format!("{IDENTITY}: {e}"));
            let mut passphrase = scrypt::Identity::new(SecretString::from(encryption.key));
            passphrase.set_max_work_factor(LARGEST_WORK_FACTOR);
            let identities: [&dyn age::Identity; 1] = [&passphrase];
            let decryptor =
                age::Decryptor::new_buffered(std::io::Cursor::new(sealed)).map_err(|e| broken(&e))?;
            let mut plain = decryptor.decrypt(identities.into_iter()).map_err(|e| broken(&e))?;
            plain.read_to_string(&mut text).map_err(|e| broken(&e))?;
            text.trim().parse::<x25519::Identity>().map_err(|e| broken(&e))
        });
        let identity = opened.await??;
        let below = format!("{}/{}", folder.path(), BackupFolder::LOG);
        let objects = store.list(&below).await?;
        let names = objects.iter().filter_map(|object| object.path.rsplit('/').next()?.strip_suffix(ENDING));
        Ok(Self {
            store: store.clone(),
            folder: folder.clone(),
            identity,
            names: names.map(str::to_owned).collect(),
            runtime: tokio::runtime::Handle::current(),
        })
    }

    fn read(&self, name: &str, target: &Path) -> Result<(), Failure> {
        let path = self.folder.log(&format!("{name}{ENDING}"))?;
        let sealed = self.runtime.block_on(self.store.get_bytes(&path, LARGEST_SEGMENT))?;
        let broken = |e: &dyn std::fmt::Display| {
            Failure::new("decryption_failed", format!("segment {name} of the stored log cannot be read: {e}"))
        };
        let decryptor = age::Decryptor::new_buffered(std::io::Cursor::new(sealed)).map_err(|e| broken(&e))?;
        let identities: [&dyn age::Identity; 1] = [&self.identity];
        let plain = decryptor.decrypt(identities.into_iter()).map_err(|e| broken(&e))?;
        let mut plain = zstd::Decoder::new(plain).map_err(|e| broken(&e))?;
        let mut file = File::create(target).map_err(|e| broken(&e))?;
        std::io::copy(&mut plain, &mut file).map_err(|e| broken(&e)).map(drop)
    }
}

impl LogFeed for StoredLog {
    fn fetch(&self, name: &str, target: &Path) -> Result<bool, DriverError> {
        if !self.names.contains(name) {
            return Ok(false);
        }
        match self.read(name, target) {
            Ok(()) => Ok(true),
            Err(failure) => Err(DriverError::data_service(failure.to_string())),
        }
    }

    fn continues_after(&self, name: &str) -> bool {
        let is_segment = name.len() == 24;
        is_segment
            && self.names.range(name.to_owned()..).any(|found| found.len() == 24 && found.as_str() > name)
    }
}
