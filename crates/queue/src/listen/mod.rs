//! Hearing that something became ready: a thread with a connection of its own that turns notifications into wake-ups,
//! the moment they arrive on its socket (`socket.rs`). Only ever a hint. What is missed while the connection is away is found
//! by polling, and by the look right after a reconnect.

mod socket;

use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use mio::Waker;
use tokio::sync::Notify;

use crate::bell::concerns;
use crate::outcome::chain;
use crate::sql::CHANNEL;
use socket::Arrivals;

/// How often the connection is asked whether it is still there.
const PROBE: Duration = Duration::from_secs(15);
/// Waits between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

type Failure = Box<dyn StdError>;

/// Ends the listening when dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    is_over: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        if let Err(error) = self.waker.wake() {
            tracing::debug!(%error, "the listener will see by the clock that it is to stop");
        }
    }
}

/// Starts the thread, which wakes when something is ready in one of these queues. It ends soon after its [`Listening`]; it
/// is not waited for, since connecting may take long.
pub(crate) fn start(database_url: String, queues: Vec<String>, wake: Arc<Notify>) -> Option<Listening> {
    let started = Arrivals::new().and_then(|(arrivals, waker)| {
        let is_over = Arc::new(AtomicBool::new(false));
        let listener = Listener { database_url, queues, wake, arrivals, is_over: Arc::clone(&is_over) };
        thread::Builder::new().name("queue-listener".into()).spawn(move || listener.run())?;
        Ok(Listening { is_over, waker })
    });
    started.inspect_err(|error| tracing::warn!(%error, "cannot listen for new jobs; polling alone finds them")).ok()
}

struct Listener {
    database_url: String,
    queues: Vec<String>,
    wake: Arc<Notify>,
    arrivals: Arrivals,
    is_over: Arc<AtomicBool>,
}

impl Listener {
    fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        let mut told = false;
        while !self.is_over() {
            let connected = self.connect();
            if connected.is_ok() {
                if told {
                    tracing::info!("listening for new jobs again");
                }
                (pause, told) = (FIRST_PAUSE, false);
            }
            let Err(error) = connected.and_then(|conn| self.listen(conn)) else { return };
            if !told {
                tracing::warn!(error = chain(&*error), "not listening for new jobs; polling until this is over");
                told = true;
            }
            self.arrivals.rest(pause);
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    fn connect(&mut self) -> Result<PgConnection, Failure> {
        let mut conn = self.arrivals.connect(|| PgConnection::establish(&self.database_url))?;
        diesel::sql_query(format!("listen {CHANNEL}")).execute(&mut conn)?;
        Ok(conn)
    }

    /// Listens until told to stop, or with an error at the first sign that the connection is gone.
    fn listen(&mut self, mut conn: PgConnection) -> Result<(), Failure> {
        // What came before we listened.
        self.wake.notify_one();
        let mut probed = Instant::now();
        while !self.is_over() {
            let mut heard = false;
            for notification in conn.notifications_iter() {
                // After the first error the iterator would yield errors for ever.
                heard |= concerns(&notification?.payload, &self.queues);
            }
            if heard {
                self.wake.notify_one();
            }
            if probed.elapsed() >= PROBE {
                diesel::sql_query("select 1").execute(&mut conn)?;
                probed = Instant::now();
                // The answer may have brought notifications along.
                continue;
            }
            self.arrivals.wait(PROBE.saturating_sub(probed.elapsed()));
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }
}
