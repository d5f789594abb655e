//! The last phase of a deep reconciliation: every stored byte is read and hashed, one backup per step.

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

/// Hashes the next backup. One whose objects are missing is the earlier phases' business.
pub(super) async fn hash_next(manager: &Manager, run: &Reconciliation) -> Result<Option<Step>> {
    let after = BackupId(run.position.parse().unwrap_or_default());
    let only = run.scope.instance.clone();
    let next = move |conn: &mut diesel::PgConnection| {
        reconciliation_facts::find_next_done(conn, after, only.as_ref())
    };
    let Some(row) = manager.database.transaction(next).await? else { return Ok(next_phase(run)) };
    let id = row.id;
    let hashed = match manager.store(&row.place.store) {
        Ok(store) => hash(store, &row).await,
        Err(error) => Err(error),
    };
    // A backup that was deleted meanwhile is nobody's loss.
    let is_done = manager.database.transaction(move |conn| reconciliation_facts::is_done(conn, id)).await?;
    let remarks = match hashed {
        Ok(Some(details)) if is_done => vec![remark(finding(&row, details), None, None)],
        Err(error) if is_done => vec![gap("store", &row.place.to_string(), None, error.chain())],
        Ok(_) | Err(_) => Vec::new(),
    };
    Ok(Some(Step { phase: Phase::Bytes, position: id.to_string(), instances: 0, remarks }))
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

/// What is wrong with the stored bytes; none when all is well, or when the metadata does not even lead to them.
async fn hash(store: &Store, row: &BackupRow) -> Result<Option<String>> {
    let folder = BackupFolder::parse(&row.place.object_prefix, &row.place.backup_id)
        .map_err(|error| Error::Internal(error.to_string()))?;
    if store.size(&folder.metadata()).await?.is_none() {
        return Ok(None);
    }
    let Ok(metadata) = Metadata::parse(&store.get_bytes(&folder.metadata(), LARGEST_METADATA).await?) else {
        return Ok(None);
    };
    let mut whole = Sha256::new();
    for part in &metadata.parts {
        let Ok(path) = folder.part(&part.name) else { return Ok(None) };
        if store.size(&path).await?.is_none() {
            return Ok(None);
        }
        let mut stream = store.get_stream(&path, None).await?;
        let mut own = Sha256::new();
        while let Some(bytes) = stream.next().await? {
            whole.update(&bytes);
            own.update(&bytes);
        }
        let found = hex::encode(own.finalize());
        if found != part.sha256 {
            return Ok(Some(format!("the stored bytes of {} have the SHA-256 {found}", part.name)));
        }
    }
    let found = hex::encode(whole.finalize());
    let is_right = row.checksum.as_deref() == Some(found.as_str());
    Ok((!is_right).then(|| format!("the stored bytes have the SHA-256 {found}")))
}
