//! Why a backup stays, whatever retention and clients say.

use backup_core::domain::hold::Hold;
use serde::Serialize;
use utoipa::ToSchema;

use super::schema::{example_time, time, time_or_null};
use super::{Timestamp, View};

/// A hold: as long as it is in force, nothing deletes the backup.
#[derive(Serialize, ToSchema)]
#[schema(as = Hold)]
pub(crate) struct HoldView {
    /// Why.
    reason: String,
    /// When it ends by itself; null: when it is released.
    #[schema(schema_with = time_or_null)]
    until: Option<Timestamp>,
    /// The user who placed it.
    by: String,
    /// When it was placed, or last changed.
    #[schema(schema_with = time)]
    at: Timestamp,
}

impl View for HoldView {
    fn example() -> Self {
        Self {
            reason: "before the migration".to_owned(),
            until: Some(example_time(2_592_000)),
            by: "admin".to_owned(),
            at: example_time(60),
        }
    }
}

impl From<Hold> for HoldView {
    fn from(hold: Hold) -> Self {
        Self { reason: hold.reason, until: hold.until.map(Timestamp), by: hold.by, at: Timestamp(hold.at) }
    }
}
