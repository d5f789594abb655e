//! Restores to a moment: the windows of an instance's base backups, what they promise together, and which base serves a
//! moment.

use backup_protocol::PitrWindowState;
use chrono::{DateTime, Utc};

use super::identifiers::BackupId;

/// The moments one `done` base backup can be restored to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The base backup.
    pub backup: BackupId,
    /// Its end.
    pub start: DateTime<Utc>,
    /// The newest moment whose log is stored.
    pub end: DateTime<Utc>,
    /// The last piece of the log that is needed for it.
    pub last_segment: String,
    /// Whether it grows.
    pub state: PitrWindowState,
    /// Why it is broken.
    pub reason: Option<String>,
}

/// Moments without a gap between them, up to the newest there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// The first moment.
    pub start: DateTime<Utc>,
    /// The last moment.
    pub end: DateTime<Utc>,
    /// Whether it grows.
    pub state: PitrWindowState,
    /// Why it does not.
    pub reason: Option<String>,
}

impl Promise {
    /// Whether its end moves on.
    #[must_use]
    pub fn is_growing(&self) -> bool {
        self.state == PitrWindowState::Open
    }
}

/// What the windows promise together: the newest one, and those before it as long as each reaches the next. The order of
/// the windows does not matter.
#[must_use]
pub fn promise(windows: &[Window]) -> Option<Promise> {
    let mut sorted: Vec<&Window> = windows.iter().collect();
    sorted.sort_by_key(|window| (window.start, window.backup));
    let newest = sorted.pop()?;
    let mut start = newest.start;
    while let Some(before) = sorted.pop().filter(|before| before.end >= start) {
        start = before.start;
    }
    Some(Promise { start, end: newest.end, state: newest.state, reason: newest.reason.clone() })
}

/// The base that serves a moment: the newest that had ended by then, if its log reaches the moment.
#[must_use]
pub fn base_for(windows: &[Window], moment: DateTime<Utc>) -> Option<&Window> {
    let ended = windows.iter().filter(|window| window.start <= moment);
    ended.max_by_key(|window| (window.start, window.backup)).filter(|window| moment <= window.end)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn time(minute: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)
    }

    fn window(id: i64, start: i64, end: i64) -> Window {
        Window {
            backup: BackupId(id),
            start: time(start),
            end: time(end),
            last_segment: "000000010000000000000001".into(),
            state: PitrWindowState::Open,
            reason: None,
        }
    }

    #[test]
    fn windows_that_meet_are_one_promise_and_a_gap_ends_it() {
        let windows = [window(1, 0, 9), window(2, 10, 20), window(3, 20, 30), window(4, 30, 35)];
        let promised = promise(&windows).unwrap();
        assert_eq!((promised.start, promised.end), (time(10), time(35)));
        assert_eq!(promise(&[]), None);
    }

    #[test]
    fn a_moment_is_served_by_the_newest_base_that_had_ended() {
        let windows = [window(1, 0, 9), window(2, 10, 20), window(3, 20, 30)];
        for (moment, base) in [
            (-1, None),
            (0, Some(1)),
            (9, Some(1)),
            (10, Some(2)),
            (19, Some(2)),
            (20, Some(3)),
            (30, Some(3)),
            (31, None),
        ] {
            assert_eq!(base_for(&windows, time(moment)).map(|w| w.backup.0), base, "{moment}");
        }
        assert_eq!(base_for(&[window(1, 0, 5), window(2, 8, 9)], time(6)), None, "in a gap");
    }

    proptest! {
        #[test]
        fn every_promised_moment_has_a_base(
            spans in proptest::collection::vec((0_i64..100, 0_i64..30), 1..8),
            moment in 0_i64..140,
        ) {
            let spans = spans.into_iter().enumerate();
            let windows: Vec<Window> =
                spans.map(|(n, (start, length))| window(i64::try_from(n).unwrap(), start, start + length)).collect();
            let promised = promise(&windows).unwrap();
            let moment = time(moment);
            // Windows of one agent do not overlap: a newer base ends the one before.
            let mut sorted = windows.clone();
            sorted.sort_by_key(|w| w.start);
            let overlaps = sorted.windows(2).any(|pair| pair[0].end > pair[1].start || pair[0].start == pair[1].start);
            prop_assume!(!overlaps);
            if promised.start <= moment && moment <= promised.end {
                prop_assert!(base_for(&windows, moment).is_some());
            }
        }
    }
}
