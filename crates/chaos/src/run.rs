//! One run from the first process to the verdict.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::clock::Stopwatch;
use crate::dice::Dice;
use crate::facts::{Facts, Millis};
use crate::history::{self, History};
use crate::load::{Actor, Client, Control, Notes};
use crate::report::{Adoption, Availability, Report, Spread};
use crate::schedule::Fault;
use crate::session::Session;
use crate::world::{Shape, World};
use crate::{audit, collect, inject, sample};

/// What is run.
#[derive(Debug)]
pub struct Run<'a> {
    /// The seed of the load.
    pub seed: u64,
    /// The size of the world.
    pub shape: Shape,
    /// The faults.
    pub schedule: &'a [Fault],
    /// Where logs and notes go.
    pub evidence: &'a Path,
}

/// Beyond an operation's deadline, what its end may take: a worker's lease, a cancellation, a busy machine.
const GRACE: Duration = Duration::from_secs(90);
/// What is left of the queue when all operations have ended.
const TIDYING: Duration = Duration::from_secs(60);

/// Does it. `tell` hears what goes on, `on_progress` how many faults have begun.
///
/// # Errors
/// When the world cannot be built, broken or examined; broken promises are no error but in the report.
pub fn run(
    run: &Run<'_>,
    tell: &dyn Fn(&str),
    on_progress: &(dyn Fn(usize) + Sync),
) -> anyhow::Result<Report> {
    let begin = Instant::now();
    tell("starting two databases, two APIs, eight workers, twenty agents …");
    let mut world = World::start(&run.shape, run.seed)?;
    let result = in_world(run, &mut world, begin, tell, on_progress);
    keep_logs(&world, run.evidence);
    result
}

fn in_world(
    run: &Run<'_>,
    world: &mut World,
    begin: Instant,
    tell: &dyn Fn(&str),
    on_progress: &(dyn Fn(usize) + Sync),
) -> anyhow::Result<Report> {
    let mut session = world.session()?;
    history::install(&mut session)?;
    let stopwatch = Stopwatch::start();
    let history = History::follow(world.session()?, stopwatch);
    let control = Control::new(stopwatch);
    let notes = Notes::create(&run.evidence.join("requests.jsonl"))?;
    let client = world.client()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let actors = start_actors(run, world, &runtime, &client, &notes, &control);

    tell("injecting faults …");
    let is_over = AtomicBool::new(false);
    let record = std::thread::scope(|scope| {
        let firing = world.session().map(|session| scope.spawn(|| fire_schedules(session, &is_over)));
        let log = run.evidence.join("faults.log");
        let record = inject::run(world, run.schedule, &history, stopwatch, &log, on_progress);
        is_over.store(true, Ordering::Relaxed);
        firing.map(drop)?;
        record
    })?;
    let lasted = stopwatch.now();

    tell("everything is healed; waiting for what is under way …");
    control.finish();
    let patience = Duration::from_millis(run.shape.timeout).saturating_add(GRACE);
    runtime.block_on(end_actors(actors, &control, patience));
    settle(&mut session, patience)?;
    tell("tidying up, and restoring a sample …");
    fire(&mut session, "delete_backup_remove")?;
    settle(&mut session, TIDYING)?;
    let samples = runtime.block_on(sample::restore_all(&client, &world.guids, &world.data, &notes, run.seed));
    settle(&mut session, TIDYING)?;

    tell("auditing …");
    let times = history.adoption_times();
    let adoption = Adoption {
        all: Spread::of(&times.all),
        orphans: Spread::of(&times.orphans),
        lease_and_poll_ms: run.shape.lease.saturating_add(run.shape.poll),
    };
    let (changes, events) = history.finish(&mut session, stopwatch)?;
    let mut facts = Facts {
        min_backups: run.shape.min_backups,
        timeout: run.shape.timeout,
        faults: record.faults,
        requests: notes.all(),
        accidents: record.accidents,
        changes,
        events,
        samples,
        ..Facts::default()
    };
    collect::collect(world, &mut session, &mut facts)?;
    write_history(&facts, run.evidence)?;
    let violations = audit::check(&facts);
    let whole = Millis::try_from(begin.elapsed().as_millis()).unwrap_or(Millis::MAX);
    let api = Availability::of(&client.meter);
    Ok(Report::of(run.seed, &facts, violations, adoption, api, (lasted, whole)))
}

fn start_actors(
    run: &Run<'_>,
    world: &World,
    runtime: &Runtime,
    client: &Client,
    notes: &Notes,
    control: &Control,
) -> Vec<JoinHandle<()>> {
    let actor = |position: usize| Actor {
        position,
        guids: world.guids.clone(),
        data: world.data.clone(),
        journal: world.journal(position),
        client: client.clone(),
        notes: notes.clone(),
        control: control.clone(),
        dice: Dice::of(run.seed, u64::try_from(position).unwrap_or(0).saturating_add(1000)),
        is_data_known: true,
    };
    (0..world.guids.len()).map(|position| runtime.spawn(actor(position).run())).collect()
}

/// Waits until all actors have seen the end of what they began; then they are told to give up.
async fn end_actors(actors: Vec<JoinHandle<()>>, control: &Control, patience: Duration) {
    let all = async {
        for actor in actors {
            // One that panicked has told so on standard error, and its requests are audited all the same.
            drop(actor.await);
        }
    };
    if tokio::time::timeout(patience, all).await.is_err() {
        control.give_up();
    }
}

/// The schedules that are hours apart in production come every few seconds.
fn fire_schedules(mut session: Session, is_over: &AtomicBool) {
    let names = ["delete_backup_mark", "delete_backup_remove", "update_instance_state"];
    let mut round = 0_usize;
    while !is_over.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(500));
        round = round.saturating_add(1);
        let name = match round {
            round if round % 90 == 40 => "full_backup",
            round if round % 6 == 0 => names.get(round / 6 % names.len()).copied().unwrap_or_default(),
            _ => continue,
        };
        // The database is away at times; the next round comes soon.
        drop(fire(&mut session, name));
    }
}

fn fire(session: &mut Session, name: &str) -> anyhow::Result<()> {
    session
        .ask_patiently(&format!(
            "UPDATE schedules SET next_run_at = now() - interval '1 second' WHERE name = '{name}'"
        ))
        .map(drop)
}

/// Waits until nothing is unfinished and the queue is empty, or patience is over: then the audit says what is left.
fn settle(session: &mut Session, patience: Duration) -> anyhow::Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < patience {
        let left = session.ask_patiently(
            "SELECT (SELECT count(*) FROM backups WHERE status IN ('queued', 'running'))
                    + (SELECT count(*) FROM restores WHERE status IN ('queued', 'running'))
                    + (SELECT count(*) FROM jobs) + (SELECT count(*) FROM schedules WHERE next_run_at < now())",
        )?;
        if left.first().is_some_and(|count| count == "0") {
            return Ok(());
        }
        // A deletion that failed while its agent was away waits for minutes, and that is right; a run has not the time.
        session.ask_patiently(
            "UPDATE jobs SET run_at = now() WHERE kind = 'delete_backups' AND NOT is_due
             AND run_at < now() + interval '11 minutes'",
        )?;
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

fn write_history(facts: &Facts, evidence: &Path) -> anyhow::Result<()> {
    let mut text = String::new();
    for change in &facts.changes {
        let status =
            |row: &Option<crate::facts::Row>| row.as_ref().map(|row| row.status.clone()).unwrap_or_default();
        let row = change.new.as_ref().or(change.old.as_ref());
        let (id, name) = row.map(|row| (row.id, row.name().to_owned())).unwrap_or_default();
        let reason = row.and_then(|row| row.reason_code.clone()).unwrap_or_default();
        let epoch = row.map(|row| row.dispatch_epoch).unwrap_or_default();
        text.push_str(&format!(
            "{:>9} ms  {} {id} {name}: {} > {} epoch {epoch} {reason}\n",
            change.seen,
            change.sort.as_str(),
            status(&change.old),
            status(&change.new)
        ));
    }
    std::fs::write(evidence.join("history.log"), text).context("the history cannot be written")
}

/// Logs and journals beside the notes; best effort, since it is for people.
fn keep_logs(world: &World, evidence: &Path) {
    let copy = |from: PathBuf, to: PathBuf| drop(std::fs::copy(from, to));
    for daemon in world.installation.daemons() {
        copy(daemon.log_file().to_owned(), evidence.join(format!("{}.log", daemon.name())));
    }
    copy(world.installation.manager_file(), evidence.join("backup-manager.yml"));
    copy(world.pair.primary().log_file(), evidence.join("postgres-primary.log"));
    if let Some(standby) = world.pair.standby() {
        copy(standby.log_file(), evidence.join("postgres-standby.log"));
    }
    for position in 0..world.guids.len() {
        let folder = evidence.join(format!("journal-{:02}", position.saturating_add(1)));
        if std::fs::create_dir(&folder).is_err() {
            continue;
        }
        for entry in std::fs::read_dir(world.journal(position)).into_iter().flatten().flatten() {
            copy(entry.path(), folder.join(entry.file_name()));
        }
    }
}
