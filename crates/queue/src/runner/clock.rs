//! Tells that the database's clock was set back, by the machine's monotonic clock beside it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Less is what two clocks do by themselves.
const TOLERANCE_MICROS: i64 = 1_000_000;
/// A transaction that began while the clock was ahead may be committed so much later.
const AFTERMATH: Duration = Duration::from_secs(60);

/// Remembers where the database's clock was.
#[derive(Debug, Default)]
pub(super) struct Clock {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<(Instant, i64)>,
    until: Option<Instant>,
}

impl Clock {
    /// Notes that the database's clock shows `micros` at `now`, and tells whether it may have been ahead before: it went
    /// back since the last look, or a short while ago, or nobody has looked before.
    pub(super) fn may_have_been_ahead(&self, now: Instant, micros: i64) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let went_back = state.last.is_none_or(|(then, was)| {
            let passed = now.saturating_duration_since(then).as_micros();
            let expected = was.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX));
            micros < expected.saturating_sub(TOLERANCE_MICROS)
        });
        if went_back {
            state.until = Some(now + AFTERMATH);
        }
        state.last = Some((now, micros));
        state.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_went_back_is_noticed_and_one_that_goes_on_is_not() {
        let (start, clock) = (Instant::now(), Clock::default());
        // Second, what the database's clock shows, whether something may be from the future.
        let table = [
            (0, 100, true),
            (70, 170, false),
            (72, 172, false),
            (74, 3774, false),
            (76, 3776, false),
            (78, 178, true),
            (80, 180, true),
            (140, 240, false),
            (142, 242, false),
        ];
        for (second, shown, expected) in table {
            let at = start + Duration::from_secs(second);
            assert_eq!(clock.may_have_been_ahead(at, shown * 1_000_000), expected, "second {second}");
        }
    }
}
