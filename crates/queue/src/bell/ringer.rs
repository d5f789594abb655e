//! The thread that sends the notifications, on a connection of its own. What comes in while one is under way goes into the
//! next, so that a storm of commits is a breeze of notifications.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use super::{Due, notify};
use crate::outcome::chain;

/// The least time between two notifications.
const DEBOUNCE: Duration = Duration::from_millis(2);
/// A connection not used for this long is given back.
const IDLE: Duration = Duration::from_secs(300);

/// Starts the thread; it ends with the last sender.
pub(super) fn start(database_url: String, due: Arc<Mutex<Due>>) -> SyncSender<()> {
    let (sender, receiver) = sync_channel(1);
    let ringer = Ringer { database_url, due, conn: None, is_failing: false };
    if let Err(error) = thread::Builder::new().name("queue-bell".into()).spawn(move || ringer.run(&receiver)) {
        tracing::warn!(%error, "no thread to announce new jobs; polling alone finds them");
    }
    sender
}

struct Ringer {
    database_url: String,
    due: Arc<Mutex<Due>>,
    conn: Option<PgConnection>,
    is_failing: bool,
}

impl Ringer {
    fn run(mut self, rung: &Receiver<()>) {
        loop {
            match rung.recv_timeout(IDLE) {
                Ok(()) => self.ring(),
                Err(RecvTimeoutError::Timeout) => self.conn = None,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn ring(&mut self) {
        let due = std::mem::take(&mut *self.due.lock().unwrap_or_else(PoisonError::into_inner));
        if due.is_none() {
            return;
        }
        // The connection may have been cut since the last time; a new one must do.
        let sent = match self.conn.take() {
            Some(conn) => self.send(conn, &due).or_else(|_| self.send_anew(&due)),
            None => self.send_anew(&due),
        };
        match sent {
            Ok(()) => self.is_failing = false,
            Err(_) if self.is_failing => {}
            Err(error) => {
                self.is_failing = true;
                tracing::warn!(error, "new jobs could not be announced; polling finds them");
            }
        }
        thread::sleep(DEBOUNCE);
    }

    fn send_anew(&mut self, due: &Due) -> Result<(), String> {
        let mut conn = PgConnection::establish(&self.database_url).map_err(|error| chain(&error))?;
        // There is nothing to be kept of a notification, so no disk need be waited for.
        conn.batch_execute("set synchronous_commit = off; set statement_timeout = '10s'")
            .map_err(|error| chain(&error))?;
        self.send(conn, due)
    }

    fn send(&mut self, mut conn: PgConnection, due: &Due) -> Result<(), String> {
        notify(&mut conn, due).map_err(|error| chain(&error))?;
        self.conn = Some(conn);
        Ok(())
    }
}
