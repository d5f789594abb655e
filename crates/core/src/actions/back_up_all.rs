//! The `backup_all_job`: fans out one backup per eligible instance. It performs no backup itself.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use backup_queue::{ClaimedJob, Outcome};
use diesel::PgConnection;

use super::request_backup::{name, object_prefix};
use crate::domain::instance::skip_reason;
use crate::domain::operation::OperationKind;
use crate::domain::spread;
use crate::manager::{Manager, Settings};
use crate::store::encryption_keys::{self, Owner};
use crate::store::fan_out::{self, Candidate, Chunk, ScheduledBackup};
use crate::{Error, Result, jobs};

/// Instances per transaction: a request of one of them waits for the whole chunk.
const CHUNK: i64 = 500;
/// Chunks at a time: the backups of the first are under way already, and what asks for the others must not stand in line
/// behind all of them.
const LANES: usize = 4;

/// Records and enqueues a backup for every eligible instance, chunk by chunk, with as many statements for a chunk as for one
/// instance (`a_fan_out_sends_no_more_statements_for_many_instances_than_for_one`). Run again after a crash, it asks
/// nobody twice and leaves nobody out: rows carry the job's number
/// (`a_fan_out_that_was_killed_half_way_asks_the_others_and_nobody_twice`).
pub async fn back_up_all(manager: &Manager, job: &ClaimedJob) -> Result<Outcome> {
    let chunks = manager.database.transaction(|conn| fan_out::divide(conn, CHUNK)).await?;
    let chunks = Mutex::new(chunks.into_iter());
    let next = || chunks.lock().unwrap_or_else(PoisonError::into_inner).next();
    let lane = async || -> Result<Done> {
        let mut done = Done::default();
        while let Some(chunk) = next() {
            let (settings, job) = (manager.settings(), job.clone());
            let more =
                manager.database.transaction(move |conn| fan_out(conn, &settings, &job, chunk)).await?;
            done.add(&more);
        }
        Ok(done)
    };
    let lanes: [_; LANES] = tokio::join!(lane(), lane(), lane(), lane()).into();
    let mut done = Done::default();
    for lane in lanes {
        done.add(&lane?);
    }
    tracing::info!(
        started = done.started,
        skipped = done.skipped,
        "asked for a backup of all eligible instances"
    );
    Ok(Outcome::Done)
}

#[derive(Default)]
struct Done {
    started: usize,
    skipped: usize,
}

impl Done {
    fn add(&mut self, other: &Self) {
        self.started = self.started.saturating_add(other.started);
        self.skipped = self.skipped.saturating_add(other.skipped);
    }
}

fn fan_out(conn: &mut PgConnection, settings: &Settings, job: &ClaimedJob, chunk: Chunk) -> Result<Done> {
    job.lease.confirm_shared(conn)?;
    let locked = fan_out::lock(conn, chunk)?;
    let (mut eligible, mut skipped) = (Vec::new(), Vec::new());
    for candidate in fan_out::list(conn, job.id.0, &locked)? {
        // Whatever has become of that backup meanwhile.
        if candidate.is_asked {
            continue;
        }
        match reason_to_skip(&candidate) {
            Some(reason) => skipped.push((candidate.id, reason)),
            None => eligible.push(candidate),
        }
    }
    let started = start(conn, settings, job, &eligible)?;
    fan_out::update_skipped(conn, &skipped)?;
    Ok(Done { started, skipped: skipped.len() })
}

fn reason_to_skip(candidate: &Candidate) -> Option<String> {
    let unfinished = || "a backup is queued or running already".to_owned();
    skip_reason(&candidate.state, candidate.agent_url.as_deref(), candidate.is_excluded)
        .or_else(|| candidate.has_unfinished.then(unfinished))
}

/// Records the backups and their jobs; returns how many.
fn start(
    conn: &mut PgConnection,
    settings: &Settings,
    job: &ClaimedJob,
    eligible: &[Candidate],
) -> Result<usize> {
    if eligible.is_empty() {
        return Ok(0);
    }
    let is_without = |candidate: &&Candidate| candidate.current_key.is_none();
    let owners: Vec<_> =
        eligible.iter().filter(is_without).map(|of| Owner { id: of.id, guid: of.guid.clone() }).collect();
    // Their first sight was interrupted.
    let generated = encryption_keys::insert_generated(conn, &settings.key_ring, &owners)?;
    let (mut new, mut delays) = (Vec::with_capacity(eligible.len()), HashMap::with_capacity(eligible.len()));
    for candidate in eligible {
        let key = candidate.current_key.or_else(|| generated.get(&candidate.id).copied());
        let spread = settings.policy.full_backup_spread;
        delays.insert(candidate.id, spread::offset(candidate.guid.as_str(), spread));
        new.push(ScheduledBackup {
            instance: candidate.id,
            backup_id: name(&candidate.backup_guid, candidate.name_millis),
            encryption_key: key
                .ok_or_else(|| Error::Internal(format!("instance {} has no key", candidate.id)))?,
            store: candidate.store.clone(),
            object_prefix: object_prefix(&candidate.backup_guid)?,
        });
    }
    let inserted = fan_out::insert(conn, job.id.0, &new)?;
    let start_one = |(id, instance)| {
        let delay = delays.get(&instance).copied().unwrap_or_default();
        jobs::start_operation(OperationKind::Backup, id, true, delay, &settings.policy)
    };
    let starts: Vec<_> = inserted.iter().map(|(id, instance)| start_one((id.0, *instance))).collect();
    backup_queue::enqueue_many(conn, &starts)?;
    Ok(inserted.len())
}
