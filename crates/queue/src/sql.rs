//! Small things several statements share: the notification channel and the forms in which durations and texts travel.

use std::time::Duration;

/// The channel on which "something has become ready" is told, without a payload. Postgres sends equal notifications
/// of one transaction once.
pub(crate) const CHANNEL: &str = "queue_job_ready";

/// A hundred years: longer waits are cut to this, so that no timestamp overflows.
const LONGEST: f64 = 100.0 * 365.25 * 86_400.0;

/// The longest error text kept.
const LONGEST_TEXT: usize = 20_000;

/// Seconds for `make_interval(secs => …)`.
pub(crate) fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64().min(LONGEST)
}

/// An error text as Postgres accepts it: no NUL, and not without end.
pub(crate) fn storable(text: &str) -> String {
    text.chars().filter(|letter| *letter != '\0').take(LONGEST_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_lose_their_nul_bytes() {
        assert_eq!(storable("a\0b"), "ab");
        assert_eq!(storable(&"ä".repeat(LONGEST_TEXT + 5)).chars().count(), LONGEST_TEXT);
    }

    #[test]
    fn the_longest_duration_stays_within_a_hundred_years() {
        assert!(seconds(Duration::MAX) <= LONGEST);
        assert_eq!(seconds(Duration::from_millis(1500)), 1.5);
    }
}
