//! What is injected at the moment, and what has been done so far.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fault::{Copied, Counts, Fault, Times};

/// Shared by the proxy's owner and its thread.
#[derive(Debug)]
pub(super) struct State {
    target: SocketAddr,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    injection: Option<(Fault, Times, Option<String>)>,
    counts: Counts,
    duplicated: Vec<Copied>,
}

impl State {
    pub(super) fn new(target: SocketAddr) -> Self {
        Self { target, inner: Mutex::default() }
    }

    pub(super) fn target(&self) -> SocketAddr {
        self.target
    }

    pub(super) fn inject(&self, injection: Option<(Fault, Times, Option<String>)>) {
        let mut inner = self.lock();
        if matches!(injection, Some((Fault::Refuse, ..))) {
            inner.count(Fault::Refuse);
        }
        inner.injection = injection;
    }

    /// Counts a request and says what shall happen to it.
    pub(super) fn receive(&self, method: &str) -> Option<Fault> {
        let mut inner = self.lock();
        inner.counts.received = inner.counts.received.saturating_add(1);
        let (fault, times, only) = inner.injection.as_mut()?;
        let fault = *fault;
        if fault == Fault::Refuse || only.as_ref().is_some_and(|only| only != method) {
            return None;
        }
        match times {
            Times::UntilHealed => {}
            Times::Next(0) => return None,
            Times::Next(left) => *left = left.saturating_sub(1),
        }
        inner.count(fault);
        Some(fault)
    }

    pub(super) fn forwarded(&self) {
        let mut inner = self.lock();
        inner.counts.forwarded = inner.counts.forwarded.saturating_add(1);
    }

    pub(super) fn unanswered(&self) {
        let mut inner = self.lock();
        inner.counts.unanswered = inner.counts.unanswered.saturating_add(1);
    }

    pub(super) fn copied(&self, copied: Copied) {
        self.lock().duplicated.push(copied);
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    pub(super) fn duplicated(&self) -> Vec<Copied> {
        self.lock().duplicated.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn count(&mut self, fault: Fault) {
        let count = self.counts.faults.entry(fault.name()).or_default();
        *count = count.saturating_add(1);
    }
}
