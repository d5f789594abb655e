//! Does what the schedule says, when it says so, and puts it right again. Two hands: one for the database, whose faults take
//! their time and never overlap, one for all else. Whatever ends by itself meanwhile is noted and started again, as an
//! init system would.

mod database;
mod house;
mod mischief;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;

use crate::clock::Stopwatch;
use crate::facts::{Inflicted, Millis};
use crate::history::History;
use crate::schedule::{Fault, Target};
use crate::world::World;

const LOOK: Duration = Duration::from_millis(20);

/// What the injection noted.
#[derive(Debug, Default)]
pub struct Record {
    /// The faults, as they were really done.
    pub faults: Vec<Inflicted>,
    /// Processes that ended by themselves.
    pub accidents: Vec<String>,
}

/// What both hands share.
pub(crate) struct Desk<'a> {
    stopwatch: Stopwatch,
    history: &'a History,
    record: Mutex<Record>,
    log: Mutex<File>,
    done: AtomicUsize,
    on_progress: &'a (dyn Fn(usize) + Sync),
}

impl Desk<'_> {
    fn note(&self, text: &str) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        // The log is for people; what counts is in the record.
        drop(writeln!(log, "{:>9.3}  {text}", seconds(self.stopwatch.now())));
    }

    fn began(&self, fault: &Fault) -> Millis {
        self.note(&fault.to_string());
        let done = self.done.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        (self.on_progress)(done);
        self.stopwatch.now()
    }

    fn ended(&self, fault: Fault, begun: Millis, requests: Option<u64>) {
        let ended = self.stopwatch.now();
        self.note(&format!(
            "{:>4}  healed{}",
            fault.number,
            requests.map(|n| format!(", met {n} requests")).unwrap_or_default()
        ));
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.faults.push(Inflicted { fault, begun, ended, requests });
    }

    fn accident(&self, text: String) {
        self.note(&text);
        self.record.lock().unwrap_or_else(PoisonError::into_inner).accidents.push(text);
    }
}

#[expect(clippy::as_conversions, reason = "milliseconds of a run, for a person")]
fn seconds(ms: Millis) -> f64 {
    ms as f64 / 1000.0
}

/// Injects all faults and returns when the last one is healed. Each is a line in `log`.
///
/// # Errors
/// When a fault cannot be done or healed: then the run says nothing.
pub fn run(
    world: &mut World,
    schedule: &[Fault],
    history: &History,
    stopwatch: Stopwatch,
    log: &Path,
    on_progress: &(dyn Fn(usize) + Sync),
) -> anyhow::Result<Record> {
    let log = File::create(log).context("the log of the faults cannot be written")?;
    let desk = Desk {
        stopwatch,
        history,
        record: Mutex::default(),
        log: Mutex::new(log),
        done: AtomicUsize::new(0),
        on_progress,
    };
    let (for_database, for_house): (Vec<Fault>, Vec<Fault>) =
        schedule.iter().partition(|fault| fault.target == Target::Database);
    let World { pair, installation, roads, gates, disk, .. } = world;
    std::thread::scope(|scope| {
        let desk = &desk;
        let database = scope.spawn(move || database::run(pair, &for_database, desk));
        let house = house::House::new(installation, roads, gates, disk.as_ref()).run(&for_house, desk);
        let database =
            database.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the hand for the database panicked")));
        house.and(database)
    })?;
    let mut record = desk.record.into_inner().unwrap_or_else(PoisonError::into_inner);
    record.faults.sort_by_key(|inflicted| inflicted.fault.number);
    Ok(record)
}

/// Waits until a moment of the run.
fn wait_until(stopwatch: Stopwatch, moment: Millis) {
    while stopwatch.now() < moment {
        std::thread::sleep(LOOK);
    }
}
