//! Holds of backups: rows that the database lets nobody pass who would delete the backup.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use diesel::dsl::now;
use diesel::prelude::*;

use super::schema::holds;
use crate::Result;
use crate::domain::hold::Hold;
use crate::domain::identifiers::BackupId;

/// A hold's row, for the stores of backups.
#[derive(Queryable, Selectable)]
#[diesel(table_name = holds, check_for_backend(diesel::pg::Pg))]
pub(super) struct HoldRow {
    reason: String,
    held_by: String,
    is_operators: bool,
    held_at: DateTime<Utc>,
    held_until: Option<DateTime<Utc>>,
}

impl From<HoldRow> for Hold {
    fn from(row: HoldRow) -> Self {
        Self {
            reason: row.reason,
            by: row.held_by,
            is_operators: row.is_operators,
            at: row.held_at,
            until: row.held_until,
        }
    }
}

/// What somebody says of a backup that is to stay.
#[derive(Debug, Clone)]
pub struct NewHold {
    /// See [`Hold::reason`].
    pub reason: String,
    /// See [`Hold::by`].
    pub by: String,
    /// See [`Hold::is_operators`].
    pub is_operators: bool,
    /// See [`Hold::until`].
    pub until: Option<DateTime<Utc>>,
}

/// Places a hold, or replaces the one there is. The database refuses it for a backup that is not good, or whose removal
/// has begun.
pub fn upsert(conn: &mut PgConnection, backup: BackupId, hold: &NewHold) -> Result<()> {
    let values = (
        holds::reason.eq(&hold.reason),
        holds::held_by.eq(&hold.by),
        holds::is_operators.eq(hold.is_operators),
        holds::held_at.eq(now),
        holds::held_until.eq(hold.until),
    );
    diesel::insert_into(holds::table)
        .values((holds::backup_row_id.eq(backup.0), values))
        .on_conflict(holds::backup_row_id)
        .do_update()
        .set(values)
        .execute(conn)?;
    Ok(())
}

/// Releases a backup.
pub fn delete(conn: &mut PgConnection, backup: BackupId) -> Result<()> {
    diesel::delete(holds::table.find(backup.0)).execute(conn)?;
    Ok(())
}
