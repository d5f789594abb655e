//! One restore: verify everything, then stream the backup into the driver.

use std::sync::Arc;

use backup_objects::Metadata;
use backup_protocol::Encryption;
use chrono::{DateTime, Utc};
use tokio::sync::mpsc;

use super::decode::decode;
use super::failure::Failure;
use super::pieces::{Piece, QUEUE};
use super::{Run, verify};
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

/// Restores the backup; returns its metadata.
///
/// # Errors
/// [`Failure`] when the data service has not been changed.
pub(crate) async fn run(run: Run, order: RestoreOrder) -> Result<Metadata, Failure> {
    let session = run.session.clone();
    let checked = tokio::select! {
        checked = check(&run, &order) => checked,
        () = session.wait_until_stopped() => Err(Failure::from_stop(Stop::Failed)),
    };
    let metadata = match (session.stopped(), checked) {
        (Some(stop), _) => return Err(Failure::from_stop(stop)),
        (None, checked) => checked?,
    };
    let driver = run.driver_of(&metadata.driver.name).unwrap_or_else(|| Arc::clone(&run.driver));
    let run = Run { driver, ..run };
    let moment = match &order.moment {
        Some((time, last_piece)) => Some(open_log(&run, &order.encryption, *time, last_piece.clone()).await?),
        None => None,
    };
    stream(Arc::new(run), order, moment, &metadata).await?;
    Ok(metadata)
}

async fn check(run: &Run, order: &RestoreOrder) -> Result<Metadata, Failure> {
    let metadata = verify::metadata(run, &order.backup_id, &order.checksum).await?;
    // All bytes are read twice: once to check, once to load.
    run.progress.set_estimate(metadata.plain_size);
    verify::key(run, &metadata, &order.encryption).await?;
    verify::stored_bytes(run, &metadata).await?;
    Ok(metadata)
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

async fn stream(
    run: Arc<Run>,
    order: RestoreOrder,
    moment: Option<Moment>,
    metadata: &Metadata,
) -> Result<(), Failure> {
    let (sender, pieces) = mpsc::channel(QUEUE);
    let decoding = {
        let run = Arc::clone(&run);
        tokio::task::spawn_blocking(move || {
            decode(&run, &order.restore_id, &order.encryption, moment, pieces)
        })
    };
    let feeding = async {
        let fed = tokio::select! {
            fed = feed(&run, metadata, &sender) => fed,
            () = run.session.wait_until_stopped() => Ok(()),
        };
        // Closes the queue: without an end mark the other side knows that the stream is broken.
        drop(sender);
        fed
    };
    let (decoded, fed) = tokio::join!(decoding, feeding);
    match (decoded?, run.session.stopped(), fed) {
        (Ok(()), _, _) => Ok(()),
        (Err(_), Some(stop), _) => Err(Failure::from_stop(stop)),
        (Err(_), None, Err(store)) => Err(store),
        (Err(failure), None, Ok(())) => Err(failure),
    }
}

async fn feed(run: &Run, metadata: &Metadata, queue: &mpsc::Sender<Piece>) -> Result<(), Failure> {
    for part in &metadata.parts {
        let mut stream = verify::open(run, &part.name).await?;
        while let Some(bytes) = stream.next().await? {
            run.progress.add_read(bytes.len());
            // The other side has stopped reading and says why.
            if queue.send(Piece::Data(bytes)).await.is_err() {
                return Ok(());
            }
        }
    }
    let _ = queue.send(Piece::End).await;
    Ok(())
}
