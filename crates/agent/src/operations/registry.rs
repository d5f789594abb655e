//! All operations the agent knows, those that run, and the rules which may begin.

use std::collections::hash_map::Entry::Vacant;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backup_objects::{BackupFolder, Store};
use backup_protocol::{OperationState, OperationStatus};
use chrono::Utc;
use tokio::sync::watch;

use super::entry::{Entry, Key, Kind};
use super::journal::{self, Journal, JournalError};
use super::refusal::Refused;
use super::start::Start;
use crate::drivers::Driver;
use crate::pipeline::Progress;
use crate::session::{Session, Stop};

/// What operations need of the configuration.
pub(crate) struct Settings {
    /// The data service.
    pub(crate) driver: Arc<dyn Driver>,
    /// The stores by name.
    pub(crate) stores: BTreeMap<String, Store>,
    /// Backups at once.
    pub(crate) concurrency: usize,
    /// Bytes uploaded in one piece.
    pub(crate) chunk_size: usize,
    /// Where operations run.
    pub(crate) runtime: tokio::runtime::Handle,
}

/// Resolves when an operation has ended.
pub(crate) type Ended = watch::Receiver<bool>;

/// The registry; clones share it. Its functions write to disk and must not be called from asynchronous code.
#[derive(Clone)]
pub(crate) struct Operations {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) settings: Settings,
    pub(super) journal: Journal,
    state: Mutex<State>,
    /// Held while a restore runs or leftovers of one are removed.
    pub(super) exclusive: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) entries: HashMap<Key, Entry>,
    pub(super) running: HashMap<Key, Running>,
    closing: bool,
}

pub(super) struct Running {
    pub(super) session: Session,
    pub(super) progress: Arc<Progress>,
    ended: watch::Receiver<bool>,
    /// Dropped or set when the operation is recorded as ended.
    pub(super) end: watch::Sender<bool>,
}

impl Operations {
    /// Opens the journal; nothing runs yet. [`Operations::recover`] comes next.
    ///
    /// # Errors
    /// When the journal cannot be read or belongs to another agent.
    pub(crate) fn open(settings: Settings, directory: &std::path::Path) -> Result<Self, JournalError> {
        let (journal, entries) = Journal::open(directory)?;
        let entries = entries.into_iter().map(|entry| (entry.key(), entry)).collect();
        let state = Mutex::new(State { entries, ..State::default() });
        Ok(Self { inner: Arc::new(Inner { settings, journal, state, exclusive: Arc::default() }) })
    }

    /// The driver all operations use.
    pub(crate) fn driver(&self) -> Arc<dyn Driver> {
        Arc::clone(&self.inner.settings.driver)
    }

    /// Starts an operation, or tells how it stands when it is known already. True: started by this call.
    ///
    /// # Errors
    /// See [`Refused`]; a refused request leaves no trace.
    pub(crate) fn start(&self, id: &str, request: Start) -> Result<(bool, OperationStatus), Refused> {
        check_id(id)?;
        let now = Utc::now();
        let key = (request.kind(), id.to_owned());
        let mut state = self.state();
        if let Some(entry) = state.entries.get_mut(&key) {
            self.meet_epoch(entry, request.epoch())?;
            return Ok((false, state.status(&key)?));
        }
        let place = request.check(id, &self.inner.settings, now)?;
        self.check_room(&state, key.0)?;
        let entry = Entry::begin(key.0, id, request.epoch(), now);
        // Recorded before anything is done: a killed agent must know of it.
        self.inner.journal.save(&entry)?;
        let (end, ended) = watch::channel(false);
        let running = Running { session: Session::default(), progress: Arc::default(), ended, end };
        let (session, progress) = (running.session.clone(), Arc::clone(&running.progress));
        state.entries.insert(key.clone(), entry);
        state.running.insert(key.clone(), running);
        let status = state.status(&key)?;
        self.forget_expired(&mut state);
        drop(state);
        tracing::info!(kind = %key.0, id, epoch = status.epoch, "operation started");
        self.inner.settings.runtime.spawn(self.clone().perform(key, request, place, session, progress));
        Ok((true, status))
    }

    /// How an operation stands.
    ///
    /// # Errors
    /// [`Refused::NotFound`].
    pub(crate) fn status(&self, kind: Kind, id: &str) -> Result<OperationStatus, Refused> {
        self.state().status(&(kind, id.to_owned()))
    }

    /// Stops an operation; one never heard of is recorded as cancelled, so that a late start does nothing.
    /// The second value resolves when a running one has ended.
    ///
    /// # Errors
    /// When the id is not one, or the disk does not work.
    pub(crate) fn cancel(&self, kind: Kind, id: &str) -> Result<Option<Ended>, Refused> {
        check_id(id)?;
        let key = (kind, id.to_owned());
        let mut state = self.state();
        if let Some(running) = state.running.get(&key) {
            running.session.stop(Stop::Cancelled);
            return Ok(Some(running.ended.clone()));
        }
        if let Vacant(place) = state.entries.entry(key) {
            let now = Utc::now();
            let mut entry = Entry::begin(kind, id, 0, now);
            entry.end(OperationState::Cancelled, None, now);
            self.inner.journal.save(&entry)?;
            place.insert(entry);
        }
        Ok(None)
    }

    /// Starts nothing more and stops what runs; the values resolve when all has ended.
    pub(crate) fn close(&self) -> Vec<Ended> {
        let mut state = self.state();
        state.closing = true;
        state.running.values().for_each(|running| running.session.stop(Stop::Interrupted));
        state.running.values().map(|running| running.ended.clone()).collect()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a higher epoch, refuses a lower one.
    fn meet_epoch(&self, entry: &mut Entry, asked: i64) -> Result<(), Refused> {
        let known = entry.status.epoch;
        if asked < known {
            return Err(Refused::StaleEpoch { asked, known });
        }
        if asked > known {
            entry.status.epoch = asked;
            if let Err(error) = self.inner.journal.save(entry) {
                entry.status.epoch = known;
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// A restore runs alone. Backups run up to the limit; with a limit of one, the one that runs is named.
    fn check_room(&self, state: &State, kind: Kind) -> Result<(), Refused> {
        if state.closing {
            return Err(Refused::Busy("the agent is stopping"));
        }
        let exclusive =
            state.running.keys().find(|(running, _)| kind == Kind::Restore || *running == Kind::Restore);
        let limit = self.inner.settings.concurrency;
        match (exclusive, state.running.keys().next()) {
            (Some((_, id)), _) => Err(Refused::OperationRunning(id.clone())),
            (None, Some((_, id))) if limit == 1 => Err(Refused::OperationRunning(id.clone())),
            _ if state.running.len() >= limit => Err(Refused::Busy("as many backups run as are allowed")),
            _ => Ok(()),
        }
    }

    pub(super) fn forget_expired(&self, state: &mut State) {
        for key in journal::expired(state.entries.values()) {
            match self.inner.journal.remove(&key) {
                Ok(()) => drop(state.entries.remove(&key)),
                Err(error) => tracing::warn!(%error, "an old record stays"),
            }
        }
    }
}

impl State {
    fn status(&self, key: &Key) -> Result<OperationStatus, Refused> {
        let mut status = self.entries.get(key).ok_or(Refused::NotFound)?.status.clone();
        if let Some(running) = self.running.get(key) {
            running.progress.fill(&mut status);
        }
        Ok(status)
    }
}

/// The id becomes a file name here and a folder name in the store.
fn check_id(id: &str) -> Result<(), Refused> {
    BackupFolder::parse("x", id).map(drop).map_err(|e| Refused::bad("id", e.to_string()))
}
