//! When files were changed, to the nanosecond. The header of an entry has whole seconds since 1970; what is finer, or
//! earlier, is said by the record `mtime`, which GNU tar and libarchive know too.

use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use tar::Entry;

const RECORD: &str = "mtime";
const SECOND: i64 = 1_000_000_000;
const DIGITS: usize = 9;

/// A moment: seconds since 1970, also before it, and nanoseconds after that second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Modified {
    seconds: i64,
    nanoseconds: i64,
}

impl Modified {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self { seconds: metadata.mtime(), nanoseconds: metadata.mtime_nsec() }
    }

    /// Of an entry of an archive.
    pub(super) fn read(entry: &mut Entry<'_, impl Read>) -> io::Result<Self> {
        for record in entry.pax_extensions()?.into_iter().flatten() {
            let record = record?;
            if record.key().is_ok_and(|key| key == RECORD) {
                let wrong = || io::Error::other("the time of an entry is unreadable");
                return record.value().ok().and_then(Self::parse).ok_or_else(wrong);
            }
        }
        Ok(Self { seconds: entry.header().mtime()?.cast_signed(), nanoseconds: 0 })
    }

    /// What a header can say of it.
    pub(super) fn whole_seconds(self) -> u64 {
        u64::try_from(self.seconds).unwrap_or_default()
    }

    /// The record, unless the header says it all.
    pub(super) fn record(self) -> Option<(String, Vec<u8>)> {
        let (sign, seconds, nanoseconds) = match (self.seconds, self.nanoseconds) {
            (0.., 0) => return None,
            (0.., fraction) => ("", self.seconds, fraction),
            (..0, 0) => ("-", self.seconds.saturating_neg(), 0),
            (..0, fraction) => {
                ("-", self.seconds.saturating_add(1).saturating_neg(), SECOND.saturating_sub(fraction))
            }
        };
        Some((RECORD.to_owned(), format!("{sign}{seconds}.{nanoseconds:09}").into_bytes()))
    }

    /// A decimal number of seconds; what is finer than a nanosecond is cut off.
    fn parse(text: &str) -> Option<Self> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if !whole.chars().chain(fraction.chars()).all(|c| c.is_ascii_digit()) {
            return None;
        }
        let seconds: i64 = whole.parse().ok()?;
        let fraction: String = fraction.chars().chain(std::iter::repeat('0')).take(DIGITS).collect();
        let nanoseconds: i64 = fraction.parse().ok()?;
        Some(match (negative, nanoseconds) {
            (false, _) => Self { seconds, nanoseconds },
            (true, 0) => Self { seconds: seconds.checked_neg()?, nanoseconds },
            (true, _) => {
                let seconds = seconds.checked_neg()?.checked_sub(1)?;
                Self { seconds, nanoseconds: SECOND.saturating_sub(nanoseconds) }
            }
        })
    }

    /// Gives it to what is there, also to a symbolic link itself.
    pub(super) fn set(self, path: &Path) -> io::Result<()> {
        let time = TimeSpec::new(self.seconds, self.nanoseconds);
        let flag = UtimensatFlags::NoFollowSymlink;
        Ok(utimensat(AT_FDCWD, path, &TimeSpec::UTIME_OMIT, &time, flag)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_decimal_numbers_of_seconds() {
        for (seconds, nanoseconds, text) in [
            (1_700_000_000, 120_000_000, "1700000000.120000000"),
            (0, 1, "0.000000001"),
            (-1, 0, "-1.000000000"),
            (-1, 500_000_000, "-0.500000000"),
            (-2, 250_000_000, "-1.750000000"),
        ] {
            let time = Modified { seconds, nanoseconds };
            assert_eq!(time.record().unwrap().1, text.as_bytes());
            assert_eq!(Modified::parse(text), Some(time));
        }
        assert_eq!(Modified { seconds: 5, nanoseconds: 0 }.record(), None);
    }

    #[test]
    fn other_forms_are_read_or_refused() {
        let time = |seconds, nanoseconds| Some(Modified { seconds, nanoseconds });
        for (text, read) in [
            ("7", time(7, 0)),
            ("7.", time(7, 0)),
            ("7.5", time(7, 500_000_000)),
            ("7.1234567899", time(7, 123_456_789)),
            ("", None),
            ("-", None),
            ("--1", None),
            ("+1", None),
            ("1.-5", None),
            ("1e9", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(Modified::parse(text), read, "{text}");
        }
    }
}
