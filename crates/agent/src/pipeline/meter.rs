//! Counts the plain bytes between driver and filters, holds back to the rate limit, and ends the stream when the
//! operation is stopped.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::progress::Progress;
use crate::session::Session;

const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// A writer or reader with a count.
pub(super) struct Meter<T> {
    inner: T,
    session: Session,
    progress: Arc<Progress>,
    rate: Option<u64>,
    began: Instant,
    bytes: u64,
}

impl<T> Meter<T> {
    pub(super) fn new(inner: T, session: &Session, progress: &Arc<Progress>, rate: Option<u64>) -> Self {
        let (session, progress) = (session.clone(), Arc::clone(progress));
        Self { inner, session, progress, rate, began: Instant::now(), bytes: 0 }
    }

    pub(super) fn into_inner(self) -> T {
        self.inner
    }

    pub(super) fn counted(&self) -> u64 {
        self.bytes
    }

    fn check(&self) -> io::Result<()> {
        self.session.check().map_err(|e| io::Error::new(io::ErrorKind::ConnectionAborted, e.to_string()))
    }

    fn count(&mut self, bytes: usize) -> io::Result<()> {
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        let Some(rate) = self.rate else { return Ok(()) };
        let due = Duration::from_millis(self.bytes.saturating_mul(1000).checked_div(rate).unwrap_or(0));
        while let Some(early) = due.checked_sub(self.began.elapsed()).filter(|d| !d.is_zero()) {
            std::thread::sleep(early.min(LONGEST_PAUSE));
            self.check()?;
        }
        Ok(())
    }
}

impl<W: Write> Write for Meter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check()?;
        let written = self.inner.write(bytes)?;
        self.progress.add_read(written);
        self.count(written)?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Meter<R> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        let read = self.inner.read(target)?;
        self.progress.add_stored(read);
        self.count(read)?;
        Ok(read)
    }
}
