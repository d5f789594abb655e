//! Trying again. The library could do it as well, but it repeats one HTTP request as it was signed, and tells nobody that
//! it did; so its own retries are switched off, and a whole call is repeated here: a chunk of an upload, a listing, the
//! rest of a download. Whoever creates something must know that an earlier attempt may have succeeded unheard.

use std::future::Future;
use std::time::{Duration, Instant};

use object_store::{Error, Result};
use rand::Rng as _;

use crate::cause::Cause;

/// How long a store that fails is tried again, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// No attempt begins later than this after the first.
    pub total: Duration,
    /// The first pause; each is twice as long as the one before.
    pub first: Duration,
    /// No pause is longer.
    pub longest: Duration,
}

impl Retry {
    /// Not at all: what a doctor wants.
    pub const NEVER: Self = Self { total: Duration::ZERO, first: Duration::ZERO, longest: Duration::ZERO };
    /// For somebody who waits for the answer.
    pub const BRIEFLY: Self = Self {
        total: Duration::from_secs(10),
        first: Duration::from_millis(100),
        longest: Duration::from_secs(2),
    };
    /// For a backup that has been running for hours.
    pub const PATIENTLY: Self = Self {
        total: Duration::from_secs(300),
        first: Duration::from_millis(200),
        longest: Duration::from_secs(20),
    };

    /// Repeats a call until it succeeds, fails for good or the time is over. The call is told how often it has failed.
    pub(crate) async fn run<T, F>(self, mut call: impl FnMut(u32) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut patience = Patience::new(self);
        loop {
            match call(patience.failures).await {
                Ok(value) => return Ok(value),
                Err(error) => patience.after(error).await?,
            }
        }
    }
}

/// What is left of the time and how long the next pause is.
pub(crate) struct Patience {
    retry: Retry,
    begun: Instant,
    pause: Duration,
    pub(crate) failures: u32,
}

impl Patience {
    pub(crate) fn new(retry: Retry) -> Self {
        Self { retry, begun: Instant::now(), pause: retry.first, failures: 0 }
    }

    /// The store gives something again: what fails next has the whole time for itself.
    pub(crate) fn renew(&mut self) {
        (self.begun, self.pause) = (Instant::now(), self.retry.first);
    }

    /// Pauses before the next attempt.
    ///
    /// # Errors
    /// The given one, when there is to be no other attempt.
    pub(crate) async fn after(&mut self, error: Error) -> Result<()> {
        // Half of each pause is left to chance, so that many who failed together do not come back together.
        let pause = self.pause.mul_f64(rand::rng().random_range(0.5..=1.0));
        let cause = Cause::of(&error);
        if !cause.is_passing() || self.begun.elapsed().saturating_add(pause) > self.retry.total {
            return Err(error);
        }
        self.failures = self.failures.saturating_add(1);
        self.pause = self.pause.saturating_mul(2).min(self.retry.longest);
        tracing::warn!(
            cause = cause.sentence(),
            failures = self.failures,
            ?pause,
            "the store failed; it is asked again"
        );
        tokio::time::sleep(pause).await;
        Ok(())
    }
}
