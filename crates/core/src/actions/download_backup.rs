//! Opens the stored bytes of a downloadable backup.

use backup_objects::{BackupFolder, Store};

use crate::domain::actor::Actor;
use crate::domain::audit::AuditAction;
use crate::domain::backup::Backup;
use crate::domain::identifiers::{BackupId, ServiceInstanceGuid};
use crate::manager::Manager;
use crate::store::{audit_events, backups, service_instances};
use crate::{Error, Result};

/// A backup's objects, in the order in which they make up the stored bytes. Holds no database connection.
#[derive(Debug, Clone)]
pub struct Download {
    /// What is downloaded.
    pub backup: Backup,
    /// Where the objects are.
    pub store: Store,
    /// Path and size of each part, in order.
    pub parts: Vec<(String, u64)>,
}

/// Checks that the backup may be downloaded and finds its parts. It is recorded if `is_read`.
pub async fn download_backup(
    manager: &Manager,
    actor: &Actor,
    guid: &ServiceInstanceGuid,
    id: BackupId,
    is_read: bool,
) -> Result<Download> {
    let (owner, actor, is_allowed) = (guid.clone(), actor.clone(), manager.policy().allow_backup_download);
    let backup = manager
        .database
        .transaction(move |conn| {
            let instance = service_instances::get_visible(conn, &actor.scope, &owner)?;
            let backup = backups::find(conn, instance.id, id)?.ok_or(Error::BackupNotFound(id))?;
            if !(is_allowed && backup.is_downloadable()) {
                return Err(Error::NotDownloadable(id));
            }
            // A client may read in as many small ranges as it likes; the audit trail is kept for ever.
            let (action, subject) = (AuditAction::DownloadBackup, format!("backup {id}"));
            if is_read && !audit_events::is_of_last_minute(conn, &actor, action, &owner, &subject)? {
                audit_events::insert(conn, &actor, action, Some(&owner), Some(subject))?;
            }
            Ok(backup)
        })
        .await?;
    let store = manager.store(&backup.store)?.clone();
    let folder = BackupFolder::parse(&backup.object_prefix, &backup.backup_id)
        .map_err(|error| Error::Internal(error.to_string()))?;
    // The folder holds more than the parts: the metadata, and whatever an agent needs there.
    let part = format!("{}/data.", folder.path());
    let mut parts: Vec<_> = store
        .list(folder.path())
        .await?
        .into_iter()
        .filter(|object| object.path.starts_with(&part))
        .map(|object| (object.path, object.size))
        .collect();
    // Longer numbers come after shorter ones: data.99999, data.100000.
    parts.sort_by(|(a, _), (b, _)| (a.len(), a).cmp(&(b.len(), b)));
    Ok(Download { backup, store, parts })
}
