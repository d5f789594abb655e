//! The blocking half of a backup: driver → zstd → age → pieces.

use std::io;
use std::sync::Arc;

use age::secrecy::SecretString;
use age::{Encryptor, scrypt};
use backup_protocol::{Compression, Encryption};
use bytes::Bytes;
use tokio::sync::mpsc;

use super::Run;
use super::failure::Failure;
use super::meter::Meter;
use super::pieces::PieceWriter;
use crate::drivers::DriverError;

/// scrypt with N = 2^17, r = 8 (128 MiB for a moment, a third of a second): the keys are random or chosen by the
/// owner, so guessing must be dear, and every backup pays once. `age` itself refuses nothing up to 2^22.
const WORK_FACTOR: u8 = 17;

/// Runs the driver and both filters to their ends; returns the number of plain bytes.
pub(super) fn encode(
    run: &Run,
    encryption: &Encryption,
    compression: Compression,
    rate: Option<u64>,
    queue: mpsc::Sender<Bytes>,
) -> Result<u64, Failure> {
    if let Err(error) = run.driver.recover(&run.session) {
        run.session.check()?;
        // A replaced database that cannot be dropped does not make the next backup worse; one that cannot be read does,
        // and the driver says so.
        tracing::warn!(%error, "leftovers of an interrupted restore cannot be removed yet");
    }
    match run.driver.estimate(&run.session) {
        Ok(Some(bytes)) => run.progress.set_estimate(bytes),
        Ok(None) => {}
        Err(error) => return Err(error.into()),
    }
    let encrypted = encryptor(encryption)?.wrap_output(PieceWriter::new(queue)).map_err(broken)?;
    let compressed = zstd::Encoder::new(encrypted, compression.level).map_err(broken)?;
    let mut plain = Meter::new(compressed, &run.session, &run.progress, rate);
    run.driver.backup(&run.session, &mut plain)?;
    let bytes = plain.bytes();
    let encrypted = plain.into_inner().finish().map_err(broken)?;
    encrypted.finish().and_then(PieceWriter::finish).map_err(broken)?;
    Ok(bytes)
}

fn encryptor(encryption: &Encryption) -> Result<Encryptor, Failure> {
    let mut recipient = scrypt::Recipient::new(SecretString::from(encryption.key.clone()));
    recipient.set_work_factor(WORK_FACTOR);
    let recipients: [&dyn age::Recipient; 1] = [&recipient];
    Encryptor::with_recipients(recipients.into_iter()).map_err(|e| Failure::new("internal", e.to_string()))
}

fn broken(error: io::Error) -> Failure {
    DriverError::Stream(error).into()
}

/// Runs [`encode`] on a thread where it may block.
pub(super) async fn encode_in_thread(
    run: &Arc<Run>,
    encryption: Encryption,
    compression: Compression,
    rate: Option<u64>,
    queue: mpsc::Sender<Bytes>,
) -> Result<u64, Failure> {
    let run = Arc::clone(run);
    tokio::task::spawn_blocking(move || encode(&run, &encryption, compression, rate, queue)).await?
}
