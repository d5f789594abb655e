//! Somebody holds a backup: from then on no deletion touches it, whoever asks for it.

use chrono::{DateTime, Utc};

use crate::domain::actor::Actor;
use crate::domain::audit::AuditAction;
use crate::domain::hold::{Hold, LONGEST_REASON, is_reason};
use crate::domain::identifiers::{BackupId, ServiceInstanceGuid};
use crate::manager::Manager;
use crate::store::holds::{self, NewHold};
use crate::store::{self, audit_events, backups, service_instances};
use crate::{Error, Result};

/// Places a hold on a good backup, or replaces the one there is, until `until` or until it is released. Refused once
/// the removal has begun. Owners cannot replace an operator's hold. Saying the same again changes nothing.
pub async fn hold_backup(
    manager: &Manager,
    actor: &Actor,
    guid: &ServiceInstanceGuid,
    id: BackupId,
    reason: String,
    until: Option<DateTime<Utc>>,
) -> Result<Hold> {
    if !is_reason(&reason) {
        return Err(Error::Invalid {
            field: "reason",
            found: "a text that says nothing, is too long or has line breaks".to_owned(),
            allowed: format!("1 to {LONGEST_REASON} characters on one line"),
        });
    }
    let (actor, guid) = (actor.clone(), guid.clone());
    let new = NewHold { reason, by: actor.name.clone(), is_operators: actor.sees_everything(), until };
    manager
        .database
        .transaction(move |conn| {
            let instance = service_instances::get_visible(conn, &actor.scope, &guid)?;
            // The deleter decides under this lock.
            service_instances::lock(conn, instance.id)?;
            let backup = backups::find(conn, instance.id, id)?.ok_or(Error::BackupNotFound(id))?;
            check_until(until, store::now(conn)?)?;
            if !backup.is_holdable() {
                return Err(Error::NotHoldable(id));
            }
            if let Some(hold) = backup.hold {
                if hold.is_operators && !new.is_operators {
                    return Err(Error::HoldOfOperators(id));
                }
                if is_same(&hold, &new) {
                    return Ok(hold);
                }
            }
            holds::upsert(conn, id, &new)?;
            let hold =
                backups::get(conn, id)?.hold.ok_or_else(|| Error::Internal("a hold is gone".into()))?;
            let subject = Some(format!("backup {id}: {hold}"));
            audit_events::insert(conn, &actor, AuditAction::HoldBackup, Some(&guid), subject)?;
            Ok(hold)
        })
        .await
}

fn check_until(until: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<()> {
    match until {
        Some(until) if until <= now => Err(Error::Invalid {
            field: "until",
            found: until.to_rfc3339(),
            allowed: "a time in the future".to_owned(),
        }),
        _ => Ok(()),
    }
}

fn is_same(hold: &Hold, new: &NewHold) -> bool {
    (&hold.reason, &hold.by, hold.is_operators, hold.until)
        == (&new.reason, &new.by, new.is_operators, new.until)
}
