//! Remembers whether the database answers, so that an outage is logged once and not by every task at every attempt.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

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
}

impl Health {
    /// Notes that an activity failed; logs it, and answers so, if nothing else was failing already.
    pub(super) fn failed(&self, activity: &'static str, error: &Error) -> bool {
        let mut state = self.state();
        let is_new = state.failing.is_empty();
        if is_new {
            state.since = Some(Instant::now());
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
        for _ in 0..2 {
            assert!(!health.worked("claim"));
            assert!(health.failed("claim", &Error::LeaseLost));
            assert!(!health.failed("heartbeat", &Error::LeaseLost));
            assert!(!health.failed("claim", &Error::LeaseLost));
            assert!(!health.worked("claim"));
            assert!(!health.worked("settle"));
            assert!(health.worked("heartbeat"));
        }
    }
}
