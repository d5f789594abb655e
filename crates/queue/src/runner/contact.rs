//! Tells an outage from a quiet time, for the rescue's sake: while the database was away, or this process was frozen,
//! nobody could renew a lease, so an expired one proves nothing until its holder has had time to report.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Remembers when the runner's upkeep last spoke with the database.
#[derive(Debug)]
pub(super) struct Contact {
    /// A longer silence between two looks is an outage.
    longest_silence: Duration,
    /// How long holders get to report after one.
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    last: Instant,
    patient_until: Option<Instant>,
}

impl Contact {
    /// Starts at `now`; a database that is away from the start is an outage as well.
    pub(super) fn new(longest_silence: Duration, patience: Duration, now: Instant) -> Self {
        Self { longest_silence, patience, state: Mutex::new(State { last: now, patient_until: None }) }
    }

    /// Notes that the database answers at `now`, and decides whether expired leases may be rescued.
    pub(super) fn may_rescue(&self, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(state.last) > self.longest_silence {
            state.patient_until = Some(now + self.patience);
        }
        state.last = now;
        state.patient_until.is_none_or(|until| now >= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_an_outage_holders_get_time_to_report() {
        let start = Instant::now();
        let contact = Contact::new(Duration::from_secs(2), Duration::from_secs(10), start);
        let table = [
            (0, true),
            (2, true),
            (4, true),
            (7, false),
            (9, false),
            (11, false),
            (13, false),
            (15, false),
            (17, true),
            (19, true),
            (30, false),
        ];
        for (second, expected) in table {
            assert_eq!(contact.may_rescue(start + Duration::from_secs(second)), expected, "second {second}");
        }
    }
}
