//! Remembers whether the database answers, so that an outage is logged once and not by every task at every attempt.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::Error;
use crate::outcome::chain;

#[derive(Default)]
pub(super) struct Health {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What does not work at present.
    failing: HashSet<&'static str>,
    since: Option<Instant>,
    last_failure: Option<Instant>,
}

impl Health {
    /// Notes that an activity failed; logs it, and answers so, if nothing else was failing already.
    pub(super) fn failed(&self, activity: &'static str, error: &Error) -> bool {
        let mut state = self.state();
        state.last_failure = Some(Instant::now());
        let is_new = state.failing.is_empty();
        if is_new {
            state.since = state.last_failure;
            tracing::error!(
                activity,
                error = chain(error),
                "the queue's database does not answer; trying again until it does"
            );
        }
        state.failing.insert(activity);
        is_new
    }

    /// Notes that an activity worked; logs it, and answers so, if that ends the outage.
    pub(super) fn worked(&self, activity: &'static str) -> bool {
        let mut state = self.state();
        let is_over = state.failing.remove(activity) && state.failing.is_empty();
        if is_over {
            let lasted = state.since.take().map(|since| since.elapsed()).unwrap_or_default();
            tracing::info!(duration_ms = lasted.as_millis(), "the queue's database answers again");
        }
        is_over
    }

    /// Whether something failed within the last `span`.
    pub(super) fn failed_within(&self, span: Duration) -> bool {
        self.state().last_failure.is_some_and(|at| at.elapsed() < span)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_once_at_its_start_and_once_at_its_end() {
        let health = Health::default();
        assert!(!health.failed_within(Duration::MAX));
        for _ in 0..2 {
            assert!(!health.worked("claim"));
            assert!(health.failed("claim", &Error::LeaseLost));
            assert!(!health.failed("heartbeat", &Error::LeaseLost));
            assert!(!health.failed("claim", &Error::LeaseLost));
            assert!(!health.worked("claim"));
            assert!(!health.worked("settle"));
            assert!(health.worked("heartbeat"));
        }
        assert!(health.failed_within(Duration::MAX));
        assert!(!health.failed_within(Duration::ZERO));
    }
}
