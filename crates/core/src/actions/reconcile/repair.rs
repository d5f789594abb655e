//! Carries out what a finding proposes, where that loses nothing. Of what has no row, a whole backup is never removed: right
//! before a removal the folder is looked at once more, and then the database. What lies where a *failed* backup should have
//! left nothing is given to the deleter, which removes it whatever it has become since it was looked at.

use backup_protocol::StopOrder;
use backup_queue::Lease;
use chrono::{DateTime, Utc};

use super::gather::folder_at;
use super::within_lease;
use crate::actions::adopt_backup::{Adoption, adopt, examine};
use crate::actions::adopt_operations::adopt_operations;
use crate::actions::agent_endpoint::agent_of;
use crate::actions::deletion::remove_orphan;
use crate::domain::actor::Actor;
use crate::domain::audit::AuditAction;
use crate::domain::deletion::{OrphanFacts, ask_for_orphan};
use crate::domain::instance::ServiceInstance;
use crate::domain::reconciliation::{Content, Finding, Grace, Place, Repair};
use crate::jobs::{self, DeletionStep};
use crate::manager::Manager;
use crate::store::{self, audit_events, reconciliation_facts};
use crate::{Error, Result};

/// What every repair of a run keeps to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) grace: Grace,
    /// When the run was asked for: what a broker said before is not believed.
    pub(super) since: DateTime<Utc>,
}

/// Says what became of it; none when there was nothing to do automatically. Only a lost lease or database ends the work.
pub(super) async fn carry_out(
    manager: &Manager,
    lease: &Lease,
    instance: Option<&ServiceInstance>,
    finding: &Finding,
    terms: Terms,
) -> Result<Option<String>> {
    // A worker that was overtaken must not repair what its successor has judged anew.
    within_lease(manager, lease, |_| Ok(())).await?;
    let done = match &finding.repair {
        Repair::ByHand => return Ok(None),
        Repair::RemoveRemainsLater => {
            Ok("not yet: it is not old enough, or the agent cannot be asked".to_owned())
        }
        Repair::Adopt(place) => adopt_place(manager, lease, place, terms.since).await,
        Repair::RemoveRemains(place) => {
            let grace = if instance.is_some() { terms.grace } else { terms.grace.of_no_instance() };
            remove_remains(manager, lease, place, grace).await
        }
        Repair::CleanUp(_) | Repair::StopOperation(..) | Repair::EnqueueJobs => {
            at_instance(manager, lease, instance, &finding.repair).await
        }
    };
    match done {
        Ok(outcome) => {
            record(manager, lease, instance, finding, &outcome).await?;
            Ok(Some(outcome))
        }
        Err(error @ (Error::LeaseLost | Error::DatabaseUnavailable(_))) => Err(error),
        Err(error) => Ok(Some(format!("failed: {}", error.chain()))),
    }
}

async fn at_instance(
    manager: &Manager,
    lease: &Lease,
    instance: Option<&ServiceInstance>,
    repair: &Repair,
) -> Result<String> {
    let instance = instance.ok_or_else(|| Error::Internal("a repair without its instance".into()))?;
    match repair {
        Repair::StopOperation(kind, name) => {
            let agent = agent_of(&manager.settings(), instance)?;
            let stopped = agent.client.cancel(&agent.endpoint, *kind, name, StopOrder::default()).await?;
            let state = stopped.map(|status| status.state);
            Ok(match state {
                Some(backup_protocol::OperationState::Running) => "the agent was told to stop".to_owned(),
                _ => "the agent has stopped".to_owned(),
            })
        }
        Repair::CleanUp(id) => {
            let (id, instance) = (*id, instance.id);
            let is_given = within_lease(manager, lease, move |conn| {
                let is_failed = reconciliation_facts::update_has_remains(conn, id)?;
                let job = jobs::delete_backups(instance, DeletionStep::Remove)
                    .unique_key(format!("clean-up-after-backup-{id}"));
                backup_queue::enqueue(conn, &job)?;
                Ok(is_failed)
            })
            .await?;
            Ok(if is_given { "given to the deleter" } else { "it is not failed any more" }.to_owned())
        }
        _ => Ok(format!("{} jobs enqueued", adopt_operations(manager).await?)),
    }
}

async fn adopt_place(
    manager: &Manager,
    lease: &Lease,
    place: &Place,
    since: DateTime<Utc>,
) -> Result<String> {
    let found = match examine(manager, &place.store, &place.object_prefix, &place.backup_id).await? {
        Ok(found) => found,
        Err(obstacle) => return Ok(format!("not adopted: {}", obstacle.detail)),
    };
    let settings = manager.settings();
    let adoption = within_lease(manager, lease, move |conn| adopt(conn, &settings, &found, since)).await?;
    Ok(match adoption {
        Adoption::Adopted(id) => format!("adopted as backup {id}"),
        Adoption::Known => "it has a row already".to_owned(),
        Adoption::Refused(obstacle) => format!("not adopted: {}", obstacle.detail),
    })
}

async fn remove_remains(manager: &Manager, lease: &Lease, place: &Place, grace: Grace) -> Result<String> {
    let store = manager.store(&place.store)?;
    let Some(folder) = folder_at(store, place).await? else {
        return Ok("it is gone already".to_owned());
    };
    // After the listing, which may take its time: whoever has got a row or the lease meanwhile is in the right.
    let name = place.backup_id.clone();
    let (is_known, now) = within_lease(manager, lease, move |conn| {
        Ok((reconciliation_facts::is_known(conn, &name)?, store::now(conn)?))
    })
    .await?;
    let facts = OrphanFacts {
        has_row: is_known,
        is_partial: folder.content == Content::Partial,
        newest_at: folder.newest_at,
    };
    let path = format!("{}/{}", place.object_prefix, place.backup_id);
    match ask_for_orphan(path, facts, grace.work, now) {
        Ok(permit) => remove_orphan(store, &permit).await?,
        Err(reason) => return Ok(format!("left alone: {reason}")),
    }
    Ok("removed".to_owned())
}

async fn record(
    manager: &Manager,
    lease: &Lease,
    instance: Option<&ServiceInstance>,
    finding: &Finding,
    outcome: &str,
) -> Result<()> {
    let guid = instance.map(|instance| instance.guid.clone());
    let subject = Some(format!("{}: {outcome}", finding.subject));
    tracing::info!(
        kind = finding.kind.as_str(),
        subject = finding.subject,
        "repaired a difference: {outcome}"
    );
    within_lease(manager, lease, move |conn| {
        let action = AuditAction::RepairDifference;
        audit_events::insert(conn, &Actor::worker(), action, guid.as_ref(), subject)
    })
    .await
}
