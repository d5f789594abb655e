//! Hearing that something became ready: a thread with a connection of its own that turns notifications into wake-ups.
//! Only ever a hint. What is missed while the connection is away is found by polling, and by the look right after
//! a reconnect.

use std::error::Error as StdError;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::outcome::chain;
use crate::sql::CHANNEL;

/// How often the socket is looked at; also the debounce, since all that came in between is one wake-up.
const LOOK: Duration = Duration::from_millis(10);
/// How often the connection is asked whether it is still there.
const PROBE: Duration = Duration::from_secs(15);
/// Waits between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Starts the thread; it ends soon after `stop`. It is not waited for, since connecting may take long.
pub(crate) fn start(database_url: String, wake: Arc<Notify>, stop: CancellationToken) {
    let listener = Listener { database_url, wake, stop };
    if let Err(error) = thread::Builder::new().name("queue-listener".into()).spawn(move || listener.run()) {
        tracing::warn!(%error, "no thread to listen for new jobs; polling alone finds them");
    }
}

struct Listener {
    database_url: String,
    wake: Arc<Notify>,
    stop: CancellationToken,
}

impl Listener {
    fn run(self) {
        let mut pause = FIRST_PAUSE;
        let mut told = false;
        while !self.stop.is_cancelled() {
            let connected = self.connect();
            if connected.is_ok() {
                if told {
                    tracing::info!("listening for new jobs again");
                }
                (pause, told) = (FIRST_PAUSE, false);
            }
            let Err(error) = connected.and_then(|conn| self.listen(conn)) else { return };
            if !told {
                tracing::warn!(
                    error = chain(&*error),
                    "not listening for new jobs; polling until this is over"
                );
                told = true;
            }
            self.rest(pause);
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    fn connect(&self) -> Result<PgConnection, Box<dyn StdError>> {
        let mut conn = PgConnection::establish(&self.database_url)?;
        diesel::sql_query(format!("listen {CHANNEL}")).execute(&mut conn)?;
        Ok(conn)
    }

    /// Listens until told to stop, or with an error at the first sign that the connection is gone.
    fn listen(&self, mut conn: PgConnection) -> Result<(), Box<dyn StdError>> {
        // What came before we listened.
        self.wake.notify_one();
        let mut probed = Instant::now();
        while !self.stop.is_cancelled() {
            let mut heard = false;
            for notification in conn.notifications_iter() {
                // After the first error the iterator would yield errors for ever.
                notification?;
                heard = true;
            }
            if heard {
                self.wake.notify_one();
            }
            if probed.elapsed() > PROBE {
                diesel::sql_query("select 1").execute(&mut conn)?;
                probed = Instant::now();
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    fn rest(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while Instant::now() < until && !self.stop.is_cancelled() {
            thread::sleep(LOOK);
        }
    }
}
