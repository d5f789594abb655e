//! Answers that say what was begun.

use serde::Serialize;

/// `{"message": "…"}`
#[derive(Serialize)]
pub(crate) struct Message {
    pub(crate) message: &'static str,
}

/// `{"id": 1, "message": "…"}`
#[derive(Serialize)]
pub(crate) struct Begun {
    pub(crate) id: i64,
    pub(crate) message: &'static str,
}

/// `{"id": 1}`
#[derive(Serialize)]
pub(crate) struct Id {
    pub(crate) id: i64,
}

/// `{"restore_id": 5}`, the first generation's way.
#[derive(Serialize)]
pub(crate) struct RestoreBegun {
    pub(crate) restore_id: i64,
}

/// `{"backup_guid": "…"}`
#[derive(Serialize)]
pub(crate) struct BackupGuid {
    pub(crate) backup_guid: String,
}
