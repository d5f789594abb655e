//! The last phase of a deep reconciliation: every stored byte is read and hashed, one part of a backup per step, so that
//! other jobs have their turn within a backup, too. Each part is compared with `metadata.json`, and that with the row.

use backup_objects::{BackupFolder, Metadata, Store};
use sha2::{Digest, Sha256};

use super::{gap, next_phase, remark};
use crate::domain::identifiers::BackupId;
use crate::domain::reconciliation::{BackupRow, Finding, FindingKind, Phase, Reconciliation, Repair};
use crate::manager::Manager;
use crate::store::reconciliation_facts;
use crate::store::reconciliations::Step;
use crate::{Error, Result};

const LARGEST_METADATA: u64 = 16 << 20;

/// Hashes the next part. A backup whose objects are missing is the earlier phases' business. The position is the last backup
/// that is done, or `<backup>/<parts>` while so many parts of one are.
pub(super) async fn hash_next(manager: &Manager, run: &Reconciliation) -> Result<Option<Step>> {
    let (at, parts) = run.position.split_once('/').unwrap_or((&run.position, ""));
    let (at, parts) = (at.parse::<i64>().unwrap_or_default(), parts.parse::<usize>().ok());
    let after = BackupId(if parts.is_some() { at.saturating_sub(1) } else { at });
    let only = run.scope.instance.clone();
    let next = move |conn: &mut diesel::PgConnection| {
        reconciliation_facts::find_next_done(conn, after, only.as_ref())
    };
    let Some(row) = manager.database.transaction(next).await? else { return Ok(next_phase(run)) };
    let id = row.id;
    // Deleted meanwhile, it is another one.
    let parts = parts.filter(|_| id.0 == at).unwrap_or_default();
    let hashed = match manager.store(&row.place.store) {
        Ok(store) => hash(store, &row, parts).await,
        Err(error) => Err(error),
    };
    // A backup that was deleted meanwhile is nobody's loss.
    let is_done = manager.database.transaction(move |conn| reconciliation_facts::is_done(conn, id)).await?;
    let position = match &hashed {
        Ok(Hashed::Good { has_more: true }) => format!("{id}/{}", parts.saturating_add(1)),
        _ => id.to_string(),
    };
    let remarks = match hashed {
        Ok(Hashed::Wrong(details)) if is_done => vec![remark(finding(&row, details), None, None)],
        Err(error) if is_done => vec![gap("store", &row.place.to_string(), None, error.chain())],
        Ok(_) | Err(_) => Vec::new(),
    };
    Ok(Some(Step { phase: Phase::Bytes, position, instances: 0, remarks }))
}

enum Hashed {
    Good {
        has_more: bool,
    },
    Wrong(String),
    /// The metadata does not even lead to the bytes.
    Missing,
}

fn finding(row: &BackupRow, details: String) -> Finding {
    Finding {
        kind: FindingKind::ChecksumMismatch,
        subject: format!("backup {} ({})", row.id, row.place.backup_id),
        details,
        repair: Repair::ByHand,
        proposal: format!(
            "bring the objects back (versions or a replica of the bucket) to {}, or give the backup up: backupctl backups delete GUID {}",
            row.place, row.id
        ),
    }
}

/// Hashes the part behind the first `done` ones.
async fn hash(store: &Store, row: &BackupRow, done: usize) -> Result<Hashed> {
    let folder = BackupFolder::parse(&row.place.object_prefix, &row.place.backup_id)
        .map_err(|error| Error::Internal(error.to_string()))?;
    if store.size(&folder.metadata()).await?.is_none() {
        return Ok(Hashed::Missing);
    }
    let Ok(metadata) = Metadata::parse(&store.get_bytes(&folder.metadata(), LARGEST_METADATA).await?) else {
        return Ok(Hashed::Missing);
    };
    if row.checksum.as_deref() != Some(metadata.checksum.as_str()) {
        return Ok(Hashed::Wrong("its metadata.json has another checksum than the database".to_owned()));
    }
    let Some(part) = metadata.parts.get(done) else { return Ok(Hashed::Good { has_more: false }) };
    let Ok(path) = folder.part(&part.name) else { return Ok(Hashed::Missing) };
    if store.size(&path).await?.is_none() {
        return Ok(Hashed::Missing);
    }
    let mut stream = store.get_stream(&path, None).await?;
    let mut hash = Sha256::new();
    while let Some(bytes) = stream.next().await? {
        hash.update(&bytes);
    }
    let found = hex::encode(hash.finalize());
    Ok(match found == part.sha256 {
        true => Hashed::Good { has_more: done.saturating_add(1) < metadata.parts.len() },
        false => Hashed::Wrong(format!("the stored bytes of {} have the SHA-256 {found}", part.name)),
    })
}
