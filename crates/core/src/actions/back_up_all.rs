//! The `backup_all_job`: fans out one backup per eligible instance. It performs no backup itself.

use backup_queue::{ClaimedJob, Outcome};
use diesel::PgConnection;

use super::request_backup::new_backup;
use crate::domain::identifiers::ServiceInstanceId;
use crate::domain::instance::skip_reason;
use crate::domain::operation::OperationKind;
use crate::domain::spread;
use crate::manager::{Manager, Settings};
use crate::store::{backups, service_instances};
use crate::{Result, jobs};

/// Instances per transaction.
const CHUNK: i64 = 500;

/// Records and enqueues a backup for every eligible instance, chunk by chunk. Run again after a crash, it asks
/// nobody twice: rows carry the job's number.
pub async fn back_up_all(manager: &Manager, job: &ClaimedJob) -> Result<Outcome> {
    let (mut after, mut started, mut skipped) = (ServiceInstanceId(0), 0_usize, 0_usize);
    loop {
        let (settings, job) = (manager.settings(), job.clone());
        let chunk = manager.database.transaction(move |conn| fan_out(conn, &settings, &job, after)).await?;
        let Some(chunk) = chunk else { break };
        after = chunk.last;
        started += chunk.started;
        skipped += chunk.skipped;
    }
    tracing::info!(started, skipped, "asked for a backup of all eligible instances");
    Ok(Outcome::Done)
}

struct Chunk {
    last: ServiceInstanceId,
    started: usize,
    skipped: usize,
}

fn fan_out(
    conn: &mut PgConnection,
    settings: &Settings,
    job: &ClaimedJob,
    after: ServiceInstanceId,
) -> Result<Option<Chunk>> {
    job.lease.confirm(conn)?;
    let candidates = service_instances::lock_for_fan_out(conn, job.id.0, after, CHUNK)?;
    let Some((last, _)) = candidates.last() else { return Ok(None) };
    let last = last.id;
    let (mut new, mut delays, mut skipped) = (Vec::new(), std::collections::HashMap::new(), Vec::new());
    for (instance, has_unfinished_backup) in candidates {
        let reason =
            skip_reason(&instance.state, instance.agent_url.as_deref(), instance.exclude_from_auto_backup)
                .or_else(|| {
                    has_unfinished_backup.then(|| "a backup is queued or running already".to_owned())
                });
        if let Some(reason) = reason {
            skipped.push((instance.id, reason));
            continue;
        }
        delays
            .insert(instance.id, spread::offset(instance.guid.as_str(), settings.policy.full_backup_spread));
        let mut backup = new_backup(conn, settings, &instance)?;
        backup.is_scheduled = true;
        backup.fan_out_job = Some(job.id.0);
        new.push(backup);
    }
    let inserted = backups::insert_many(conn, &new)?;
    let starts: Vec<_> = inserted
        .iter()
        .map(|(id, instance)| {
            let delay = delays.get(instance).copied().unwrap_or_default();
            jobs::start_operation(OperationKind::Backup, id.0, true, delay, &settings.policy)
        })
        .collect();
    backup_queue::enqueue_many(conn, &starts)?;
    service_instances::update_skipped(conn, &skipped)?;
    Ok(Some(Chunk { last, started: inserted.len(), skipped: skipped.len() }))
}
