//! Records the wish for a restore: the row and its job in one transaction.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use diesel::PgConnection;

use crate::domain::actor::Actor;
use crate::domain::audit::AuditAction;
use crate::domain::backup::BackupStatus;
use crate::domain::identifiers::{BackupId, RestoreId, ServiceInstanceGuid, ServiceInstanceId};
use crate::domain::instance::ServiceInstance;
use crate::domain::operation::OperationKind;
use crate::domain::pitr::{Window, base_for, promise};
use crate::manager::Manager;
use crate::store::{audit_events, backups, pitr, restores, service_instances};
use crate::{Error, Result, jobs};

/// The instance a backup is loaded into, as clients name it.
#[derive(Debug, Clone)]
pub enum RestoreTarget {
    /// By its GUID.
    Guid(ServiceInstanceGuid),
    /// By its internal number (first generation).
    Number(ServiceInstanceId),
}

/// Whose backup is asked for.
#[derive(Debug, Clone)]
pub enum RestoreSource {
    /// A backup of the target itself.
    Target,
    /// A backup of this instance, which may be deleted.
    Instance(ServiceInstanceGuid),
    /// Whoever owns the backup of this number (first generation).
    Any,
}

/// What is to be restored.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// A backup as it is.
    Backup(BackupId),
    /// What was there at a moment; from this base backup, or the one that serves the moment.
    Moment(DateTime<Utc>, Option<BackupId>),
}

impl From<BackupId> for Wanted {
    fn from(id: BackupId) -> Self {
        Self::Backup(id)
    }
}

/// Records a restore into `target`. Refused unless the backup is `done`, the data services are the
/// same, and no other restore of the target is unfinished. An instance outside of the actor's scope, at either end, is
/// as unknown as one that does not exist.
pub async fn request_restore(
    manager: &Manager,
    actor: &Actor,
    target: RestoreTarget,
    source: RestoreSource,
    wanted: impl Into<Wanted>,
) -> Result<RestoreId> {
    let (settings, actor, wanted) = (manager.settings(), actor.clone(), wanted.into());
    manager
        .database
        .transaction(move |conn| {
            let scope = &actor.scope;
            let target = match &target {
                RestoreTarget::Guid(guid) => service_instances::get_visible(conn, scope, guid)?,
                RestoreTarget::Number(number) => service_instances::get_visible_by_id(conn, scope, *number)?,
            };
            if target.deleted_at.is_some() {
                return Err(Error::InstanceDeleted(target.guid.to_string()));
            }
            let source = match &source {
                RestoreSource::Target => target.clone(),
                RestoreSource::Instance(guid) => service_instances::get_visible(conn, scope, guid)?,
                RestoreSource::Any => {
                    let id = match wanted {
                        Wanted::Backup(id) | Wanted::Moment(_, Some(id)) => id,
                        Wanted::Moment(_, None) => {
                            return Err(Error::Internal("a moment of no instance was asked for".into()));
                        }
                    };
                    let owner = backups::get(conn, id)?.instance;
                    service_instances::get_visible_by_id(conn, scope, owner)
                        .map_err(|error| unknown_backup(error, id))?
                }
            };
            let (id, moment) = match wanted {
                Wanted::Backup(id) => (id, None),
                Wanted::Moment(moment, base) => {
                    let window = serve(conn, &source, moment, base)?;
                    (window.backup, Some((moment, window.last_segment)))
                }
            };
            let backup = backups::find(conn, source.id, id)?.ok_or(Error::BackupNotFound(id))?;
            if backup.status != BackupStatus::Done {
                return Err(Error::BackupNotRestorable { id, status: backup.status.as_str() });
            }
            if source.data_service != target.data_service {
                return Err(Error::DataServiceMismatch {
                    found: source.data_service,
                    wanted: target.data_service,
                });
            }
            let name = format!("{}-restore-{}", target.backup_guid, uuid::Uuid::new_v4());
            let restore = restores::insert(conn, target.id, &backup, &name)?;
            if let Some((moment, last_segment)) = &moment {
                pitr::insert_target(conn, restore, *moment, last_segment)?;
            }
            let job = jobs::start_operation(
                OperationKind::Restore,
                restore.0,
                false,
                Duration::ZERO,
                &settings.policy,
            );
            backup_queue::enqueue(conn, &job)?;
            let action = AuditAction::RequestRestore;
            if source.id == target.id {
                let subject = Some(format!("restore {restore} of backup {id}"));
                audit_events::insert(conn, &actor, action, Some(&target.guid), subject)?;
            } else {
                // Who asks what became of the source's data must find it there, too.
                let subject = Some(format!("restore {restore} of backup {id} of {}", source.guid));
                audit_events::insert(conn, &actor, action, Some(&target.guid), subject)?;
                let subject = Some(format!("restore {restore} of backup {id} into {}", target.guid));
                audit_events::insert(conn, &actor, action, Some(&source.guid), subject)?;
            }
            Ok(restore)
        })
        .await
}

/// The window in which the moment is.
fn serve(
    conn: &mut PgConnection,
    source: &ServiceInstance,
    moment: DateTime<Utc>,
    base: Option<BackupId>,
) -> Result<Window> {
    let mut windows = pitr::list(conn, source.id)?;
    if let Some(base) = base {
        backups::find(conn, source.id, base)?.ok_or(Error::BackupNotFound(base))?;
        windows.retain(|window| window.backup == base);
    }
    let promised = promise(&windows).ok_or_else(|| Error::NoWindow(source.guid.to_string()))?;
    let word = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
    base_for(&windows, moment).cloned().ok_or_else(|| Error::OutsideWindow {
        moment: word(moment),
        start: word(promised.start),
        end: word(promised.end),
    })
}

/// Who asks for a backup by its number alone learns nothing of an owner they must not know.
fn unknown_backup(error: Error, id: BackupId) -> Error {
    match error {
        Error::InstanceNotFound(_) => Error::BackupNotFound(id),
        other => other,
    }
}
