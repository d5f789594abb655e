//! The archive of a PostgreSQL server's log: between base backups every segment goes, compressed and encrypted, into the
//! folder of the base it belongs to. What is promised by it is a window per base: any moment from the end of the base
//! to the newest moment whose log is stored. The record in `state.rs` survives restarts and holds no key: segments are
//! encrypted to a public key whose secret half lies in the folder, encrypted under the backup's own key.
//! It is run by [`Archive::keep_going`]; how a log comes back is in `feed.rs`.

mod feed;
mod receiver;
mod state;
mod target;
mod upload;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use backup_objects::{BackupFolder, Store};
use backup_protocol::{Encryption, PitrReport};
use tokio_util::sync::CancellationToken;

use crate::drivers::physical::Position;
use crate::drivers::{DriverError, Physical};
use crate::pipeline::Failure;
use crate::session::LimitedSession;

pub(crate) use feed::StoredLog;
use receiver::Receiver;
use state::State;
use target::{Mark, Target};

const PAUSE: Duration = Duration::from_millis(500);
/// After a failure, such as a store that is away, the next try waits this long at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const QUESTION: Duration = Duration::from_secs(30);
/// How long a base backup waits until the server's log is being received.
const CONNECTS: Duration = Duration::from_secs(60);

/// The archive; clones share it.
#[derive(Clone)]
pub(crate) struct Archive {
    inner: Arc<Inner>,
}

struct Inner {
    physical: Arc<Physical>,
    stores: BTreeMap<String, Store>,
    directory: PathBuf,
    /// Held while anything is uploaded or decided.
    state: tokio::sync::Mutex<State>,
    report: Mutex<PitrReport>,
    receiver: Mutex<Option<Receiver>>,
}

/// Where a base backup goes that is about to begin.
pub(crate) struct Base<'a> {
    /// The backup's id.
    pub(crate) backup_id: &'a str,
    /// The name of its store.
    pub(crate) store: &'a str,
    /// See [`backup_protocol::StartBackup::object_prefix`].
    pub(crate) object_prefix: &'a str,
    /// What the owner object of its folder holds.
    pub(crate) owner: &'a str,
    /// Scheme and key of the base.
    pub(crate) encryption: &'a Encryption,
}

impl Archive {
    /// Reads the record below the scratch directory; nothing is received yet.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub(crate) fn open(
        physical: Arc<Physical>,
        stores: BTreeMap<String, Store>,
        scratch: &Path,
    ) -> Result<Self, DriverError> {
        let directory = scratch.join("wal");
        let state = State::open(&directory)?;
        let report = Mutex::new(state.report());
        let inner = Inner {
            physical,
            stores,
            directory,
            state: tokio::sync::Mutex::new(state),
            report,
            receiver: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The windows, as of the last step.
    pub(crate) fn report(&self) -> PitrReport {
        self.inner.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Before a base backup: from now on every segment is kept for it. Uploads to its folder begin at once.
    ///
    /// # Errors
    /// When the server does not give its log, or the store takes no object.
    pub(crate) async fn begin(&self, base: Base<'_>) -> Result<(), Failure> {
        let mut state = self.inner.state.lock().await;
        let before = self.position().await?;
        if !state.fits(&before) {
            state.close_all("the log of the server could not be followed any longer");
            self.start_over(&mut state, &before).await?;
        }
        self.receive();
        self.wait_until_received().await?;
        let from = self.position().await?;
        let store = self.inner.stores.get(base.store);
        let store = store.ok_or_else(|| Failure::new("store_error", "the store is not configured"))?;
        let folder = BackupFolder::parse(base.object_prefix, base.backup_id)?;
        let recipient = upload::store_identity(store, &folder, base.encryption).await?;
        state.targets.push(Target::begin(&base, recipient, from.segment()));
        self.save(&mut state).map_err(Failure::from)
    }

    /// After the base backup is stored: its window begins, and those of earlier ones end here, without a gap between.
    ///
    /// # Errors
    /// When the server does not answer or the record cannot be written.
    pub(crate) async fn complete(&self, backup_id: &str) -> Result<(), Failure> {
        let mut state = self.inner.state.lock().await;
        let now = self.position().await?;
        let ours = state.targets.iter().any(|target| target.backup_id == backup_id);
        if !ours || !state.fits(&now) {
            let reason = "the log of the server could not be followed during the base backup";
            return Err(Failure::new("data_service_error", reason));
        }
        self.store_start(&state, backup_id, &now).await?;
        let mark = Mark { time: now.time, through: now.last_segment() };
        for target in &mut state.targets {
            match target.backup_id == backup_id {
                true => target.start_time = Some(now.time),
                false if target.start_time.is_some() => {
                    target.last = Some(target.last.unwrap_or(mark.through))
                }
                // Another base backup that still runs.
                false => continue,
            }
            target.mark(mark.clone());
        }
        self.save(&mut state)?;
        drop(state);
        self.switch(&now).await;
        Ok(())
    }

    /// Beside the log, so that whoever restores from the store alone knows where the window begins.
    async fn store_start(&self, state: &State, backup_id: &str, now: &Position) -> Result<(), Failure> {
        let Some(target) = state.targets.iter().find(|target| target.backup_id == backup_id) else {
            return Ok(());
        };
        let store = self.inner.stores.get(&target.store);
        let store = store.ok_or_else(|| Failure::new("store_error", "the store is not configured"))?;
        let folder = BackupFolder::parse(&target.object_prefix, &target.backup_id)?;
        let start = feed::Start { start_time: now.time, timeline: now.at.timeline };
        let bytes = serde_json::to_vec_pretty(&start).map_err(|e| Failure::new("internal", e.to_string()))?;
        Ok(store.put_bytes(&folder.log(feed::START)?, bytes.into()).await?)
    }

    /// A base backup has failed: nothing more goes into its folder, so that it can be removed.
    pub(crate) async fn abandon(&self, backup_id: &str) {
        let mut state = self.inner.state.lock().await;
        state.abandon(backup_id);
        if let Err(error) = self.save(&mut state) {
            tracing::error!(%error, "the record of the archive cannot be written");
        }
    }

    /// Receives, stores and moves the end of the window until the token is cancelled.
    pub(crate) async fn keep_going(self, until: CancellationToken) {
        let mut pause = PAUSE;
        let mut next_mark = Instant::now();
        loop {
            let waited = tokio::time::timeout(pause, until.cancelled()).await;
            if waited.is_ok() {
                break;
            }
            let is_due = Instant::now() >= next_mark;
            if is_due {
                next_mark = Instant::now() + self.inner.physical.interval();
            }
            let stepped = self.step(is_due).await;
            let trouble = stepped.err().map(|failure| failure.to_string());
            pause = match &trouble {
                None => PAUSE,
                Some(_) => pause.saturating_mul(2).min(LONGEST_PAUSE),
            };
            self.tell(trouble);
        }
        let receiver = self.receiver().take();
        // It ends its program, which may take a moment.
        let _ = tokio::task::spawn_blocking(move || drop(receiver)).await;
    }

    async fn step(&self, is_due: bool) -> Result<(), Failure> {
        let mut state = self.inner.state.lock().await;
        if state.targets.is_empty() {
            self.rest(&mut state).await?;
            return Ok(self.save(&mut state)?);
        }
        self.receive();
        let moved = upload::upload(&self.inner.stores, &mut state).await;
        self.save(&mut state)?;
        moved?;
        if !is_due || state.targets.is_empty() {
            return Ok(());
        }
        let now = self.position().await?;
        if let Some(reason) = state.misfit(&now) {
            tracing::error!(reason, "the archive of the log ends; the next base backup begins a new one");
            state.close_all(&reason);
            return Ok(self.save(&mut state)?);
        }
        if let Some(receiver) =
            self.receiver().as_ref().filter(|_| now.at.slot.as_ref().is_some_and(|s| s.active))
        {
            receiver.is_well();
        }
        state.behind = now.at.slot.as_ref().map(|slot| slot.behind);
        let mark = Mark { time: now.time, through: now.last_segment() };
        state.targets.iter_mut().filter(|t| t.last.is_none()).for_each(|target| target.mark(mark.clone()));
        self.save(&mut state)?;
        drop(state);
        self.switch(&now).await;
        Ok(())
    }

    /// Nothing is to be archived: the server must not keep its log for us.
    async fn rest(&self, state: &mut State) -> Result<(), Failure> {
        let receiver = self.receiver().take();
        let physical = Arc::clone(&self.inner.physical);
        if state.is_resting {
            return Ok(());
        }
        blocking(move || {
            drop(receiver);
            physical.drop_slot(&LimitedSession::new(QUESTION))
        })
        .await?;
        state.is_resting = true;
        state.forget_segments()?;
        Ok(())
    }

    /// A new slot and an empty directory.
    async fn start_over(&self, state: &mut State, now: &Position) -> Result<(), Failure> {
        let receiver = self.receiver().take();
        let physical = Arc::clone(&self.inner.physical);
        blocking(move || {
            drop(receiver);
            physical.renew_slot(&LimitedSession::new(QUESTION))
        })
        .await?;
        state.begin(now)?;
        Ok(())
    }

    /// Starts the receiver unless it is at work.
    fn receive(&self) {
        let mut receiver = self.receiver();
        if receiver.is_none() {
            let segments = State::segments_below(&self.inner.directory);
            *receiver = Some(Receiver::start(Arc::clone(&self.inner.physical), segments));
        }
    }

    async fn wait_until_received(&self) -> Result<(), Failure> {
        let until = Instant::now() + CONNECTS;
        while !self.position().await?.at.slot.is_some_and(|slot| slot.active) {
            if Instant::now() > until {
                let trouble = self.receiver().as_ref().and_then(Receiver::trouble);
                let why = trouble.unwrap_or_else(|| "pg_receivewal does not connect".to_owned());
                return Err(Failure::new("data_service_error", format!("the log cannot be received: {why}")));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Closes the current segment if anything stands in it, so that the window can move.
    async fn switch(&self, at: &Position) {
        if !at.has_begun() {
            return;
        }
        let physical = Arc::clone(&self.inner.physical);
        let switched = blocking(move || physical.switch_segment(&LimitedSession::new(QUESTION))).await;
        if let Err(failure) = switched {
            let error = failure.to_string();
            tracing::warn!(
                error,
                "the current segment of the log cannot be closed; the window moves when it is full"
            );
        }
    }

    async fn position(&self) -> Result<Position, Failure> {
        let physical = Arc::clone(&self.inner.physical);
        blocking(move || physical.position(&LimitedSession::new(QUESTION))).await
    }

    fn save(&self, state: &mut State) -> Result<(), DriverError> {
        state.save()?;
        let trouble = self.report().trouble;
        let report = PitrReport { trouble, ..state.report() };
        *self.inner.report.lock().unwrap_or_else(PoisonError::into_inner) = report;
        Ok(())
    }

    /// Shows and logs what does not work, once for the same.
    fn tell(&self, trouble: Option<String>) {
        let trouble = trouble.or_else(|| self.receiver().as_ref().and_then(Receiver::trouble));
        let mut report = self.inner.report.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = trouble.as_ref().filter(|_| trouble != report.trouble) {
            tracing::warn!(text, "the log of the server cannot be archived now");
        }
        report.trouble = trouble;
    }

    fn receiver(&self) -> std::sync::MutexGuard<'_, Option<Receiver>> {
        self.inner.receiver.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DriverError> + Send + 'static,
) -> Result<T, Failure> {
    Ok(tokio::task::spawn_blocking(work).await??)
}
