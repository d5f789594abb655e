//! Answers that say what was begun.

use serde::Serialize;
use utoipa::ToSchema;

use super::View;
use super::schema::EXAMPLE_BACKUP_GUID;

/// `{"message": "…"}`
#[derive(Serialize, ToSchema)]
#[schema(description = "What was done.")]
pub(crate) struct Message {
    pub(crate) message: &'static str,
}

/// `{"id": 1, "message": "…"}`
#[derive(Serialize, ToSchema)]
#[schema(as = BackupRequested, description = "The backup that was recorded.")]
pub(crate) struct Begun {
    #[schema(minimum = 1)]
    pub(crate) id: i64,
    pub(crate) message: &'static str,
}

/// `{"id": 1}`
#[derive(Serialize, ToSchema)]
#[schema(as = RestoreRequested, description = "The restore that was recorded.")]
pub(crate) struct Id {
    #[schema(minimum = 1)]
    pub(crate) id: i64,
}

/// `{"restore_id": 5}`, the first generation's way.
#[derive(Serialize, ToSchema)]
#[schema(as = RestoreId, description = "The restore that was recorded, as the first generation names it.")]
pub(crate) struct RestoreBegun {
    #[schema(minimum = 1)]
    pub(crate) restore_id: i64,
}

/// `{"backup_guid": "…"}`
#[derive(Serialize, ToSchema)]
#[schema(description = "The instance's folder in the backup store.")]
pub(crate) struct BackupGuid {
    pub(crate) backup_guid: String,
}

impl View for Message {
    fn example() -> Self {
        Self { message: "instance updated" }
    }
}

impl View for Begun {
    fn example() -> Self {
        Self { id: 1, message: "job to backup is queued" }
    }
}

impl View for Id {
    fn example() -> Self {
        Self { id: 1 }
    }
}

impl View for RestoreBegun {
    fn example() -> Self {
        Self { restore_id: 1 }
    }
}

impl View for BackupGuid {
    fn example() -> Self {
        Self { backup_guid: EXAMPLE_BACKUP_GUID.to_owned() }
    }
}
