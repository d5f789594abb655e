//! A request to start something, checked field by field before anything is recorded.

use backup_objects::{BackupFolder, Store};
use backup_protocol::{CompressionScheme, POSTGRESQL_WAL, StartBackup, StartRehearsal, StartRestore};
use chrono::{DateTime, Utc};

use super::entry::Kind;
use super::refusal::Refused;
use super::registry::Settings;

const SMALLEST_PART: u64 = 1024;

/// The three requests.
#[derive(Debug, Clone)]
pub(crate) enum Start {
    /// `PUT /v1/backups/{id}`.
    Backup(StartBackup),
    /// `PUT /v1/restores/{id}`.
    Restore(StartRestore),
    /// `PUT /v1/rehearsals/{id}`.
    Rehearsal(StartRehearsal),
}

/// Where the backup of a checked request is.
pub(super) struct Place {
    pub(super) store: Store,
    pub(super) folder: BackupFolder,
}

impl Start {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Backup(_) => Kind::Backup,
            Self::Restore(_) => Kind::Restore,
            Self::Rehearsal(_) => Kind::Rehearsal,
        }
    }

    pub(super) fn epoch(&self) -> i64 {
        match self {
            Self::Backup(body) => body.epoch,
            Self::Restore(body) => body.epoch,
            Self::Rehearsal(body) => body.epoch,
        }
    }

    pub(super) fn deadline(&self) -> DateTime<Utc> {
        match self {
            Self::Backup(body) => body.deadline,
            Self::Restore(body) => body.deadline,
            Self::Rehearsal(body) => body.deadline,
        }
    }

    /// Checks everything but the id, which is checked before anything is looked up.
    pub(super) fn check(&self, id: &str, settings: &Settings, now: DateTime<Utc>) -> Result<Place, Refused> {
        let (store, prefix, backup_id, encryption) = match self {
            Self::Backup(body) => (&body.store, &body.object_prefix, id, &body.encryption),
            Self::Restore(body) => {
                (&body.store, &body.object_prefix, body.backup_id.as_str(), &body.encryption)
            }
            Self::Rehearsal(body) => {
                (&body.store, &body.object_prefix, body.backup_id.as_str(), &body.encryption)
            }
        };
        let found = settings.stores.get(store);
        let found = found.ok_or_else(|| Refused::bad("store", format!("the agent has no store {store}")))?;
        let named = if self.kind() == Kind::Backup { "id" } else { "backup_id" };
        BackupFolder::parse("x", backup_id).map_err(|e| Refused::bad(named, e.to_string()))?;
        let folder = BackupFolder::parse(prefix, backup_id);
        let folder = folder.map_err(|e| Refused::bad("object_prefix", e.to_string()))?;
        if encryption.key.is_empty() {
            return Err(Refused::bad("encryption.key", "must not be empty"));
        }
        if self.deadline() <= now {
            return Err(Refused::bad("deadline", "has passed already by the agent's clock"));
        }
        match self {
            Self::Backup(body) => check_backup(body, settings)?,
            Self::Restore(body) => check_checksum(&body.checksum)?,
            Self::Rehearsal(_) if !settings.driver.can_rehearse() => {
                let reason = format!("a backup of {} cannot be rehearsed", settings.driver.name());
                return Err(Refused::bad("driver", reason));
            }
            Self::Rehearsal(body) => check_checksum(&body.checksum)?,
        }
        Ok(Place { store: found.clone(), folder })
    }
}

fn check_backup(body: &StartBackup, settings: &Settings) -> Result<(), Refused> {
    if let Some(asked) = &body.backup_type
        && (asked != POSTGRESQL_WAL || settings.archive.is_none())
    {
        return Err(Refused::bad("backup_type", format!("this agent makes no backups of the type {asked}")));
    }
    let highest = match body.compression.scheme {
        // Levels above need hundreds of megabytes.
        CompressionScheme::Zstd => 19,
        CompressionScheme::Gzip => 9,
    };
    if !(1..=highest).contains(&body.compression.level) {
        return Err(Refused::bad("compression.level", format!("must be 1 to {highest}")));
    }
    if body.part_size_limit < SMALLEST_PART {
        return Err(Refused::bad("part_size_limit", "must be at least 1024"));
    }
    if body.rate_limit_bytes_per_second == Some(0) {
        return Err(Refused::bad("rate_limit_bytes_per_second", "must be above 0 or absent"));
    }
    Ok(())
}

fn check_checksum(checksum: &str) -> Result<(), Refused> {
    let is_digest = checksum.len() == 64 && checksum.bytes().all(|b| b.is_ascii_hexdigit());
    match is_digest {
        true => Ok(()),
        false => Err(Refused::bad("checksum", "must be a SHA-256 in hexadecimal")),
    }
}
