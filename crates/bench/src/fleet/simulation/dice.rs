//! Chance that comes out the same in every run: it depends on what is diced about and on nothing else.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// Answers that come late, of a thousand.
const SLOW: u64 = 20;
/// Answers that never come, because the connection is cut.
const CUT: u64 = 10;
const SLOW_OR_CUT: u64 = SLOW + CUT;
/// First requests to start that are refused as busy.
const BUSY: u64 = 5;
/// Operations that fail in the end.
const FAILING: u64 = 30;

/// What befalls one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It is answered late.
    Slow(Duration),
    /// The connection is cut instead of an answer, after the request was acted upon.
    Cut,
}

/// Trouble of the `count`-th request about an operation.
pub(super) fn trouble(id: &str, count: u32) -> Option<Trouble> {
    match thousand(&("trouble", id, count)) {
        0..CUT => Some(Trouble::Cut),
        CUT..SLOW_OR_CUT => {
            Some(Trouble::Slow(Duration::from_millis(1000 + thousand(&("slow", id, count)) * 4)))
        }
        _ => None,
    }
}

/// How long an agent takes to answer when all is well: 2 to 20 ms.
pub(super) fn delay(id: &str, count: u32) -> Duration {
    Duration::from_micros(2_000 + thousand(&("delay", id, count)) * 18)
}

/// Whether the agent is busy when it first hears of an operation.
pub(super) fn is_busy(id: &str) -> bool {
    thousand(&("busy", id)) < BUSY
}

/// Whether the operation fails in the end.
pub(super) fn fails(id: &str) -> bool {
    thousand(&("fails", id)) < FAILING
}

/// How long an operation takes: exponential around the mean, so that a fleet is in its steady state from the beginning.
pub(super) fn duration(id: &str, mean: Duration) -> Duration {
    let share = (f64::from(u32::try_from(thousand(&("duration", id))).unwrap_or(0)) + 0.5) / 1000.0;
    mean.mul_f64(-share.ln())
}

fn thousand(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish() % 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_percent_of_everything_go_wrong() {
        let ids: Vec<String> = (0..10_000).map(|number| format!("id-{number}")).collect();
        let count = |is: &dyn Fn(&str) -> bool| ids.iter().filter(|id| is(id)).count();
        let near =
            |found: usize, of_thousand: u64| found.abs_diff(usize::try_from(of_thousand * 10).unwrap()) < 60;
        assert!(near(count(&fails), FAILING));
        assert!(near(count(&is_busy), BUSY));
        assert!(near(count(&|id| trouble(id, 1) == Some(Trouble::Cut)), CUT));
        assert!(near(count(&|id| matches!(trouble(id, 1), Some(Trouble::Slow(_)))), SLOW));
    }

    #[test]
    fn durations_are_around_their_mean() {
        let mean = Duration::from_secs(360);
        let sum: Duration = (0..10_000).map(|number| duration(&number.to_string(), mean)).sum();
        assert!((sum / 10_000).abs_diff(mean) < Duration::from_secs(20), "{:?}", sum / 10_000);
    }
}
