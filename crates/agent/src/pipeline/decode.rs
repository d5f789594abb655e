//! The driver's thread of a restore. The driver is told to commit only after the stream has ended, unbroken and
//! authenticated to its last byte, with the length it had at the backup.

use std::io::{self, Read};

use super::Run;
use super::failure::Failure;
use super::meter::Meter;
use super::pieces::{PieceReader, Receiver};
use crate::drivers::{Driver, Loaded, Moment};

/// Loads the stream and puts it in place.
pub(super) fn decode(
    run: &Run,
    operation: &str,
    plain_size: u64,
    moment: Option<Moment>,
    queue: Receiver,
) -> Result<(), Failure> {
    run.driver.recover(&run.session)?;
    let loaded = load(run, &*run.driver, operation, plain_size, moment, queue)?;
    run.session.begin_exchange();
    Ok(loaded.commit(&run.session)?)
}

/// Runs `driver` until everything is loaded and the stream proven to be complete.
pub(super) fn load(
    run: &Run,
    driver: &dyn Driver,
    operation: &str,
    plain_size: u64,
    moment: Option<Moment>,
    queue: Receiver,
) -> Result<Box<dyn Loaded>, Failure> {
    let plain = Meter::new(PieceReader::new(queue), &run.session, &run.progress, None);
    let mut plain = Watched { inner: plain, fault: None };
    let loaded = match moment {
        None => driver.load(&run.session, operation, &mut plain),
        Some(moment) => driver.load_at(&run.session, operation, &mut plain, moment),
    };
    let mut loaded = match (loaded, plain.fault.take()) {
        (Ok(loaded), None) => loaded,
        (Ok(loaded), Some(fault)) => {
            loaded.discard();
            return Err(Failure::broken_stream(&fault));
        }
        (Err(_), Some(fault)) => return Err(Failure::broken_stream(&fault)),
        (Err(error), None) => return Err(error.into()),
    };
    // A driver may stop at its own end mark; only the end of the whole stream proves that it is complete.
    let drained = io::copy(&mut plain, &mut io::sink()).map_err(|error| Failure::broken_stream(&error));
    let whole = drained.and_then(|_| check_length(plain.inner.counted(), plain_size));
    let whole = whole.and_then(|()| Ok(run.session.check()?));
    let prepared = whole.and_then(|()| Ok(loaded.prepare(&run.session)?));
    match prepared.and_then(|()| Ok(run.session.check()?)) {
        Ok(()) => Ok(loaded),
        Err(failure) => {
            loaded.discard();
            Err(failure)
        }
    }
}

/// Compares the length of the stream with the one in `metadata.json`.
pub(super) fn check_length(found: u64, expected: u64) -> Result<(), Failure> {
    match found == expected {
        true => Ok(()),
        false => Err(Failure::mismatch(format!("the stream has {found} bytes instead of {expected}"))),
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
