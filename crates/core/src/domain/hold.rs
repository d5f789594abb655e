//! A hold: somebody's word that a backup stays, whatever retention and clients say. What it means for a deletion is
//! decided by the gate in `domain/deletion`; the database refuses it, too.

use std::fmt;

use chrono::{DateTime, Utc};

/// Longest reason of a hold, in characters.
pub const LONGEST_REASON: usize = 500;

/// Why a backup stays, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// In somebody's own words.
    pub reason: String,
    /// Who placed it: a user's name.
    pub by: String,
    /// An operator placed it, so that owners can neither change nor release it.
    pub is_operators: bool,
    /// When it was placed, or last changed.
    pub at: DateTime<Utc>,
    /// It ends by itself at this moment; none means only when it is released.
    pub until: Option<DateTime<Utc>>,
}

impl Hold {
    /// Whether it has ended by itself.
    #[must_use]
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (by {}", self.reason, self.by)?;
        match self.until {
            Some(until) => write!(f, ", until {})", until.format("%Y-%m-%d %H:%M UTC")),
            None => write!(f, ")"),
        }
    }
}

/// Whether a text can be the reason of a hold: not empty, one line, not longer than [`LONGEST_REASON`].
#[must_use]
pub fn is_reason(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= LONGEST_REASON && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_ends_at_its_moment_and_without_one_never() {
        let moment = |seconds: i64| DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap();
        let mut hold = Hold {
            reason: "case 7".into(),
            by: "olga".into(),
            is_operators: false,
            at: moment(0),
            until: Some(moment(60)),
        };
        assert!(!hold.is_over(moment(59)) && hold.is_over(moment(60)));
        assert_eq!(hold.to_string(), "case 7 (by olga, until 2027-01-15 08:01 UTC)");
        hold.until = None;
        assert!(!hold.is_over(DateTime::<Utc>::MAX_UTC));
        assert_eq!(hold.to_string(), "case 7 (by olga)");
    }

    #[test]
    fn a_reason_is_one_line_that_says_something() {
        assert!(is_reason("before the migration") && is_reason(&"é".repeat(LONGEST_REASON)));
        for text in ["", "  ", "two\nlines", &"é".repeat(LONGEST_REASON + 1)] {
            assert!(!is_reason(text), "{text:?}");
        }
    }
}
