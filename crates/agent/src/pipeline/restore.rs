//! One restore: verify everything, then stream the backup into the driver.

use std::sync::Arc;

use backup_objects::Metadata;
use backup_protocol::Encryption;

use super::Run;
use super::decode::decode;
use super::failure::Failure;
use super::filters::Chain;
use super::pieces;
use super::stages::Stages;
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
    let (metadata, chain) = match (session.stopped(), checked) {
        (Some(stop), _) => return Err(Failure::from_stop(stop)),
        (None, checked) => checked?,
    };
    stream(Arc::new(run), order, &metadata, &chain).await?;
    Ok(metadata)
}

async fn check(run: &Run, order: &RestoreOrder) -> Result<(Metadata, Chain), Failure> {
    let stored = run.stored();
    let metadata = stored.metadata(&order.backup_id).await?;
    if !metadata.checksum.eq_ignore_ascii_case(&order.checksum) {
        return Err(Failure::mismatch("metadata.json has another checksum than the request"));
    }
    let chain = Chain::recorded(&metadata.filter_plugins, &order.encryption)?;
    let (own, version) = (run.driver.name(), run.driver.stream_version());
    if metadata.driver.name != own || metadata.driver.stream_version > version {
        let (name, found) = (&metadata.driver.name, metadata.driver.stream_version);
        let message = format!("made by driver {name} (stream version {found}), this is {own} ({version})");
        return Err(Failure::new("bad_request", message));
    }
    // All bytes are read twice: once to check, once to load.
    run.progress.set_estimate(metadata.plain_size);
    stored.key(&metadata, &chain).await?;
    stored.bytes(&metadata).await?;
    Ok((metadata, chain))
}

async fn stream(
    run: Arc<Run>,
    order: RestoreOrder,
    metadata: &Metadata,
    chain: &Chain,
) -> Result<(), Failure> {
    let (sender, stored) = pieces::queue_from_store();
    let (stages, plain) = Stages::undo(chain, stored);
    let decoding = {
        let (run, plain_size) = (Arc::clone(&run), metadata.plain_size);
        tokio::task::spawn_blocking(move || decode(&run, &order.restore_id, plain_size, plain))
    };
    let feeding = async {
        let fed = tokio::select! {
            fed = async { run.stored().feed(metadata, &sender).await } => fed,
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
