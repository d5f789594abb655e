//! All operations the agent knows, those that run, and the rules which may begin.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backup_objects::{BackupFolder, Store};
use backup_protocol::{NEVER_BEGUN, OperationError, OperationState, OperationStatus, StopOrder};
use chrono::Utc;
use tokio::sync::watch;

use super::admission::{Admission, Cancellation, Floor, admit, cancel};
use super::entry::{Entry, Key, Kind};
use super::journal::{self, Journal, JournalError};
use super::refusal::Refused;
use super::start::Start;
use super::uploads::Uploads;
use crate::archive::Archive;
use crate::drivers::Driver;
use crate::pipeline::Progress;
use crate::scratch::ScratchRoot;
use crate::session::{Session, Stop};

/// What operations need of the configuration.
pub(crate) struct Settings {
    /// The data service.
    pub(crate) driver: Arc<dyn Driver>,
    /// The archive of its log, when it has one.
    pub(crate) archive: Option<Archive>,
    /// The stores by name.
    pub(crate) stores: BTreeMap<String, Store>,
    /// Where rehearsals have their scratch data services.
    pub(crate) rehearsals: Arc<ScratchRoot>,
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
    pub(super) uploads: Arc<Uploads>,
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
    pub(crate) fn open(mut settings: Settings, directory: &std::path::Path) -> Result<Self, JournalError> {
        let (journal, entries) = Journal::open(directory)?;
        let entries = entries.into_iter().map(|entry| (entry.key(), entry)).collect();
        let state = Mutex::new(State { entries, ..State::default() });
        let uploads = Arc::new(Uploads::open(directory)?);
        for store in settings.stores.values_mut() {
            *store = store.clone().recording(Arc::<Uploads>::clone(&uploads));
        }
        Ok(Self { inner: Arc::new(Inner { settings, journal, state, exclusive: Arc::default(), uploads }) })
    }

    /// The driver all operations use.
    pub(crate) fn driver(&self) -> Arc<dyn Driver> {
        Arc::clone(&self.inner.settings.driver)
    }

    /// The archive of the data service's log, when there is one.
    pub(crate) fn archive(&self) -> Option<&Archive> {
        self.inner.settings.archive.as_ref()
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
        let asked = request.epoch();
        let known = state.entries.get(&key).map(|entry| entry.status.epoch);
        let running: Vec<(Kind, &str)> =
            state.running.keys().map(|(kind, id)| (*kind, id.as_str())).collect();
        let floor =
            Floor { is_closing: state.closing, running: &running, limit: self.inner.settings.concurrency };
        let full = match admit(known, asked, key.0, floor) {
            Admission::Begin => None,
            Admission::Busy(why) => Some(Refused::Busy(why)),
            Admission::OperationRunning(id) => Some(Refused::OperationRunning(id.to_owned())),
            Admission::Stale { known } => return Err(Refused::StaleEpoch { asked, known }),
            Admission::Repeat { is_newer } => {
                if is_newer {
                    self.remember_epoch(&mut state, &key, asked)?;
                }
                return Ok((false, state.status(&key)?));
            }
        };
        // A request that can never be fulfilled is told so at once, room or not.
        let place = request.check(id, &self.inner.settings, now)?;
        if let Some(refused) = full {
            return Err(refused);
        }
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
    /// When the id is not one, a newer dispatch is known, or the disk does not work.
    pub(crate) fn cancel(&self, kind: Kind, id: &str, order: StopOrder) -> Result<Option<Ended>, Refused> {
        check_id(id)?;
        let key = (kind, id.to_owned());
        let mut state = self.state();
        let known = state.entries.get(&key).map(|entry| entry.status.epoch);
        let cancellation = cancel(known, state.running.contains_key(&key), order);
        // Remembered first: what an older dispatch asks for after this is stale.
        if !matches!(cancellation, Cancellation::Stale { .. })
            && let (Some(known), Some(asked)) = (known, order.epoch)
            && asked > known
        {
            self.remember_epoch(&mut state, &key, asked)?;
        }
        match cancellation {
            Cancellation::Stop => {
                let running = state.running.get(&key);
                running.inspect(|running| running.session.stop(Stop::Cancelled));
                return Ok(running.map(|running| running.ended.clone()));
            }
            Cancellation::Nothing => {}
            Cancellation::Stale { known } => {
                return Err(Refused::StaleEpoch { asked: order.epoch.unwrap_or(0), known });
            }
            Cancellation::Remember { epoch } => {
                let now = Utc::now();
                let mut entry = Entry::begin(kind, id, epoch, now);
                let message = "it was stopped before it had begun".to_owned();
                let error = OperationError { code: NEVER_BEGUN.to_owned(), message };
                entry.end(OperationState::Cancelled, Some(error), now);
                self.inner.journal.save(&entry)?;
                state.entries.insert(key, entry);
            }
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

    /// What is not on disk is not in memory either.
    fn remember_epoch(&self, state: &mut State, key: &Key, epoch: i64) -> Result<(), Refused> {
        let entry = state.entries.get_mut(key).ok_or(Refused::NotFound)?;
        let known = std::mem::replace(&mut entry.status.epoch, epoch);
        if let Err(error) = self.inner.journal.save(entry) {
            entry.status.epoch = known;
            return Err(error.into());
        }
        Ok(())
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
