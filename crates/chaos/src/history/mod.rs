//! Follows the manager's database during the run: which change was committed when, and which operations are watched.
//! The changes are written down by triggers ([`install`]), so nothing is missed between two looks.

mod adoption;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;

pub use adoption::{Adoption, Times, Watching};

use crate::clock::Stopwatch;
use crate::facts::{Change, Event, Millis, Row, Sort};
use crate::session::Session;

const LOOK: Duration = Duration::from_millis(150);
/// A number that has not appeared for so long never will: its transaction was rolled back.
const GAP_MS: Millis = 60_000;

/// Adds the harness's tables and triggers to the manager's database.
///
/// # Errors
/// When the manager has not made its tables yet, or somebody has added these before.
pub fn install(session: &mut Session) -> anyhow::Result<()> {
    session.ask(include_str!("note.sql")).context("the history cannot be installed").map(drop)
}

/// Looks at the database until it is told to stop.
#[derive(Debug)]
pub struct History {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    is_over: AtomicBool,
    seen: Mutex<BTreeMap<i64, Change>>,
    adoption: Mutex<Adoption>,
}

#[derive(Deserialize)]
struct Noted {
    number: i64,
    transaction: i64,
    sort: Sort,
    old: Option<Row>,
    new: Option<Row>,
}

impl History {
    /// Begins to look.
    #[must_use]
    pub fn follow(mut session: Session, stopwatch: Stopwatch) -> Self {
        let shared = Arc::new(Shared::default());
        let mine = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let mut numbers = Numbers::default();
            while !mine.is_over.load(Ordering::Relaxed) {
                // The database is away from time to time, that is what this is about.
                drop(mine.look(&mut session, &mut numbers, stopwatch));
                std::thread::sleep(LOOK);
            }
        });
        Self { shared, thread: Some(thread) }
    }

    /// A worker is killed at this moment.
    pub fn worker_killed(&self, at: Millis, process: u32) {
        lock(&self.shared.adoption).killed(at, process);
    }

    /// How long it took until operations were watched again.
    #[must_use]
    pub fn adoption_times(&self) -> Times {
        lock(&self.shared.adoption).times()
    }

    /// Stops, reads everything once more, and returns all changes in their order, and all events.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn finish(
        mut self,
        session: &mut Session,
        stopwatch: Stopwatch,
    ) -> anyhow::Result<(Vec<Change>, Vec<Event>)> {
        self.stop();
        session.ask_patiently("SELECT 1")?;
        self.shared.take(session, 0, stopwatch.now())?;
        let events = session.ask("SELECT event || jsonb_build_object('transaction', transaction) FROM chaos_events ORDER BY number")?;
        let events = events.iter().map(|line| serde_json::from_str(line)).collect::<Result<_, _>>()?;
        let changes = std::mem::take(&mut *lock(&self.shared.seen));
        Ok((changes.into_values().collect(), events))
    }

    fn stop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed, and is of no further use here.
            drop(thread.join());
        }
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Up to which number everything was seen. Numbers appear in the order of commits, not in their own.
#[derive(Debug, Default)]
struct Numbers {
    all_up_to: i64,
    beyond: HashSet<i64>,
    waiting_since: Millis,
}

impl Numbers {
    fn saw(&mut self, numbers: impl Iterator<Item = i64>, at: Millis) {
        self.beyond.extend(numbers);
        while !self.beyond.is_empty() {
            let next = self.all_up_to.saturating_add(1);
            let is_given_up = at.saturating_sub(self.waiting_since) > GAP_MS;
            if !self.beyond.remove(&next) && !is_given_up {
                return;
            }
            self.all_up_to = next;
            if !is_given_up {
                self.waiting_since = at;
            }
        }
        self.waiting_since = at;
    }
}

impl Shared {
    fn look(&self, session: &mut Session, numbers: &mut Numbers, stopwatch: Stopwatch) -> anyhow::Result<()> {
        let seen = self.take(session, numbers.all_up_to, stopwatch.now())?;
        numbers.saw(seen.into_iter(), stopwatch.now());
        let lines = session
            .ask("SELECT arguments->>'operation', arguments->>'id', claim, claimed_by FROM jobs WHERE kind = 'check_operation'")?;
        let jobs: HashMap<(Sort, i64), Watching> = lines.iter().filter_map(|line| watching(line)).collect();
        lock(&self.adoption).look(stopwatch.now(), jobs);
        Ok(())
    }

    fn take(&self, session: &mut Session, after: i64, at: Millis) -> anyhow::Result<Vec<i64>> {
        let sql = format!(
            "SELECT jsonb_build_object('number', number, 'transaction', transaction, 'sort', sort, 'old', old, 'new', new)
             FROM chaos_changes WHERE number > {after} ORDER BY number"
        );
        let mut numbers = Vec::new();
        for line in session.ask(&sql)? {
            let Noted { number, transaction, sort, old, new } = serde_json::from_str(&line).context(line)?;
            numbers.push(number);
            let change = Change { number, transaction, sort, old, new, seen: at };
            lock(&self.seen).entry(number).or_insert(change);
        }
        Ok(numbers)
    }
}

/// A holder is named `host/process/group/…`.
fn watching(line: &str) -> Option<((Sort, i64), Watching)> {
    let mut columns = line.split('|');
    let sort = match columns.next()? {
        "backup" => Sort::Backup,
        "restore" => Sort::Restore,
        _ => return None,
    };
    let (id, claim) = (columns.next()?.parse().ok()?, columns.next()?.parse().ok()?);
    let held_by = columns.next().and_then(|holder| holder.split('/').nth(1)?.parse().ok());
    Some(((sort, id), Watching { claim, held_by }))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_comes_late_is_waited_for_and_one_that_never_comes_is_not() {
        let mut numbers = Numbers::default();
        numbers.saw([1, 2, 4].into_iter(), 0);
        assert_eq!(numbers.all_up_to, 2);
        numbers.saw([3, 4].into_iter(), 10);
        assert_eq!(numbers.all_up_to, 4);
        numbers.saw([40].into_iter(), 20);
        assert_eq!(numbers.all_up_to, 4);
        numbers.saw([40].into_iter(), 20 + GAP_MS * 2);
        assert_eq!(numbers.all_up_to, 40);
    }

    #[test]
    fn watching_jobs_are_read() {
        let held = Watching { claim: 12, held_by: Some(4711) };
        assert_eq!(watching("restore|7|12|host/4711/group-1/ab12"), Some(((Sort::Restore, 7), held)));
        let waiting = Watching { claim: 12, held_by: None };
        assert_eq!(watching("backup|7|12|"), Some(((Sort::Backup, 7), waiting)));
        assert_eq!(watching("something|7|12|"), None);
    }
}
