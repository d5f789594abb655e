//! Sizes, times and durations as people read them.

use chrono::{DateTime, TimeDelta, Utc};

const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// A number of bytes with three significant digits: `0 B`, `1.50 KiB`, `12.3 GiB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    let mut hundredths = u128::from(count).saturating_mul(100);
    let mut units = UNITS.iter();
    let mut unit = units.next().copied().unwrap_or("B");
    // 99,950 hundredths would be rounded to 1000 of the unit.
    while hundredths >= 102_400 || (hundredths >= 99_950 && unit != "B") {
        let Some(next) = units.next() else { break };
        hundredths = hundredths.div_ceil(1024);
        unit = next;
    }
    let (whole, rest) = (hundredths / 100, hundredths % 100);
    match (unit, whole) {
        ("B", _) => format!("{whole} B"),
        (_, 0..=9) => format!("{whole}.{rest:02} {unit}"),
        (_, 10..=99) => format!("{whole}.{} {unit}", rest / 10),
        _ => format!("{whole} {unit}"),
    }
}

/// How much of how much: `223 MiB of about 987 MiB`, or `223 MiB` while nobody knows the whole.
#[must_use]
pub fn amount(done: u64, total: Option<u64>) -> String {
    match total.filter(|total| *total > 0) {
        Some(total) => format!("{} of about {}", bytes(done), bytes(total)),
        None => bytes(done),
    }
}

/// A duration in its two largest units: `45s`, `3m 20s`, `2h 5m`, `3d 4h`.
#[must_use]
pub fn duration(seconds: u64) -> String {
    let (days, hours, minutes, rest) =
        (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest}s"),
        (0, 0, _) => format!("{minutes}m {rest}s"),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// The time between two moments of the API; a dash when one is missing or they are in the wrong order.
#[must_use]
pub fn span(from: Option<&str>, to: Option<&str>) -> String {
    let between = |from: DateTime<Utc>, to: DateTime<Utc>| -> TimeDelta { to - from };
    let seconds = parse(from).zip(parse(to)).map(|(from, to)| between(from, to).num_seconds());
    seconds.and_then(|s| u64::try_from(s).ok()).map_or_else(|| "-".to_owned(), duration)
}

/// The time since a moment of the API, by the clock of this host; a dash when it is missing.
#[must_use]
pub fn since(from: Option<&str>) -> String {
    span(from, Some(&Utc::now().to_rfc3339()))
}

/// A moment of the API to the second, in UTC: `2023-04-11 08:52:48`. What is not understood is shown as it is.
#[must_use]
pub fn time(text: &str) -> String {
    match parse(Some(text)) {
        Some(time) => time.format("%Y-%m-%d %H:%M:%S").to_string(),
        None => one_line(text),
    }
}

/// The same, with a dash for what has not happened.
#[must_use]
pub fn time_or_dash(text: Option<&str>) -> String {
    text.map_or_else(|| "-".to_owned(), time)
}

/// A text of a stranger without line breaks and control characters, which could otherwise paint on the terminal.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn parse(text: Option<&str>) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text?).ok().map(|time| time.with_timezone(&Utc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_at_most_three_digits_and_never_a_thousand() {
        let table = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (1536, "1.50 KiB"),
            (10 * 1024, "10.0 KiB"),
            (1024 * 1024 - 1, "1.00 MiB"),
            (1 << 30, "1.00 GiB"),
            (123 << 30, "123 GiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (count, text) in table {
            assert_eq!(bytes(count), text, "{count}");
        }
    }

    #[test]
    fn durations_show_their_two_largest_units() {
        let table = [(0, "0s"), (59, "59s"), (60, "1m 0s"), (3725, "1h 2m"), (90_061, "1d 1h")];
        for (seconds, text) in table {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn spans_need_both_ends_in_order() {
        let (a, b) = (Some("2023-04-11T08:52:48.209Z"), Some("2023-04-11T08:53:49.000Z"));
        assert_eq!(span(a, b), "1m 0s");
        assert_eq!(span(b, a), "-");
        assert_eq!(span(a, None), "-");
        assert_eq!(since(None), "-");
        assert!(since(a).contains('d'), "{}", since(a));
    }

    #[test]
    fn an_amount_names_the_whole_only_when_it_is_known() {
        assert_eq!(amount(223 << 20, Some(987 << 20)), "223 MiB of about 987 MiB");
        assert_eq!(amount(1024, None), "1.00 KiB");
        assert_eq!(amount(1024, Some(0)), "1.00 KiB");
    }

    #[test]
    fn times_are_shown_in_utc_and_control_characters_never() {
        assert_eq!(time("2023-04-11T10:52:48.209+02:00"), "2023-04-11 08:52:48");
        assert_eq!(time("so\u{1b}[2Jon"), "so [2Jon");
        assert_eq!(time_or_dash(None), "-");
    }
}
