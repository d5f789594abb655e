//! The `reconcile` job: compares the database with the stores and with the agents' journals, a few instances at a time.
//! Things move while it looks, so the facts are read in an order in which what is on its way does not look wrong, and
//! a difference counts only when it is there again at a second look. Without repairs nothing is changed. What is
//! compared is in [`reconciliation`](crate::domain::reconciliation).

mod bytes;
mod gather;
mod repair;

use std::time::{Duration, Instant};

use backup_queue::{ClaimedJob, Lease, Outcome};
use chrono::{DateTime, Utc};
use diesel::PgConnection;
use tokio::task::JoinSet;

use self::gather::{Gathered, folders_below, gather};
use self::repair::Terms;
use super::lease::within_lease;
use super::request_backup::STORE_PREFIX;
use super::synchronise_instances::synchronise_now;
use crate::domain::actor::Actor;
use crate::domain::identifiers::{ReconciliationId, ServiceInstanceId};
use crate::domain::instance::ServiceInstance;
use crate::domain::reconciliation::{
    Class, Finding, Grace, Phase, Reconciliation, Remark, Scope, compare, of_no_instance,
};
use crate::domain::scope;
use crate::manager::Manager;
use crate::store::reconciliations::Step;
use crate::store::{self, adoptions, reconciliation_facts, reconciliations, service_instances};
use crate::{Error, Result};

/// So long it works at a time; then other jobs of the queue have their turn.
const SLICE: Duration = Duration::from_secs(15);
/// Instances that are compared at the same time: as many agents are asked at once.
const CHUNK: i64 = 8;
/// Reconciliations that are kept.
const KEPT: i64 = 30;

/// Works on a reconciliation until it is done or somebody else shall have a turn. Without a number it is the schedule's.
pub async fn reconcile(manager: &Manager, job: &ClaimedJob, id: Option<ReconciliationId>) -> Result<Outcome> {
    let id = match id {
        Some(id) => id,
        None => {
            let number = job.id.0;
            let insert = move |conn: &mut PgConnection| {
                reconciliations::insert(conn, &Actor::worker().name, &Scope::default(), Some(number))
            };
            within_lease(manager, &job.lease, insert).await?
        }
    };
    let error = match advance(manager, job, id).await {
        Err(error) if !matches!(error, Error::LeaseLost | Error::DatabaseUnavailable(_)) => error,
        outcome => return outcome,
    };
    let is_over = !error.is_retryable() || job.attempt >= job.max_attempts;
    let text = error.chain();
    within_lease(manager, &job.lease, move |conn| match is_over {
        true => reconciliations::update_ended(conn, id, Some(&text)),
        false => reconciliations::update_msg(conn, id, &format!("will be tried again: {text}")),
    })
    .await?;
    Err(error)
}

async fn advance(manager: &Manager, job: &ClaimedJob, id: ReconciliationId) -> Result<Outcome> {
    let begin = move |conn: &mut PgConnection| {
        reconciliations::update_running(conn, id)?;
        match reconciliations::get(conn, id) {
            Err(Error::ReconciliationNotFound(_)) => Ok(None),
            found => found.map(Some),
        }
    };
    ask_brokers(manager, job, id).await?;
    let since = Instant::now();
    loop {
        let Some(run) = within_lease(manager, &job.lease, begin).await? else {
            return Ok(Outcome::Discard("the reconciliation is gone".into()));
        };
        if run.has_ended() {
            return Ok(Outcome::Done);
        }
        if since.elapsed() > SLICE {
            return Ok(Outcome::Snooze(Duration::ZERO));
        }
        let step = match run.phase {
            Phase::Instances => compare_instances(manager, job, &run).await?,
            Phase::Folders => look_at_folders(manager, job, &run, since).await?,
            Phase::Bytes => bytes::hash_next(manager, &run).await?,
        };
        within_lease(manager, &job.lease, move |conn| match step {
            Some(step) => reconciliations::update_step(conn, &run, &step),
            None => {
                reconciliations::update_ended(conn, id, None)?;
                reconciliations::delete_old(conn, KEPT)
            }
        })
        .await?;
    }
}

/// Before its start: repairs take an instance that no broker names for deleted.
async fn ask_brokers(manager: &Manager, job: &ClaimedJob, id: ReconciliationId) -> Result<()> {
    let find = move |conn: &mut PgConnection| match reconciliations::get(conn, id) {
        Err(Error::ReconciliationNotFound(_)) => Ok(false),
        found => found.map(|run| run.scope.is_repair && run.status == "queued"),
    };
    match within_lease(manager, &job.lease, find).await? {
        true => synchronise_now(manager, job).await,
        false => Ok(()),
    }
}

/// The phase behind this one; none when that was the last.
fn next_phase(run: &Reconciliation) -> Option<Step> {
    let next = match run.phase {
        // Folders of no instance are none of one instance's.
        Phase::Instances if run.scope.instance.is_none() => Some(Phase::Folders),
        Phase::Instances | Phase::Folders => run.scope.is_deep.then_some(Phase::Bytes),
        Phase::Bytes => None,
    };
    next.map(|phase| Step { phase, position: String::new(), instances: 0, remarks: Vec::new() })
}

fn grace(manager: &Manager) -> Grace {
    let chrono = |time| chrono::Duration::from_std(time).unwrap_or(chrono::Duration::days(365));
    let usual = Grace::with_deadline(chrono(manager.policy().operation_timeout));
    let restores = manager.policy().history.restores.map(chrono);
    Grace { removal: usual.removal + chrono(manager.policy().undo_window), restores, ..usual }
}

fn terms(manager: &Manager, run: &Reconciliation) -> Terms {
    Terms { grace: grace(manager), since: run.requested_at }
}

async fn compare_instances(
    manager: &Manager,
    job: &ClaimedJob,
    run: &Reconciliation,
) -> Result<Option<Step>> {
    let after = ServiceInstanceId(run.position.parse().unwrap_or_default());
    let only = run.scope.instance.clone();
    let list = move |conn: &mut PgConnection| match only {
        Some(guid) => {
            let found = service_instances::get(conn, &guid).map(|instance| vec![instance]);
            let found = found.or_else(|error| match error {
                Error::InstanceNotFound(_) => Ok(Vec::new()),
                other => Err(other),
            })?;
            Ok(found.into_iter().filter(|instance| instance.id > after).collect::<Vec<_>>())
        }
        None => service_instances::list(conn, &scope::Scope::Everything, after, CHUNK),
    };
    let instances = within_lease(manager, &job.lease, list).await?;
    let Some(last) = instances.last().map(|instance| instance.id) else { return Ok(next_phase(run)) };
    let count = i64::try_from(instances.len()).unwrap_or(CHUNK);
    let mut comparisons = JoinSet::new();
    for instance in instances {
        let (manager, lease, run) = (manager.clone(), job.lease.clone(), run.clone());
        comparisons.spawn(async move { compare_instance(&manager, &lease, &run, &instance).await });
    }
    let mut remarks = Vec::new();
    while let Some(compared) = comparisons.join_next().await {
        let compared =
            compared.map_err(|error| Error::Internal(format!("a comparison ended early: {error}")))?;
        remarks.extend(compared?);
    }
    Ok(Some(Step { phase: Phase::Instances, position: last.to_string(), instances: count, remarks }))
}

/// Looks; and when something is wrong, looks again. What is wrong both times is.
async fn compare_instance(
    manager: &Manager,
    lease: &Lease,
    run: &Reconciliation,
    instance: &ServiceInstance,
) -> Result<Vec<Remark>> {
    let first = gather(manager, instance).await?;
    let suspected = judge(manager, &first);
    let (standing, gathered) = match suspected.is_empty() {
        true => (suspected, first),
        false => {
            let second = gather(manager, instance).await?;
            let again = judge(manager, &second);
            (standing(suspected, again), second)
        }
    };
    let mut remarks = gathered.remarks.clone();
    for finding in standing {
        let outcome = match run.scope.is_repair {
            true => repair::carry_out(manager, lease, Some(instance), &finding, terms(manager, run)).await?,
            false => None,
        };
        remarks.push(remark(finding, Some(instance.guid.to_string()), outcome));
    }
    Ok(remarks)
}

fn judge(manager: &Manager, gathered: &Gathered) -> Vec<Finding> {
    compare(&gathered.facts, gathered.now, grace(manager))
}

/// Of what was suspected, what is found again; in the words of the second look.
fn standing(suspected: Vec<Finding>, again: Vec<Finding>) -> Vec<Finding> {
    let is_suspected = |finding: &Finding| {
        suspected.iter().any(|known| (known.kind, &known.subject) == (finding.kind, &finding.subject))
    };
    again.into_iter().filter(is_suspected).collect()
}

fn remark(finding: Finding, instance: Option<String>, outcome: Option<String>) -> Remark {
    Remark {
        class: Class::Difference,
        kind: finding.kind.as_str().to_owned(),
        subject: finding.subject,
        instance,
        details: finding.details,
        repair: Some(finding.repair.as_str().to_owned()),
        proposal: Some(finding.proposal),
        outcome,
    }
}

/// Somebody could not be asked.
fn gap(kind: &str, subject: &str, instance: Option<String>, details: String) -> Remark {
    Remark {
        class: Class::NotCompared,
        kind: kind.to_owned(),
        subject: subject.to_owned(),
        instance,
        details,
        repair: None,
        proposal: None,
        outcome: None,
    }
}

/// The folders of the stores that are no instance's, of one listing as many as there is time for.
async fn look_at_folders(
    manager: &Manager,
    job: &ClaimedJob,
    run: &Reconciliation,
    since: Instant,
) -> Result<Option<Step>> {
    let mut stores = manager.store_names();
    stores.sort_unstable();
    let (at_store, at_folder) = run.position.split_once('/').unwrap_or((&run.position, ""));
    let step = |store: &str, folder: &str, remarks| {
        let position = format!("{store}/{folder}");
        Step { phase: Phase::Folders, position, instances: 0, remarks }
    };
    for store in stores.iter().filter(|store| store.as_str() >= at_store) {
        let folders = match manager.store(store)?.folders(STORE_PREFIX).await {
            Ok(folders) => folders,
            Err(error) => {
                let remarks = vec![gap("store", store, None, error.to_string())];
                return Ok(Some(step(store, LAST, remarks)));
            }
        };
        let is_behind = |folder: &String| store.as_str() != at_store || folder.as_str() > at_folder;
        let left: Vec<String> = folders.into_iter().filter(is_behind).collect();
        for names in left.chunks(1000) {
            let asked = names.to_vec();
            let list = move |conn: &mut PgConnection| reconciliation_facts::list_known_folders(conn, &asked);
            let known = within_lease(manager, &job.lease, list).await?;
            for unknown in names.iter().filter(|name| !known.contains(name)) {
                let done = step(store, unknown, look_into(manager, job, run, store, unknown).await?);
                if since.elapsed() > SLICE {
                    return Ok(Some(done));
                }
                let of = run.clone();
                let record = move |conn: &mut PgConnection| reconciliations::update_step(conn, &of, &done);
                within_lease(manager, &job.lease, record).await?;
            }
        }
    }
    Ok(next_phase(run))
}

/// Behind the name of every folder.
const LAST: &str = "~";

async fn look_into(
    manager: &Manager,
    job: &ClaimedJob,
    run: &Reconciliation,
    store: &str,
    folder: &str,
) -> Result<Vec<Remark>> {
    let prefix = format!("{STORE_PREFIX}/{folder}");
    let subject = format!("{store}:{prefix}");
    let found = match folders_below(manager.store(store)?, &prefix).await {
        Ok(found) => found,
        Err(error) => return Ok(vec![gap("store", &subject, None, error.to_string())]),
    };
    let names: Vec<String> = found.iter().map(|folder| folder.place.backup_id.clone()).collect();
    let ask = move |conn: &mut PgConnection| Ok((adoptions::list_known(conn, &names)?, store::now(conn)?));
    let (known, now): (_, DateTime<Utc>) = within_lease(manager, &job.lease, ask).await?;
    let mut remarks = Vec::new();
    for folder in found.iter().filter(|folder| !known.contains(&folder.place.backup_id)) {
        let Some(finding) = of_no_instance(folder, now, grace(manager)) else { continue };
        let outcome = match run.scope.is_repair {
            true => repair::carry_out(manager, &job.lease, None, &finding, terms(manager, run)).await?,
            false => None,
        };
        remarks.push(remark(finding, None, outcome));
    }
    Ok(remarks)
}
