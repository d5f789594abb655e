//! One operation's right to go on, and the programs it has started. Stopping a session kills those programs with all
//! their children; after that no new one starts. It decides nothing: who stops a session says why.

mod background;
mod complaints;
mod process;
mod redact;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio_util::sync::CancellationToken;

use crate::drivers::DriverError;

pub(crate) use process::{Program, RunningProgram, require_setpriv};
pub(crate) use redact::redact;

/// Why an operation must stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The manager asked for it.
    Cancelled,
    /// The deadline has passed.
    TimedOut,
    /// The agent itself ends.
    Interrupted,
    /// Another part of the pipeline failed and says why.
    Failed,
}

/// A handle on one operation; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Session {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    stop: OnceLock<Stop>,
    exchanging: AtomicBool,
    token: CancellationToken,
    /// Process groups that have not been waited for yet, so their numbers cannot belong to anybody else.
    groups: Mutex<HashSet<i32>>,
}

impl Session {
    /// Stops the operation and kills its programs. The first reason given is kept.
    pub(crate) fn stop(&self, why: Stop) {
        // A later reason does not replace the first.
        let _ = self.inner.stop.set(why);
        let groups = self.groups();
        self.inner.token.cancel();
        for group in groups.iter() {
            kill_group(*group);
        }
    }

    /// Why the operation must stop, if it must.
    pub(crate) fn stopped(&self) -> Option<Stop> {
        self.inner.stop.get().copied()
    }

    /// From now on the operation runs to its end; see [`crate::drivers::Loaded::commit`].
    pub(crate) fn begin_exchange(&self) {
        self.inner.exchanging.store(true, Ordering::Release);
    }

    /// Whether the exchange has begun.
    pub(crate) fn is_exchanging(&self) -> bool {
        self.inner.exchanging.load(Ordering::Acquire)
    }

    /// Resolves when the session is stopped.
    pub(crate) async fn wait_until_stopped(&self) {
        self.inner.token.cancelled().await;
    }

    /// Fails once the session is stopped; long loops ask it.
    ///
    /// # Errors
    /// [`DriverError::Stopped`].
    pub(crate) fn check(&self) -> Result<(), DriverError> {
        self.stopped().map_or(Ok(()), |_| Err(DriverError::Stopped))
    }

    fn groups(&self) -> MutexGuard<'_, HashSet<i32>> {
        self.inner.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a started process group known; kills it at once when the session is stopped already.
    fn register(&self, group: i32) {
        let mut groups = self.groups();
        groups.insert(group);
        if self.stopped().is_some() {
            kill_group(group);
        }
    }

    /// Leaves a group alone that belongs to another session now.
    fn forget(&self, group: i32) {
        self.groups().remove(&group);
    }

    /// Kills what is left of a group whose leader has ended but is not reaped yet, and forgets it.
    fn release(&self, group: i32) {
        let mut groups = self.groups();
        if groups.remove(&group) {
            kill_group(group);
        }
    }
}

/// The group may have ended by itself; then there is nothing to kill.
fn kill_group(group: i32) {
    let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
}

/// A session of its own for cleaning up, which a cancelled or late operation needs as well; ended after a while.
#[derive(Debug)]
pub(crate) struct LimitedSession {
    session: Session,
    /// Ends the watching thread when dropped.
    _keeper: std::sync::mpsc::Sender<()>,
}

impl LimitedSession {
    /// A session that is stopped after `limit`.
    pub(crate) fn new(limit: std::time::Duration) -> Self {
        let session = Session::default();
        let (keeper, dropped) = std::sync::mpsc::channel::<()>();
        let watched = session.clone();
        std::thread::spawn(move || {
            if dropped.recv_timeout(limit) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                watched.stop(Stop::TimedOut);
            }
        });
        Self { session, _keeper: keeper }
    }
}

impl std::ops::Deref for LimitedSession {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}
