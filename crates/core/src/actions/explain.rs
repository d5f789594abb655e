//! Says why the next backup of an instance has not started. Gathers the facts at one moment; the decision is
//! [`crate::domain::explanation::explain`].

use backup_queue::overview;
use diesel::PgConnection;

use crate::domain::explanation::{self, Explanation, Facts, LimitFacts, Line};
use crate::domain::identifiers::{BackupId, ServiceInstanceGuid};
use crate::domain::instance::{ServiceInstance, skip_reason};
use crate::domain::operation::OperationKind;
use crate::domain::{places, spread};
use crate::manager::{Manager, Settings};
use crate::store::{self, explanations, service_instances};
use crate::{Result, jobs};

/// Explains the state of the next backup, and gives the facts beside it.
pub async fn explain(manager: &Manager, guid: &ServiceInstanceGuid) -> Result<(Explanation, Facts)> {
    let (settings, guid) = (manager.settings(), guid.clone());
    let facts = manager
        .database
        .transaction(move |conn| {
            let instance = service_instances::get(conn, &guid)?;
            facts(conn, &settings, instance)
        })
        .await?;
    Ok((explanation::explain(&facts), facts))
}

fn facts(conn: &mut PgConnection, settings: &Settings, instance: ServiceInstance) -> Result<Facts> {
    let waiting = explanations::find_waiting(conn, instance.id)?;
    let backup = waiting.as_ref().map(|waiting| BackupId(waiting.id));
    let job = match backup {
        Some(backup) => explanations::find_job(conn, &jobs::start_key(OperationKind::Backup, backup.0))?,
        None => None,
    };
    let line = match backup {
        Some(backup) => line(conn, settings, backup)?,
        None => None,
    };
    let spread = spread::offset(instance.guid.as_str(), settings.policy.full_backup_spread);
    let next_run = explanations::find_next_run(conn, jobs::FULL_BACKUP)?;
    Ok(Facts {
        now: store::now(conn)?,
        deleted_at: instance.deleted_at,
        is_excluded: instance.exclude_from_auto_backup,
        skip_reason: skip_reason(&instance.state, instance.agent_url.as_deref(), false),
        in_front: explanations::find_in_front(conn, instance.id, backup)?,
        is_queue_unserved: !overview::unserved(conn, &[jobs::BACKUP_AGENT_BACKUPS])?.is_empty(),
        is_fanning_out: explanations::find_job(conn, jobs::BACKUP_ALL_KEY)?.is_some(),
        next_scheduled_at: next_run.map(|at| at + spread),
        broker: instance.service_broker,
        waiting,
        job,
        line,
    })
}

fn line(conn: &mut PgConnection, settings: &Settings, backup: BackupId) -> Result<Option<Line>> {
    let Some((candidate, asked_at, ahead)) = explanations::find_line(conn, backup)? else { return Ok(None) };
    let standing = store::places::standing(conn, settings.brokers.len())?;
    let limits = &settings.policy.limits;
    let binding = places::hindrance(limits, &standing, &candidate).map(|hindrance| LimitFacts {
        name: limits.name_of(hindrance.scope, &candidate.broker, &candidate.store),
        hindrance,
    });
    Ok(Some(Line { asked_at, ahead, binding }))
}
