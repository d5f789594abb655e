//! How many jobs to claim ahead of those that run. Short jobs are claimed many at a time, since a claim costs the same for one
//! as for a hundred; long ones never, since another worker may be free for them at once. Pure.

use std::time::Duration;

/// No more jobs than these are claimed ahead …
pub(super) const MOST: usize = 1000;
/// … and no more than are started within this time, at the pace of late.
const AHEAD: Duration = Duration::from_millis(50);
/// A claimed job begins within this time, or goes back.
pub(super) const LONGEST_WAIT: Duration = Duration::from_millis(500);
/// So many runs, about, make up the pace.
const MEMORY: u32 = 16;

/// How long the jobs of late took.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// A moving average; none before the first job.
    took: Option<Duration>,
}

impl Pace {
    /// Notes how long a job ran.
    pub(super) fn ran(&mut self, took: Duration) {
        // A long one makes the runner careful, but not for ever.
        let took = took.min(LONGEST_WAIT * MEMORY);
        self.took = Some(self.took.map_or(took, |average| (average * (MEMORY - 1) + took) / MEMORY));
    }

    /// Notes that claimed jobs waited in vain: the pace was misjudged.
    pub(super) fn stalled(&mut self) {
        self.took = Some(LONGEST_WAIT * MEMORY);
    }

    /// How many jobs may wait while `slots` run.
    pub(super) fn ahead(&self, slots: usize) -> usize {
        let Some(took) = self.took else { return 0 };
        let each = AHEAD.as_nanos() / took.as_nanos().max(1);
        usize::try_from(each).unwrap_or(MOST).saturating_mul(slots).min(MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(runs: &[(u32, u64)]) -> Pace {
        let mut pace = Pace::default();
        for (times, micros) in runs {
            (0..*times).for_each(|_| pace.ran(Duration::from_micros(*micros)));
        }
        pace
    }

    #[test]
    fn only_short_jobs_are_claimed_ahead() {
        let table: [(&[(u32, u64)], usize); 7] = [
            (&[], 0),
            (&[(1, 1)], MOST),
            (&[(5, 1000)], 200),
            (&[(5, 10_000)], 20),
            (&[(5, 60_000)], 0),
            (&[(1000, 10), (1, 3_600_000_000)], 0),
            (&[(1, 3_600_000_000), (200, 10)], MOST),
        ];
        for (runs, expected) in table {
            assert_eq!(after(runs).ahead(4), expected, "{runs:?}");
        }
    }

    #[test]
    fn after_jobs_waited_in_vain_none_is_claimed_ahead_for_a_while() {
        let mut pace = after(&[(10, 10)]);
        pace.stalled();
        assert_eq!(pace.ahead(4), 0);
        (0..20).for_each(|_| pace.ran(Duration::from_micros(10)));
        assert_eq!(pace.ahead(4), 0);
        (0..200).for_each(|_| pace.ran(Duration::from_micros(10)));
        assert!(pace.ahead(4) > 100);
    }
}
