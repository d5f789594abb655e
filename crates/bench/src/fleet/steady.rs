//! Part b: as many backups per hour as there are instances, a tenth of them running at any time, each watched every ten
//! seconds. And part e: the same, while all agents of one broker take requests and never answer.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::figures::{Figures, milliseconds};
use super::process::Meter;
use super::shape::Shape;
use super::simulation::{Behaviour, Look, Start};
use super::stage::Stage;
use super::statements;

/// A tenth of the fleet runs when each instance is backed up once an hour and takes so long on average.
const MEAN_SECONDS: f64 = 360.0;
/// The broker whose agents hang in part e.
const HANGING: u32 = 3;
/// Of so many instances one runs from the beginning, and one is left out by the schedule and asked for by people.
const SHARE: u32 = 10;
/// People ask for so many of ten backups; the schedule has asked for the others.
const ON_DEMAND: u32 = 2;
/// What is promised of the 99th percentile, in milliseconds.
const DEMANDED_LAG: f64 = 2000.0;

/// Brings the fleet into its steady state: a tenth runs, the others are spread over the next hour.
pub(super) fn begin(stage: &mut Stage, limit: Duration) -> anyhow::Result<()> {
    stage.behave(&Behaviour { mean_seconds: MEAN_SECONDS, hanging_broker: None })?;
    let (instances, running) = (stage.shape.instances, stage.shape.instances / SHARE);
    let api = stage.api();
    for instance in 0..running {
        api.ask("POST", &format!("/instances/{}/backups", Shape::guid(instance)))?;
    }
    let started = "SELECT count(*) /* bench */ FROM backups WHERE status = 'running'";
    stage.wait_for("backups that run", started, f64::from(running) * 0.9, limit)?;
    let (first, last) = (Shape::guid(instances - running), Shape::guid(instances));
    stage.execute(&format!(
        "UPDATE service_instances SET exclude_from_auto_backup = true WHERE guid >= '{first}' AND guid < '{last}'"
    ))?;
    // The spread is in the configuration, which is read at the start.
    stage.stop_worker(0)?;
    stage.set_environment(0, "BACKUP_MANAGER__FULL_BACKUP_SPREAD", "60")?;
    stage.start_worker(0)?;
    stage.execute("DELETE FROM finished_jobs WHERE kind = 'backup_all'")?;
    api.ask("POST", "/backup_agent/backup_all")?;
    super::jobs::wait_for_one(stage, "backup_all", limit)?;
    Ok(())
}

/// Watches the steady state for a while.
pub(super) fn measure(stage: &Stage, seconds: u64) -> anyhow::Result<Figures> {
    let mut figures = Figures::new('b');
    // What was late because everything began at once is over.
    std::thread::sleep(Duration::from_secs(12));
    let observed = observe(stage, seconds)?;
    figures.add("backups running", "", observed.running);
    figures.add(
        "looks at running backups per second",
        "/s",
        super::figures::count(observed.looks.len()) / observed.seconds,
    );
    figures.add_lags(
        "start lag of what the schedule asked for",
        lags(&observed.starts, true, None),
        Some(DEMANDED_LAG),
    );
    figures.add_lags(
        "start lag of what a person asked for",
        lags(&observed.starts, false, None),
        Some(DEMANDED_LAG),
    );
    figures.add_lags("watch lag", watch_lags(&observed.looks, None), None);
    statements::add(&mut figures, stage, super::figures::count(observed.looks.len()), "look")?;
    figures.add_usage(&observed.usage, observed.seconds);
    for figure in &mut figures.all {
        if figure.name == format!("cores busy with {}", super::stage::WORKERS[0]) {
            figure.demanded = Some(1.0);
        }
    }
    Ok(figures)
}

/// The same while one broker's agents hang, from the first moment on.
pub(super) fn measure_hanging(stage: &Stage, seconds: u64) -> anyhow::Result<Figures> {
    let mut figures = Figures::new('e');
    let before = observe(stage, seconds / 2)?;
    stage.behave(&Behaviour { mean_seconds: MEAN_SECONDS, hanging_broker: Some(HANGING) })?;
    let hanging = observe(stage, seconds)?;
    let others = Some(HANGING);
    let all = |observed: &Observed| {
        let mut all = lags(&observed.starts, true, others);
        all.extend(lags(&observed.starts, false, others));
        all
    };
    figures.add_lags("start lag of the others before", all(&before), Some(DEMANDED_LAG));
    figures.add_lags("start lag of the others while one broker hangs", all(&hanging), Some(DEMANDED_LAG));
    figures.add_lags("watch lag of the others before", watch_lags(&before.looks, others), None);
    figures.add_lags(
        "watch lag of the others while one broker hangs",
        watch_lags(&hanging.looks, others),
        None,
    );
    figures.add_usage(&hanging.usage, hanging.seconds);
    stage.behave(&Behaviour { mean_seconds: MEAN_SECONDS, hanging_broker: None })?;
    Ok(figures)
}

/// What was seen in a while.
struct Observed {
    seconds: f64,
    running: f64,
    starts: Vec<Due>,
    looks: Vec<Look>,
    usage: Vec<super::process::Usage>,
}

/// A start with the moment from which it could have been.
struct Due {
    start: Start,
    is_scheduled: bool,
    due: i64,
}

fn observe(stage: &Stage, seconds: u64) -> anyhow::Result<Observed> {
    stage.take_looks()?;
    statements::reset(stage)?;
    let due_before = due_of_waiting(stage)?;
    let meter = Meter::start(stage)?;
    let (began, from) = (Instant::now(), chrono::Utc::now().timestamp_micros());
    ask_on_demand(stage, began, seconds)?;
    let (elapsed, until) = (began.elapsed().as_secs_f64(), chrono::Utc::now().timestamp_micros());
    let usage = meter.stop(stage)?;
    let looks = stage.take_looks()?;
    let running = stage.number("SELECT count(*) /* bench */ FROM running_operations")?;
    // Those that came due at the very end need time to start.
    std::thread::sleep(Duration::from_secs(3));
    let mut due = due_on_demand(stage)?;
    due.extend(due_before);
    let all: HashMap<String, Start> =
        stage.starts()?.into_iter().map(|start| (start.id.clone(), start)).collect();
    let now = chrono::Utc::now().timestamp_micros();
    let in_time = due.into_iter().filter(|(_, time)| (from..until).contains(&time.due));
    let starts = in_time.map(|(id, DueTime { broker, is_scheduled, due })| {
        // One that no agent has heard of is late until now at least, which must not look like none.
        let unseen = Start { id: id.clone(), broker, asked: now, accepted: None, is_disturbed: false };
        Due { start: all.get(&id).cloned().unwrap_or(unseen), is_scheduled, due }
    });
    Ok(Observed { seconds: elapsed, running, starts: starts.collect(), looks, usage })
}

/// Asks for backups at a steady rate until the time is over, each time for another instance.
fn ask_on_demand(stage: &Stage, began: Instant, seconds: u64) -> anyhow::Result<()> {
    let (api, instances) = (stage.api(), stage.shape.instances);
    let every = Duration::from_secs_f64(36_000.0 / f64::from(instances * ON_DEMAND));
    let until = Duration::from_secs(seconds);
    let mut next = every / 2;
    while next < until {
        std::thread::sleep(next.saturating_sub(began.elapsed()));
        stage.on_demand.set(stage.on_demand.get() + 1);
        let instance = instances - stage.on_demand.get() % (instances / SHARE) - 1;
        api.ask("POST", &format!("/instances/{}/backups", Shape::guid(instance)))?;
        next += every;
    }
    std::thread::sleep(until.saturating_sub(began.elapsed()));
    Ok(())
}

/// By the name of the backup.
type DueTimes = HashMap<String, DueTime>;

struct DueTime {
    broker: u32,
    is_scheduled: bool,
    /// Microseconds since the epoch.
    due: i64,
}

/// When what the schedule has asked for is due.
fn due_of_waiting(stage: &Stage) -> anyhow::Result<DueTimes> {
    due_times(
        stage,
        "SELECT backup_id, right(guid, 12)::int, is_scheduled, (extract(epoch FROM run_at) * 1000000)::bigint /* bench */
         FROM jobs JOIN backups ON backups.id = (arguments ->> 'id')::bigint
              JOIN service_instances ON service_instances.id = service_instance_id
         WHERE kind = 'start_operation' AND is_scheduled",
    )
}

/// What a person asks for is due at once.
fn due_on_demand(stage: &Stage) -> anyhow::Result<DueTimes> {
    due_times(
        stage,
        "SELECT backup_id, right(guid, 12)::int, is_scheduled, (extract(epoch FROM triggered_at) * 1000000)::bigint /* bench */
         FROM backups JOIN service_instances ON service_instances.id = service_instance_id
         WHERE NOT is_scheduled AND triggered_at > now() - interval '10 minutes'",
    )
}

fn due_times(stage: &Stage, sql: &str) -> anyhow::Result<DueTimes> {
    let rows = stage.rows(sql)?;
    let times = rows.iter().filter_map(|row| {
        let [id, instance, is_scheduled, due] = row.as_slice() else { return None };
        let broker = Shape::broker_of(instance.parse().ok()?);
        Some((id.clone(), DueTime { broker, is_scheduled: is_scheduled == "t", due: due.parse().ok()? }))
    });
    Ok(times.collect())
}

/// From the moment it was due until the agent had accepted it, in milliseconds. Those whose first request the agent answered
/// late, as busy or not at all do not count: the manager must not repeat at once.
fn lags(starts: &[Due], is_scheduled: bool, but_not_of: Option<u32>) -> Vec<f64> {
    let counts = |due: &&Due| {
        due.is_scheduled == is_scheduled && !due.start.is_disturbed && Some(due.start.broker) != but_not_of
    };
    let lag = |due: &Due| milliseconds(due.start.accepted.unwrap_or(due.start.asked).saturating_sub(due.due));
    starts.iter().filter(counts).map(lag).collect()
}

fn watch_lags(looks: &[Look], but_not_of: Option<u32>) -> Vec<f64> {
    looks.iter().filter(|look| Some(look.broker) != but_not_of).map(|look| milliseconds(look.late)).collect()
}
