//! What follows when an operation leaves `queued` or `running`, in the transaction in which it does.

use std::time::Duration;

use diesel::PgConnection;

use crate::Result;
use crate::domain::actor::Actor;
use crate::domain::audit::AuditAction;
use crate::domain::identifiers::{RehearsalId, ServiceInstanceId};
use crate::domain::operation::{Failure, Operation, OperationKind};
use crate::domain::reason::ReasonCode;
use crate::domain::rehearsal::Verdict;
use crate::jobs::{self, DeletionStep};
use crate::store::{audit_events, operations, rehearsals, service_instances};

/// An agent that was told to stop needs a moment before its remains can be removed.
const CLEAN_UP_DELAY: Duration = Duration::from_secs(5);

/// What every log line about an operation carries: `operation.name` is the id in the agent's log.
pub(super) fn span(operation: &Operation) -> tracing::Span {
    tracing::info_span!(
        "operation",
        kind = operation.kind.as_str(),
        id = operation.row,
        operation.name = operation.name,
        service_instance.guid = operation.guid,
    )
}

/// Records a failure; partial objects of a dispatched backup are removed by a job, and the next in line is woken.
pub(super) fn fail(conn: &mut PgConnection, operation: &Operation, failure: &Failure) -> Result<()> {
    let leaves_remains = operation.kind == OperationKind::Backup && operation.may_be_at_agent;
    operations::update_failed(conn, operation.kind, operation.row, failure, leaves_remains)?;
    if leaves_remains {
        // A key of its own: a deleter that runs at this moment may have looked already.
        let job = jobs::delete_backups(operation.instance, DeletionStep::Remove)
            .delay(CLEAN_UP_DELAY)
            .unique_key(format!("clean-up-after-backup-{}", operation.row));
        backup_queue::enqueue(conn, &job)?;
    }
    if operation.kind == OperationKind::Rehearsal {
        verdict_of(conn, operation, failure)?;
    }
    let reason = failure.reason.as_str();
    if failure.reason == ReasonCode::Cancelled {
        tracing::info!(reason, "operation ended: {}", failure.msg);
    } else {
        tracing::warn!(reason, "operation failed: {}", failure.msg);
    }
    wake_next(conn, operation.instance)
}

/// A failure that says something about the backup is written down beside it, and in the audit trail: somebody has to look.
fn verdict_of(conn: &mut PgConnection, operation: &Operation, failure: &Failure) -> Result<()> {
    let Some(verdict) = Verdict::of_failure(failure.reason) else { return Ok(()) };
    let rehearsal = RehearsalId(operation.row);
    rehearsals::update_verdict(conn, rehearsal, verdict)?;
    let backup = rehearsals::get(conn, rehearsal)?.backup;
    tracing::error!(backup.id = backup.0, "the backup cannot be relied upon: {}", failure.msg);
    let guid = service_instances::get_by_id(conn, operation.instance)?.guid;
    let subject = Some(format!("backup {backup}, rehearsal {rehearsal}: {}", failure.reason));
    audit_events::insert(conn, &Actor::worker(), AuditAction::VerificationFailed, Some(&guid), subject)
}

/// The next queued operation of the instance need not wait for its timer.
pub(super) fn wake_next(conn: &mut PgConnection, instance: ServiceInstanceId) -> Result<()> {
    if let Some((kind, id)) = operations::find_next_queued(conn, instance)? {
        backup_queue::run_now(conn, &jobs::start_key(kind, id))?;
    }
    Ok(())
}
