//! What is shown of an operation while it runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use backup_protocol::{OperationStatus, Part, RehearsalReport};

/// Counters written by the pipeline and read by status requests.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    read: AtomicU64,
    stored: AtomicU64,
    estimate: OnceLock<u64>,
    parts: Mutex<Vec<Part>>,
    rehearsal: OnceLock<RehearsalReport>,
}

impl Progress {
    pub(super) fn add_read(&self, bytes: usize) {
        self.read.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn add_stored(&self, bytes: usize) {
        self.stored.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The first estimate is kept.
    pub(super) fn set_estimate(&self, bytes: u64) {
        let _ = self.estimate.set(bytes);
    }

    pub(super) fn add_part(&self, part: Part) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).push(part);
    }

    /// The first report is kept.
    pub(super) fn set_report(&self, report: RehearsalReport) {
        let _ = self.rehearsal.set(report);
    }

    /// Bytes read so far, and how many there will be.
    pub(crate) fn read_of(&self) -> (u64, Option<u64>) {
        (self.read.load(Ordering::Relaxed), self.estimate.get().copied())
    }

    /// Copies the current figures into a status.
    pub(crate) fn fill(&self, status: &mut OperationStatus) {
        status.bytes_read = self.read.load(Ordering::Relaxed);
        status.bytes_stored = self.stored.load(Ordering::Relaxed);
        status.total_bytes_estimate = self.estimate.get().copied();
        status.parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        status.rehearsal = self.rehearsal.get().cloned().map(Box::new);
    }
}
