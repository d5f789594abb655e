//! The blocking half of a restore: pieces → age → zstd → driver. The driver is told to commit only after the stream
//! has ended, unbroken and authenticated to its last byte.

use std::io::{self, Read};

use backup_protocol::Encryption;
use tokio::sync::mpsc;

use super::Run;
use super::failure::Failure;
use super::meter::Meter;
use super::pieces::{Piece, PieceReader};
use super::verify::decrypt;
use crate::drivers::{DriverError, Moment};

/// Runs both filters and the driver to their ends.
pub(super) fn decode(
    run: &Run,
    operation: &str,
    encryption: &Encryption,
    moment: Option<Moment>,
    queue: mpsc::Receiver<Piece>,
) -> Result<(), Failure> {
    run.driver.recover(&run.session)?;
    let decrypted = decrypt(PieceReader::new(queue), encryption)?;
    let plain = zstd::Decoder::new(decrypted).map_err(broken)?;
    let mut plain = Watched { inner: Meter::new(plain, &run.session, &run.progress, None), fault: None };
    let loaded = match moment {
        None => run.driver.load(&run.session, operation, &mut plain),
        Some(moment) => run.driver.load_at(&run.session, operation, &mut plain, moment),
    };
    let mut loaded = match (loaded, plain.fault.take()) {
        (Ok(loaded), None) => loaded,
        (Ok(loaded), Some(fault)) => {
            loaded.discard();
            return Err(broken(fault));
        }
        (Err(_), Some(fault)) => return Err(broken(fault)),
        (Err(error), None) => return Err(error.into()),
    };
    // A driver may stop at its own end mark; only the end of the whole stream proves that it is complete.
    let drained = io::copy(&mut plain, &mut io::sink());
    let drained = drained.map_err(broken).and_then(|_| Ok(run.session.check()?));
    let prepared =
        drained.and_then(|()| Ok(loaded.prepare(&run.session)?)).and_then(|()| Ok(run.session.check()?));
    match prepared {
        Ok(()) => {
            run.session.begin_exchange();
            Ok(loaded.commit(&run.session)?)
        }
        Err(failure) => {
            loaded.discard();
            Err(failure)
        }
    }
}

/// Remembers the first error, because drivers report it in words of their own.
struct Watched<R> {
    inner: R,
    fault: Option<io::Error>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        self.inner.read(target).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.fault.get_or_insert_with(|| io::Error::new(error.kind(), error.to_string()));
            }
        })
    }
}

/// The bytes were those promised (they were hashed before), so what breaks now is the form of the stream.
fn broken(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionAborted => DriverError::Stopped.into(),
        _ => Failure::new("decryption_failed", format!("the stored stream cannot be read: {error}")),
    }
}
