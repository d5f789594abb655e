//! The driver's thread of a backup: what comes before the stream, the stream, and the count of its bytes.

use super::Run;
use super::failure::Failure;
use super::meter::Meter;
use super::pieces::{PieceWriter, Sender};
use crate::drivers::DriverError;

/// Runs the driver to its end; returns the number of plain bytes.
pub(super) fn drive(run: &Run, rate: Option<u64>, queue: Sender) -> Result<u64, Failure> {
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
    let mut plain = Meter::new(PieceWriter::new(queue), &run.session, &run.progress, rate);
    run.driver.backup(&run.session, &mut plain)?;
    let bytes = plain.counted();
    plain.into_inner().finish().map_err(|error| Failure::from(DriverError::Stream(error)))?;
    Ok(bytes)
}
