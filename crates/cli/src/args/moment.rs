//! Moments as people type them: a time, a date, or so long before or after now.

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, TimeDelta, Utc};

/// Reads a moment, or how long ago it was by the clock of this host, into the form of the API.
pub(super) fn past(text: &str) -> Result<String, String> {
    moment(text, |span| Utc::now().checked_sub_signed(span))
}

/// Reads a moment, or how far away it is by the clock of this host, into the form of the API.
pub(super) fn future(text: &str) -> Result<String, String> {
    moment(text, |span| Utc::now().checked_add_signed(span))
}

fn moment(text: &str, from_now: impl FnOnce(TimeDelta) -> Option<DateTime<Utc>>) -> Result<String, String> {
    let formats = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"];
    let spaced = || formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let date = || text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0);
    let span = || TimeDelta::from_std(humantime::parse_duration(text).ok()?).ok();
    let moment = DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.to_utc());
    let moment = moment.or_else(|| spaced().or_else(date).map(|moment| moment.and_utc()));
    let moment = moment.or_else(|| span().and_then(from_now));
    moment.map(|moment| moment.to_rfc3339_opts(SecondsFormat::Millis, true)).ok_or_else(|| {
        "give a duration like 2h or 7d, a date like 2026-02-01, or a time like '2026-02-01 01:30' or 2026-02-01T01:30:00Z"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_understood_in_every_usual_form() {
        for (text, expected) in [
            ("2026-02-01", "2026-02-01T00:00:00.000Z"),
            ("2026-02-01 01:30", "2026-02-01T01:30:00.000Z"),
            ("2026-02-01 01:30:07", "2026-02-01T01:30:07.000Z"),
            ("2026-02-01T01:30:07.209Z", "2026-02-01T01:30:07.209Z"),
            ("2026-02-01T01:30:07+02:00", "2026-01-31T23:30:07.000Z"),
        ] {
            assert_eq!(past(text).unwrap(), expected, "{text}");
            assert_eq!(future(text).unwrap(), expected, "{text}");
        }
        let far = TimeDelta::hours(2);
        let is_near = |text: String, moment: DateTime<Utc>| {
            let found: DateTime<Utc> = text.parse().unwrap();
            (found - moment).num_seconds().abs() < 60
        };
        assert!(is_near(past("2h").unwrap(), Utc::now() - far));
        assert!(is_near(future("2h").unwrap(), Utc::now() + far));
    }

    #[test]
    fn what_is_no_moment_is_refused_with_the_forms() {
        for text in ["yesterday", "2026-02-30", "", "999999999y", "2"] {
            assert!(past(text).unwrap_err().contains("a duration like 2h"), "{text}");
            assert!(future(text).is_err(), "{text}");
        }
    }
}
