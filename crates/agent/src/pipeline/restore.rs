//! One restore: verify everything, then stream the backup into the driver.

use std::sync::Arc;

use backup_objects::Metadata;
use backup_protocol::Encryption;
use chrono::{DateTime, Utc};

use super::Run;
use super::decode::decode;
use super::failure::Failure;
use super::filters::Chain;
use super::pieces;
use super::stages::Stages;
use super::verify::Fingerprint;
use crate::archive::StoredLog;
use crate::drivers::Moment;
use crate::session::Stop;

/// What is to be restored.
#[derive(Debug, Clone)]
pub(crate) struct RestoreOrder {
    /// The restore's id.
    pub(crate) restore_id: String,
    /// The backup to load.
    pub(crate) backup_id: String,
    /// SHA-256 over all stored bytes.
    pub(crate) checksum: String,
    /// Scheme and key.
    pub(crate) encryption: Encryption,
    /// The moment to restore to, and the last piece of the log that must be there.
    pub(crate) moment: Option<(DateTime<Utc>, Option<String>)>,
}

/// A backup that may be loaded.
pub(super) struct Verified {
    pub(super) metadata: Metadata,
    chain: Chain,
    fingerprint: Fingerprint,
}

/// Restores the backup; returns its metadata.
///
/// # Errors
/// [`Failure`] when the data service has not been changed.
pub(crate) async fn run(run: Run, order: RestoreOrder) -> Result<Metadata, Failure> {
    let verified = verified(&run, &order, None).await?;
    let metadata = &verified.metadata;
    let driver = run.driver_of(&metadata.driver.name).unwrap_or_else(|| Arc::clone(&run.driver));
    let run = Run { driver, ..run };
    let moment = match &order.moment {
        Some((time, last_piece)) => Some(open_log(&run, &order.encryption, *time, last_piece.clone()).await?),
        None => None,
    };
    let plain_size = metadata.plain_size;
    let work = move |run: &Run, plain| decode(run, &order.restore_id, plain_size, moment, plain);
    stream(Arc::new(run), &verified, work).await?;
    Ok(verified.metadata)
}

/// Checks everything that can be checked before anything is loaded; also whether `room` bytes are enough for it.
pub(super) async fn verified(
    run: &Run,
    order: &RestoreOrder,
    room: Option<u64>,
) -> Result<Verified, Failure> {
    let session = run.session.clone();
    let checked = tokio::select! {
        checked = check(run, order, room) => checked,
        () = session.wait_until_stopped() => Err(Failure::from_stop(Stop::Failed)),
    };
    match (session.stopped(), checked) {
        (Some(stop), _) => Err(Failure::from_stop(stop)),
        (None, checked) => checked,
    }
}

async fn check(run: &Run, order: &RestoreOrder, room: Option<u64>) -> Result<Verified, Failure> {
    let stored = run.stored();
    let metadata = stored.metadata(&order.backup_id).await?;
    if !metadata.checksum.eq_ignore_ascii_case(&order.checksum) {
        return Err(Failure::mismatch("metadata.json has another checksum than the request"));
    }
    let chain = Chain::recorded(&metadata.filter_plugins, &order.encryption)?;
    let (name, found) = (&metadata.driver.name, metadata.driver.stream_version);
    if run.driver_of(name).is_none_or(|driver| found > driver.stream_version()) {
        let (own, version) = (run.driver.name(), run.driver.stream_version());
        let message = format!("made by driver {name} (stream version {found}), this is {own} ({version})");
        return Err(Failure::new("bad_request", message));
    }
    // All bytes are read twice: once to check, once to load.
    run.progress.set_estimate(metadata.plain_size);
    if let Some(room) = room.filter(|room| *room < metadata.plain_size) {
        let message = format!("{room} bytes are free for at least {} bytes", metadata.plain_size);
        return Err(Failure::new("disk_full", message));
    }
    stored.key(&metadata, &chain).await?;
    let fingerprint = stored.bytes(&metadata).await?;
    Ok(Verified { metadata, chain, fingerprint })
}

async fn open_log(
    run: &Run,
    encryption: &Encryption,
    time: DateTime<Utc>,
    last_piece: Option<String>,
) -> Result<Moment, Failure> {
    let log = run.unless_stopped(StoredLog::open(&run.store, &run.folder, encryption, time)).await?;
    Ok(Moment { time, last_piece, log: Arc::new(log) })
}

/// Reads all stored bytes and gives the plain ones to `work`, which has a thread of its own.
pub(super) async fn stream(
    run: Arc<Run>,
    verified: &Verified,
    work: impl FnOnce(&Run, pieces::Receiver) -> Result<(), Failure> + Send + 'static,
) -> Result<(), Failure> {
    let (sender, stored) = pieces::queue_from_store();
    let (stages, plain) = Stages::undo(&verified.chain, stored);
    let decoding = {
        let run = Arc::clone(&run);
        tokio::task::spawn_blocking(move || work(&run, plain))
    };
    let feeding = async {
        let fed = tokio::select! {
            fed = async { run.stored().feed(&verified.metadata, &verified.fingerprint, &sender).await } => fed,
            () = run.session.wait_until_stopped() => Ok(()),
        };
        // Closes the queue: without an end mark the other side knows that the stream is broken.
        drop(sender);
        fed
    };
    let (decoded, trouble, fed) = tokio::join!(decoding, stages.trouble(), feeding);
    match (decoded?, run.session.stopped(), fed, trouble) {
        (Ok(()), ..) => Ok(()),
        (Err(_), Some(stop), ..) => Err(Failure::from_stop(stop)),
        (Err(_), None, Err(store), _) => Err(store),
        (Err(_), None, Ok(()), Some(trouble)) => Err(Failure::broken_stream(&trouble)),
        (Err(failure), None, Ok(()), None) => Err(failure),
    }
}
