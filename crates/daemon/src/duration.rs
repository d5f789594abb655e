//! Durations as people write them in a configuration file: `10s`, `24h`, `1h 30m`.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A duration written with its units: `10s`, `24h`, `1h 30m`. A bare number is refused, except `0`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumaneDuration(pub Duration);

impl HumaneDuration {
    /// A duration of whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The plain duration.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl From<HumaneDuration> for Duration {
    fn from(value: HumaneDuration) -> Self {
        value.0
    }
}

impl fmt::Display for HumaneDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl fmt::Debug for HumaneDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for HumaneDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HumaneDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Humane)
    }
}

struct Humane;

impl Visitor<'_> for Humane {
    type Value = HumaneDuration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration with its unit, for example 10s, 15m, 24h or 7days")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<HumaneDuration, E> {
        humantime::parse_duration(text)
            .map(HumaneDuration)
            .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<HumaneDuration, E> {
        match number {
            0 => Ok(HumaneDuration(Duration::ZERO)),
            _ => Err(E::invalid_type(de::Unexpected::Unsigned(number), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units_and_written_the_same_way() {
        let read: HumaneDuration = serde_json::from_str("\"1h 30m\"").unwrap();
        assert_eq!(read.get(), Duration::from_secs(5400));
        assert_eq!(read.to_string(), "1h 30m");
    }

    #[test]
    fn a_number_without_a_unit_is_refused_except_zero() {
        assert!(serde_json::from_str::<HumaneDuration>("10").is_err());
        assert!(serde_json::from_str::<HumaneDuration>("\"10\"").is_err());
        assert_eq!(serde_json::from_str::<HumaneDuration>("0").unwrap().get(), Duration::ZERO);
    }
}
