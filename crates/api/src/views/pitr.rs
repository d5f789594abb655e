//! The moments an instance can be restored to.

use backup_core::domain::pitr::Promise;
use serde::Serialize;
use utoipa::ToSchema;

use super::schema::{example_time, time};
use super::{Timestamp, View};

/// Any moment between the two can be restored.
#[derive(Serialize, ToSchema)]
#[schema(as = PitrWindow)]
pub(crate) struct PitrView {
    /// The first moment.
    #[schema(schema_with = time)]
    start_time: Timestamp,
    /// The last moment; it moves on while the log is archived.
    #[schema(schema_with = time)]
    end_time: Timestamp,
    /// Whether `end_time` moves on. If not, the next backup begins a new window.
    is_growing: bool,
    /// Why it does not.
    reason: Option<String>,
}

impl View for PitrView {
    fn example() -> Self {
        Self { start_time: example_time(0), end_time: example_time(3600), is_growing: true, reason: None }
    }
}

impl From<Promise> for PitrView {
    fn from(promise: Promise) -> Self {
        Self {
            start_time: Timestamp(promise.start),
            end_time: Timestamp(promise.end),
            is_growing: promise.is_growing(),
            reason: promise.reason,
        }
    }
}
