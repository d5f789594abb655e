//! Times on the wire: ISO 8601 in UTC with milliseconds, `2023-04-11T08:52:48.209Z`.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

/// A time on the wire.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timestamp(pub(crate) DateTime<Utc>);

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds_and_a_z() {
        let time = DateTime::from_timestamp_millis(1_681_203_168_209).unwrap();
        assert_eq!(serde_json::to_string(&Timestamp(time)).unwrap(), "\"2023-04-11T08:52:48.209Z\"");
        let whole = DateTime::from_timestamp(1_681_203_168, 0).unwrap();
        assert_eq!(serde_json::to_string(&Timestamp(whole)).unwrap(), "\"2023-04-11T08:52:48.000Z\"");
    }
}
