//! Records the wish to back up all instances: one job, which fans out.

use crate::domain::actor::Actor;
use crate::domain::audit::AuditAction;
use crate::manager::Manager;
use crate::store::audit_events;
use crate::{Result, jobs};

/// Enqueues one `backup_all_job`; while one waits or runs, a second adds nothing.
pub async fn request_backup_all(manager: &Manager, actor: &Actor) -> Result<()> {
    let actor = actor.clone();
    manager
        .database
        .transaction(move |conn| {
            backup_queue::enqueue(conn, &jobs::backup_all())?;
            let subject = Some("every eligible instance".to_owned());
            audit_events::insert(conn, &actor, AuditAction::RequestBackupAll, None, subject)
        })
        .await
}
