//! One backup from start to `metadata.json`.

use std::sync::Arc;

use backup_objects::{DriverInfo, FORMAT_VERSION, Metadata};
use backup_protocol::{Compression, Encryption, InstanceRef, Part};
use chrono::{DateTime, Utc};

use super::Run;
use super::drive::drive;
use super::failure::Failure;
use super::filters::Chain;
use super::parts::PartWriter;
use super::pieces::{self, Piece};
use super::stages::Stages;
use crate::drivers::DriverError;
use crate::session::Stop;

/// What a backup is to be made of.
#[derive(Debug, Clone)]
pub(crate) struct BackupOrder {
    /// The backup's id.
    pub(crate) backup_id: String,
    /// Who is backed up.
    pub(crate) instance: InstanceRef,
    /// Scheme and key.
    pub(crate) encryption: Encryption,
    /// Scheme and level.
    pub(crate) compression: Compression,
    /// Plain bytes per second.
    pub(crate) rate: Option<u64>,
    /// Largest part in bytes.
    pub(crate) part_size_limit: u64,
    /// Bytes uploaded in one piece.
    pub(crate) chunk_size: usize,
    /// When the operation began.
    pub(crate) started_at: DateTime<Utc>,
}

/// Makes the backup; returns the metadata that was stored last. Objects of a failed run are left to the caller.
///
/// # Errors
/// [`Failure`] when no `metadata.json` was written.
pub(crate) async fn run(run: Run, order: BackupOrder) -> Result<Metadata, Failure> {
    let run = Arc::new(run);
    let chain = Chain::wanted(order.compression, &order.encryption)?;
    let driver = describe(&run).await?;
    let (parts, checksum, plain_size) = store_parts(&run, &order, &chain).await?;
    let metadata = Metadata {
        format_version: FORMAT_VERSION,
        backup_id: order.backup_id,
        instance: order.instance,
        size: parts.iter().map(|part| part.size).sum(),
        parts,
        checksum,
        plain_size,
        filter_plugins: chain.names(),
        key_id: order.encryption.key_id,
        key_envelope: order.encryption.key_envelope,
        started_at: order.started_at,
        finished_at: Utc::now(),
        driver,
    };
    if let Some(stop) = run.session.stopped() {
        return Err(Failure::from_stop(stop));
    }
    let (path, bytes) = (run.folder.metadata(), metadata.to_bytes()?.into());
    run.unless_stopped(async { Ok(run.store.put_bytes(&path, bytes).await?) }).await?;
    Ok(metadata)
}

impl Run {
    /// Waits for something that may hang, such as a store, but not beyond the end of the session.
    ///
    /// # Errors
    /// Those of the work, and why the session was stopped.
    pub(crate) async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            done = work => done,
            () = self.session.wait_until_stopped() => {
                Err(Failure::from_stop(self.session.stopped().unwrap_or(Stop::Failed)))
            }
        }
    }
}

async fn store_parts(
    run: &Arc<Run>,
    order: &BackupOrder,
    chain: &Chain,
) -> Result<(Vec<Part>, String, u64), Failure> {
    let (sender, plain) = pieces::queue();
    let driving = {
        let (run, rate) = (Arc::clone(run), order.rate);
        tokio::task::spawn_blocking(move || drive(&run, rate, sender))
    };
    let (stages, mut stored) = Stages::apply(chain, plain);
    let storing = async {
        let mut writer = PartWriter::new(run, order.part_size_limit, order.chunk_size);
        let written = async {
            loop {
                match stored.recv().await {
                    Some(Piece::Data(bytes)) => writer.write(bytes).await.map_err(Some)?,
                    Some(Piece::End) => return Ok(()),
                    None => return Err(None),
                }
            }
        };
        let written = tokio::select! {
            written = written => written,
            () = run.session.wait_until_stopped() => Err(Some(Failure::from_stop(Stop::Failed))),
        };
        if written.is_err() {
            // The driver may be waiting for its program; nothing it still sends is wanted.
            run.session.stop(Stop::Failed);
        }
        drop(stored);
        written.map(|()| writer)
    };
    let (driven, trouble, stored) = tokio::join!(driving, stages.trouble(), storing);
    match (run.session.stopped(), stored, trouble, driven?) {
        (Some(stop), ..) if stop != Stop::Failed => Err(Failure::from_stop(stop)),
        (_, Err(Some(failure)), ..) => Err(failure),
        (_, _, Some(trouble), _) => Err(DriverError::Stream(trouble).into()),
        (_, _, _, Err(failure)) => Err(failure),
        (_, Err(None), ..) => Err(Failure::new("internal", "the stream ended without an end")),
        (_, Ok(writer), None, Ok(plain_size)) => {
            let (parts, checksum) = run.unless_stopped(writer.finish()).await?;
            Ok((parts, checksum, plain_size))
        }
    }
}

async fn describe(run: &Arc<Run>) -> Result<DriverInfo, Failure> {
    let run = Arc::clone(run);
    let version = tokio::task::spawn_blocking(move || {
        Ok::<_, Failure>(DriverInfo {
            name: run.driver.name().to_owned(),
            stream_version: run.driver.stream_version(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            data_service_version: run.driver.version(&run.session)?,
        })
    });
    version.await?
}
