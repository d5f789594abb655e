//! How long a failed job waits before its next attempt. Pure.

use std::time::Duration;

use rand::Rng;

/// Capped exponential back-off with jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The wait after the first attempt, before jitter.
    pub first: Duration,
    /// No wait is longer than this.
    pub cap: Duration,
    /// Each wait is this many times the one before; at least 1.
    pub factor: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_secs(5), cap: Duration::from_secs(600), factor: 2 }
    }
}

impl Backoff {
    /// Chooses the wait after attempt number `attempt` (from 1): `first` multiplied by `factor` with every attempt, at most `cap`, of
    /// which a random quarter at most is taken off so that jobs that failed together do not return together.
    #[must_use]
    pub fn delay(&self, attempt: i32) -> Duration {
        self.full(attempt).mul_f64(rand::rng().random_range(0.75..=1.0))
    }

    /// The wait without jitter.
    fn full(&self, attempt: i32) -> Duration {
        let steps = u32::try_from(attempt.saturating_sub(1)).unwrap_or(0);
        self.first.saturating_mul(self.factor.max(1).saturating_pow(steps)).min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_wait_doubles_until_the_cap() {
        let backoff = Backoff { first: Duration::from_secs(5), cap: Duration::from_secs(60), factor: 2 };
        let table =
            [(-3, 5), (0, 5), (1, 5), (2, 10), (3, 20), (4, 40), (5, 60), (6, 60), (32, 60), (i32::MAX, 60)];
        for (attempt, seconds) in table {
            assert_eq!(backoff.full(attempt), Duration::from_secs(seconds), "attempt {attempt}");
        }
    }

    #[test]
    fn the_wait_grows_by_the_factor() {
        let backoff = Backoff { first: Duration::from_secs(10), cap: Duration::from_secs(600), factor: 4 };
        let waits: Vec<u64> = (1..=5).map(|attempt| backoff.full(attempt).as_secs()).collect();
        assert_eq!(waits, [10, 40, 160, 600, 600]);
        assert_eq!(Backoff { factor: 0, ..backoff }.full(9), Duration::from_secs(10));
    }

    proptest! {
        #[test]
        fn the_wait_is_between_three_quarters_and_all_of_the_step(first_ms in 0_u64..100_000, cap_ms in 0_u64..10_000_000, factor: u32, attempt: i32) {
            let backoff = Backoff { first: Duration::from_millis(first_ms), cap: Duration::from_millis(cap_ms), factor };
            let wait = backoff.delay(attempt);
            prop_assert!(wait <= backoff.full(attempt));
            prop_assert!(wait + Duration::from_nanos(1) >= backoff.full(attempt).mul_f64(0.75));
            prop_assert!(wait <= backoff.cap);
        }
    }
}
