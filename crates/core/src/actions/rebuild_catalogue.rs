//! The `rebuild_catalogue` job: looks through the stores for backups that have no row, and adopts them. Nothing in a
//! store is touched. Each adoption is a transaction, and the job remembers how far it came, so an interruption costs at
//! most one instance's folder; a second run finds only what is missing still.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use backup_queue::{ClaimedJob, Outcome};
use chrono::{DateTime, Utc};
use diesel::{Connection, PgConnection};

use super::adopt_backup::{Adoption, StoredBackup, adopt, examine};
use super::lease::within_lease;
use super::request_backup::STORE_PREFIX;
use super::synchronise_instances::synchronise_now;
use crate::domain::catalogue::{FindingOutcome, Obstacle, Rebuild, RebuildStatus};
use crate::domain::identifiers::RebuildId;
use crate::manager::{Manager, Settings};
use crate::store::adoptions;
use crate::store::catalogue_rebuilds::{self, NewFinding};
use crate::{Error, Result};

/// So long it works at a time; then other jobs of the queue have their turn.
const SLICE: Duration = Duration::from_secs(20);
/// A store that fails at one backup is asked so many times before the rest goes on without it.
const TRIES: u32 = 3;
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Works on a rebuild until it is done or somebody else shall have a turn.
pub async fn rebuild_catalogue(manager: &Manager, job: &ClaimedJob, id: RebuildId) -> Result<Outcome> {
    let error = match advance(manager, job, id).await {
        Err(error) if !matches!(error, Error::LeaseLost | Error::DatabaseUnavailable(_)) => error,
        outcome => return outcome,
    };
    let is_over = !error.is_retryable() || job.attempt >= job.max_attempts;
    let text = error.chain();
    within_lease(manager, &job.lease, move |conn| match is_over {
        true => catalogue_rebuilds::update_ended(conn, id, Some(&text)),
        false => catalogue_rebuilds::update_msg(conn, id, &format!("will be tried again: {text}")),
    })
    .await?;
    Err(error)
}

async fn advance(manager: &Manager, job: &ClaimedJob, id: RebuildId) -> Result<Outcome> {
    let found = within_lease(manager, &job.lease, move |conn| catalogue_rebuilds::find(conn, id)).await?;
    let Some(rebuild) = found else { return Ok(Outcome::Discard("the rebuild is gone".into())) };
    let mut stores = rebuild.store.clone().map_or_else(|| manager.store_names(), |store| vec![store]);
    stores.sort_unstable();
    match rebuild.status {
        RebuildStatus::Queued => begin(manager, job, id, &stores).await?,
        RebuildStatus::Running => {}
        RebuildStatus::Done | RebuildStatus::Failed => return Ok(Outcome::Done),
    }
    let since = Instant::now();
    let (at_store, at_folder) = rebuild.position.clone().unwrap_or_default();
    for store in stores.iter().filter(|store| **store >= at_store) {
        for folder in manager.store(store)?.folders(STORE_PREFIX).await? {
            if *store == at_store && folder <= at_folder {
                continue;
            }
            if since.elapsed() > SLICE {
                return Ok(Outcome::Snooze(Duration::ZERO));
            }
            look_through(manager, job, &rebuild, store, &folder).await?;
        }
    }
    within_lease(manager, &job.lease, move |conn| catalogue_rebuilds::update_ended(conn, id, None)).await?;
    tracing::info!(rebuild = id.0, "the catalogue is rebuilt as far as the stores allow");
    Ok(Outcome::Done)
}

/// Asks the brokers first: what they name is alive, and only what they do not is taken for deleted.
async fn begin(manager: &Manager, job: &ClaimedJob, id: RebuildId, stores: &[String]) -> Result<()> {
    synchronise_now(manager, job).await?;
    let mut total = 0_usize;
    for store in stores {
        total = total.saturating_add(manager.store(store)?.folders(STORE_PREFIX).await?.len());
    }
    let total = i64::try_from(total).unwrap_or(i64::MAX);
    within_lease(manager, &job.lease, move |conn| catalogue_rebuilds::update_running(conn, id, total)).await
}

/// The folder of one instance: its backups without a row, in the order of time, because newer backups have greater numbers.
async fn look_through(
    manager: &Manager,
    job: &ClaimedJob,
    rebuild: &Rebuild,
    store: &str,
    folder: &str,
) -> Result<()> {
    let prefix = format!("{STORE_PREFIX}/{folder}");
    let opened = manager.store(store)?;
    // A name that no backup has cannot be listed below either.
    let names = match backup_objects::BackupFolder::parse(&prefix, "x") {
        Ok(_) => opened.folders(&prefix).await?,
        Err(_) => Vec::new(),
    };
    let (id, asked, of_store) = (rebuild.id, names.clone(), store.to_owned());
    let paths: Vec<String> = names.iter().map(|name| format!("{prefix}/{name}")).collect();
    // Before the folders are looked at, see `examine`.
    let (known, own) = within_lease(manager, &job.lease, move |conn| {
        let own = catalogue_rebuilds::count_adopted(conn, id, &of_store, &paths)?;
        Ok((adoptions::list_known(conn, &asked)?, own))
    })
    .await?;
    let known: HashSet<String> = known.into_iter().collect();
    let mut found = Vec::new();
    for name in names.iter().filter(|name| !known.contains(*name)) {
        match examine_patiently(manager, store, &prefix, name).await? {
            Ok(backup) => found.push(backup),
            Err(obstacle) => {
                report(manager, job, rebuild.id, finding(store, &prefix, name, obstacle)).await?
            }
        }
    }
    found.sort_by(|a, b| {
        let key = |backup: &StoredBackup| (backup.envelope.triggered_at, backup.metadata.backup_id.clone());
        key(a).cmp(&key(b))
    });
    for backup in found {
        settle(manager, job, rebuild, backup).await?;
    }
    let (store, folder) = (store.to_owned(), folder.to_owned());
    let known = i64::try_from(known.len()).unwrap_or(i64::MAX).saturating_sub(own);
    within_lease(manager, &job.lease, move |conn| {
        catalogue_rebuilds::update_position(conn, id, &store, &folder, known)
    })
    .await
}

/// A store that goes on failing at one backup, and answers otherwise, must not keep the others from coming back.
async fn examine_patiently(
    manager: &Manager,
    store: &str,
    prefix: &str,
    name: &str,
) -> Result<std::result::Result<StoredBackup, Obstacle>> {
    let mut tries = 1;
    let error = loop {
        match examine(manager, store, prefix, name).await {
            Err(Error::Objects(error)) if error.is_retryable() && tries < TRIES => {
                tries = tries.saturating_add(1);
                tokio::time::sleep(PAUSE).await;
            }
            Err(Error::Objects(error)) => break error,
            outcome => return outcome,
        }
    };
    // One that does not list its folders either is waited for by trying the job again.
    manager.store(store)?.folders(prefix).await?;
    Ok(Err(Obstacle::new(FindingOutcome::Unreadable, error.to_string())))
}

/// Adopts a backup, or in a dry run does so and takes it back.
async fn settle(manager: &Manager, job: &ClaimedJob, rebuild: &Rebuild, backup: StoredBackup) -> Result<()> {
    let (settings, id, is_dry_run) = (manager.settings(), rebuild.id, rebuild.is_dry_run);
    // The brokers were asked when it began.
    let since = rebuild.requested_at;
    within_lease(manager, &job.lease, move |conn| {
        let adoption = if is_dry_run {
            rehearse(conn, &settings, &backup, since)?
        } else {
            adopt(conn, &settings, &backup, since)?
        };
        let name = &backup.metadata.backup_id;
        let new = match adoption {
            // Somebody else has adopted it at this moment.
            Adoption::Known => return Ok(()),
            Adoption::Refused(obstacle) => finding(&backup.store, &backup.object_prefix, name, obstacle),
            Adoption::Adopted(row) => NewFinding {
                outcome: if is_dry_run { FindingOutcome::Adoptable } else { FindingOutcome::Adopted },
                store: backup.store.clone(),
                path: format!("{}/{name}", backup.object_prefix),
                backup_id: name.clone(),
                instance: Some(backup.guid.to_string()),
                detail: (!is_dry_run).then(|| format!("backup {row}")),
            },
        };
        catalogue_rebuilds::insert_finding(conn, id, &new)
    })
    .await
}

fn rehearse(
    conn: &mut PgConnection,
    settings: &Settings,
    backup: &StoredBackup,
    since: DateTime<Utc>,
) -> Result<Adoption> {
    let mut outcome = None;
    let taken_back = conn.transaction::<(), Error, _>(|conn| {
        outcome = Some(adopt(conn, settings, backup, since)?);
        Err(Error::Conflict)
    });
    match (outcome, taken_back) {
        (Some(outcome), _) => Ok(outcome),
        (None, Err(error)) => Err(error),
        (None, Ok(())) => Err(Error::Internal("a rehearsal had no outcome".into())),
    }
}

async fn report(manager: &Manager, job: &ClaimedJob, id: RebuildId, new: NewFinding) -> Result<()> {
    within_lease(manager, &job.lease, move |conn| catalogue_rebuilds::insert_finding(conn, id, &new)).await
}

fn finding(store: &str, prefix: &str, name: &str, obstacle: Obstacle) -> NewFinding {
    NewFinding {
        outcome: obstacle.outcome,
        store: store.to_owned(),
        path: format!("{prefix}/{name}"),
        backup_id: name.to_owned(),
        instance: obstacle.instance,
        detail: Some(obstacle.detail),
    }
}
