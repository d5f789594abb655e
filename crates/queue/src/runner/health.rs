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
    /// Notes that an activity failed; logs it if nothing else was failing already.
    pub(super) fn failed(&self, activity: &'static str, error: &Error) {
        let mut state = self.state();
        state.last_failure = Some(Instant::now());
        if state.failing.is_empty() {
            state.since = state.last_failure;
            tracing::error!(
                activity,
                error = chain(error),
                "the queue's database does not answer; trying again until it does"
            );
        }
        state.failing.insert(activity);
    }

    /// Notes that an activity worked; logs it if that ends the outage.
    pub(super) fn worked(&self, activity: &'static str) {
        let mut state = self.state();
        if state.failing.remove(activity) && state.failing.is_empty() {
            let lasted = state.since.take().map(|since| since.elapsed()).unwrap_or_default();
            tracing::info!(duration_ms = lasted.as_millis(), "the queue's database answers again");
        }
    }

    /// Whether something failed within the last `span`.
    pub(super) fn failed_within(&self, span: Duration) -> bool {
        self.state().last_failure.is_some_and(|at| at.elapsed() < span)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
