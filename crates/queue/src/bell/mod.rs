//! Waking idle runners after a commit. A notification sent by the enqueuing transaction itself would be simpler, but Postgres
//! lets only one transaction at a time commit with one, flush to disk included, which serialises all requests.
//! So whoever enqueues on a connection with a bell has it rung as soon as the transaction is committed: by a thread of
//! its own (`ringer.rs`), noticed on the connection itself (`attached.rs`), so that no caller can forget it. On a connection
//! without a bell the transaction notifies, as ever; so does one now and then on a connection with a bell, since with little to
//! do nobody queues up, and its commit is heard sooner. A ring that gets lost is made up for by polling.

mod attached;
mod ringer;

use std::collections::BTreeSet;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use diesel::Connection;
use diesel::pg::PgConnection;
use diesel::r2d2::CustomizeConnection;

use crate::sql::CHANNEL;

use attached::Attached;
pub(crate) use attached::announcing;

/// Wakes the idle runners of a database. Clones ring the same bell. As the `connection_customizer` of a pool, it is attached
/// to every connection of the pool. Proven by `a_bell_rings_after_the_commit_and_not_within_the_transaction`.
#[derive(Clone)]
pub struct Bell {
    shared: Arc<Shared>,
}

struct Shared {
    database_url: String,
    due: Arc<Mutex<Due>>,
    /// The way to the thread, from the first ring on.
    ringer: OnceLock<SyncSender<()>>,
    /// Until then, no transaction notifies by itself.
    silent_until: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Bell {
    /// Leaves the URL out: it may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bell").field("due", &self.shared.due).finish_non_exhaustive()
    }
}

impl Bell {
    /// Makes a bell of the database with this URL. It connects when it is first rung.
    #[must_use]
    pub fn new(database_url: impl Into<String>) -> Self {
        let shared = Shared {
            database_url: database_url.into(),
            due: Arc::default(),
            ringer: OnceLock::new(),
            silent_until: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Lets this connection ring: from now on, what is enqueued on it is announced right after its commit. Replaces the
    /// connection's instrumentation, should it have one.
    pub fn attach(&self, conn: &mut PgConnection) {
        conn.set_instrumentation(Attached::new(self.clone()));
    }

    /// Wakes the runners that serve any of these queues; all runners, if there are too many to name. Returns at once.
    pub fn ring<'a>(&self, queues: impl IntoIterator<Item = &'a str>) {
        let mut due = Due::default();
        due.add(queues);
        self.ring_for(due);
    }

    /// Whether a transaction may notify by itself, which this one then does.
    fn is_quiet(&self) -> bool {
        let (mut silent_until, now) = (self.silent_until(), Instant::now());
        let is_quiet = silent_until.is_none_or(|until| until <= now);
        if is_quiet {
            *silent_until = Some(now + BETWEEN_TRANSACTIONS);
        }
        is_quiet
    }

    /// Notes how long the commit of such a transaction took.
    fn committed(&self, took: Duration) {
        let mut silent_until = self.silent_until();
        *silent_until = (*silent_until).max(Some(Instant::now() + took.saturating_mul(SHARE)));
    }

    fn silent_until(&self) -> MutexGuard<'_, Option<Instant>> {
        self.shared.silent_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ring_for(&self, due: Due) {
        if due.is_none() {
            return;
        }
        let shared = &self.shared;
        shared.due.lock().unwrap_or_else(PoisonError::into_inner).merge(due);
        let start = || ringer::start(shared.database_url.clone(), Arc::clone(&shared.due));
        // Full: the ringer has yet to look, and will find this as well.
        let _ = shared.ringer.get_or_init(start).try_send(());
    }
}

impl CustomizeConnection<PgConnection, diesel::r2d2::Error> for Bell {
    fn on_acquire(&self, conn: &mut PgConnection) -> Result<(), diesel::r2d2::Error> {
        self.attach(conn);
        Ok(())
    }
}

/// The queues in which something has become ready and that have yet to be announced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Due {
    queues: BTreeSet<String>,
    /// It is not known which.
    any: bool,
}

/// At most so often one of a process's transactions notifies by itself. Its commit holds up the others that do, for as long
/// as a flush to disk takes …
const BETWEEN_TRANSACTIONS: Duration = Duration::from_millis(3);
/// … so these commits take one part in so many of the time at most, however slow the disk is.
const SHARE: u32 = 10;
/// Postgres takes payloads below 8000 bytes.
const LONGEST_PAYLOAD: usize = 4000;
const BETWEEN: char = ',';

impl Due {
    /// Every queue.
    pub(crate) fn any() -> Self {
        Self { any: true, ..Self::default() }
    }

    pub(crate) fn add<'a>(&mut self, queues: impl IntoIterator<Item = &'a str>) {
        for queue in queues {
            if queue.is_empty() || queue.contains(BETWEEN) {
                self.any = true;
            } else if !self.queues.contains(queue) {
                self.queues.insert(queue.to_owned());
            }
        }
    }

    fn merge(&mut self, other: Self) {
        self.any |= other.any;
        self.queues.extend(other.queues);
    }

    pub(crate) fn is_none(&self) -> bool {
        !self.any && self.queues.is_empty()
    }

    /// The queues' names, or nothing for every queue. Once per ring, never one per job.
    pub(crate) fn payload(&self) -> String {
        let mut names = String::new();
        if !self.any {
            for queue in &self.queues {
                if !names.is_empty() {
                    names.push(BETWEEN);
                }
                names.push_str(queue);
            }
        }
        if names.len() > LONGEST_PAYLOAD { String::new() } else { names }
    }
}

/// Tells whether a notification is of interest to a runner of these queues.
pub(crate) fn concerns(payload: &str, queues: &[String]) -> bool {
    payload.is_empty() || payload.split(BETWEEN).any(|name| queues.iter().any(|queue| queue == name))
}

/// Sends the notification; on a connection within a transaction it goes out with the commit.
pub(crate) fn notify(conn: &mut PgConnection, due: &Due) -> diesel::QueryResult<()> {
    use diesel::RunQueryDsl;
    use diesel::sql_types::Text;
    diesel::sql_query("select pg_notify($1, $2)::text")
        .bind::<Text, _>(CHANNEL)
        .bind::<Text, _>(due.payload())
        .execute(conn)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(queues: &[&str]) -> Due {
        let mut due = Due::default();
        due.add(queues.iter().copied());
        due
    }

    #[test]
    fn a_notification_names_its_queues_and_reaches_those_who_serve_one() {
        let served = ["letters".to_owned(), "parcels".to_owned()];
        let payload = due(&["parcels", "airmail", "parcels"]).payload();
        assert_eq!(payload, "airmail,parcels");
        assert!(concerns(&payload, &served));
        assert!(!concerns("airmail,letter", &served));
        assert!(!concerns(&payload, &[]));
    }

    #[test]
    fn after_a_slow_commit_transactions_are_silent_for_a_while() {
        let bell = Bell::new("");
        assert!(bell.is_quiet(), "the first one may");
        bell.committed(Duration::from_secs(60));
        bell.committed(Duration::ZERO);
        assert!(!bell.is_quiet());
        assert!(Bell::new("").is_quiet(), "others are not concerned");
    }

    #[test]
    fn what_cannot_be_named_concerns_everybody() {
        let long: Vec<String> = (0..2000).map(|number| format!("queue-{number}")).collect();
        let long: Vec<&str> = long.iter().map(String::as_str).collect();
        for due in [due(&["a,b"]), due(&[""]), due(&long), Due::any()] {
            assert_eq!(due.payload(), "");
            assert!(concerns(&due.payload(), &["letters".to_owned()]));
            assert!(!due.is_none());
        }
        assert!(due(&[]).is_none());
    }
}
