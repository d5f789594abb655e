//! When a cron expression matches next. Pure; daylight-saving changes are the business of `croner`:
//! a fixed time that falls into the spring gap runs right after it, one that occurs twice in autumn runs once.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

/// Computes the first match of a five-field cron expression, read in an IANA time zone, strictly after a moment.
///
/// # Errors
/// A sentence for the operator when the expression or the time zone cannot be read, or never matches.
pub fn next_after(cron: &str, time_zone: &str, after: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let (cron, time_zone) = parse(cron, time_zone)?;
    let next = cron
        .find_next_occurrence(&after.with_timezone(&time_zone), false)
        .map_err(|error| format!("`{}` has no next time: {error}", cron.as_str()))?;
    Ok(next.with_timezone(&Utc))
}

/// Checks that a cron expression and a time zone can be read, for use when configuration is loaded.
///
/// # Errors
/// A sentence for the operator.
pub fn check(cron: &str, time_zone: &str) -> Result<(), String> {
    parse(cron, time_zone).map(|_| ())
}

fn parse(cron: &str, time_zone: &str) -> Result<(Cron, Tz), String> {
    let zone: Tz = time_zone
        .parse()
        .map_err(|_| format!("`{time_zone}` is not a time zone such as `Europe/Berlin` or `UTC`"))?;
    let parsed = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build()
        .parse(cron)
        .map_err(|error| format!("`{cron}` is not a cron expression with five fields: {error}"))?;
    Ok((parsed, zone))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(cron: &str, zone: &str, after: &str) -> String {
        let after: DateTime<Utc> = after.parse().unwrap();
        next_after(cron, zone, after).unwrap().to_rfc3339()
    }

    #[test]
    fn the_next_time_is_strictly_later_and_read_in_its_zone() {
        let table = [
            ("30 1 * * *", "UTC", "2026-01-01T01:30:00Z", "2026-01-02T01:30:00+00:00"),
            ("30 1 * * *", "UTC", "2026-01-01T01:29:59Z", "2026-01-01T01:30:00+00:00"),
            ("*/5 * * * *", "UTC", "2026-01-01T00:04:00.5Z", "2026-01-01T00:05:00+00:00"),
            ("30 1 * * *", "Europe/Berlin", "2026-01-01T12:00:00Z", "2026-01-02T00:30:00+00:00"),
            ("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00+00:00"),
            ("0 12 * * 0", "UTC", "2026-11-22T12:00:00Z", "2026-11-29T12:00:00+00:00"),
        ];
        for (cron, zone, after, expected) in table {
            assert_eq!(next(cron, zone, after), expected, "{cron} in {zone} after {after}");
        }
    }

    #[test]
    fn a_daily_run_in_the_spring_gap_happens_right_after_it() {
        // Berlin jumps from 02:00 to 03:00 on 29 March 2026, which is 01:00 UTC.
        let run = next("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z");
        assert_eq!(run, "2026-03-29T01:00:00+00:00");
        assert_eq!(next("30 2 * * *", "Europe/Berlin", &run), "2026-03-30T00:30:00+00:00");
    }

    #[test]
    fn a_daily_run_in_the_autumn_overlap_happens_once() {
        // Berlin repeats the hour from 02:00 to 03:00 on 25 October 2026.
        let run = next("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z");
        assert_eq!(run, "2026-10-25T00:30:00+00:00");
        assert_eq!(next("30 2 * * *", "Europe/Berlin", &run), "2026-10-26T01:30:00+00:00");
    }

    #[test]
    fn what_cannot_be_read_is_explained() {
        for cron in ["", "* * * *", "61 * * * *", "0 0 1 1 * *", "0 0 0 1 1 * 2027", "often"] {
            assert!(check(cron, "UTC").unwrap_err().contains("five fields"), "{cron}");
        }
        assert!(check("* * * * *", "Mars/Base").unwrap_err().contains("not a time zone"));
        assert!(next_after("0 0 31 2 *", "UTC", DateTime::UNIX_EPOCH).is_err());
    }
}
