//! Gives places under the limits of running backups to those that wait for one, in the order of
//! [`crate::domain::places::next`]. Called after the transaction in which a place fell free or somebody asked for one, and by
//! the sweep: whatever was missed in between, because a process died, is made up for there.

use crate::Result;
use crate::domain::identifiers::BackupId;
use crate::domain::operation::OperationKind;
use crate::domain::places::{self as decision, Standing};
use crate::error::chain;
use crate::jobs;
use crate::manager::{Manager, Settings};
use crate::store::places;

use diesel::PgConnection;

/// Places given by one call; the next call, or the sweep, goes on.
const MOST: usize = 1000;

/// Gives the places that are free, and wakes the jobs of those that got one; returns who did. Each is a transaction of its own:
/// it locks a job, and no two, so it cannot deadlock with handlers that end operations. `asking`: the backup of the handler
/// that calls this. Its job need not be woken, and must not be: a failed attempt would be repeated without its back-off.
pub(super) async fn give_places(manager: &Manager, asking: Option<BackupId>) -> Result<Vec<BackupId>> {
    let mut given = Vec::new();
    while given.len() < MOST {
        let settings = manager.settings();
        match manager.database.transaction(move |conn| give_next(conn, &settings, asking)).await? {
            Some(backup) => given.push(backup),
            None => break,
        }
    }
    Ok(given)
}

/// After an operation has set a place free; that others wait a little longer, until the sweep, is no error of it.
pub(super) async fn pass_on(manager: &Manager, kind: OperationKind) {
    give_or_warn(manager, kind, None).await;
}

/// After a backup has stood in line: whether it is its turn already.
pub(super) async fn has_turn(manager: &Manager, backup: BackupId) -> bool {
    give_or_warn(manager, OperationKind::Backup, Some(backup)).await.contains(&backup)
}

async fn give_or_warn(manager: &Manager, kind: OperationKind, asking: Option<BackupId>) -> Vec<BackupId> {
    if kind != OperationKind::Backup || !manager.policy().limits.are_any() {
        return Vec::new();
    }
    give_places(manager, asking).await.unwrap_or_else(|error| {
        tracing::warn!("no free place was given yet: {}", chain(&error));
        Vec::new()
    })
}

fn give_next(
    conn: &mut PgConnection,
    settings: &Settings,
    asking: Option<BackupId>,
) -> Result<Option<BackupId>> {
    let limits = &settings.policy.limits;
    // Whoever sets a place free afterwards comes here afterwards, so looking without the lock misses nobody.
    if !places::is_anybody_waiting(conn)? {
        return Ok(None);
    }
    let brokers = settings.brokers.len();
    if limits.fleet.is_some_and(|limit| limit <= 0)
        || is_full(limits.fleet, &places::standing(conn, brokers)?)
    {
        return Ok(None);
    }
    let in_a_row = places::lock_turns(conn)?;
    let standing = places::standing(conn, brokers)?;
    let mut candidates = places::heads(conn, false)?;
    candidates.extend(places::heads(conn, true)?);
    let Some((line, in_a_row)) = decision::next(limits, &standing, &candidates, in_a_row) else {
        return Ok(None);
    };
    let Some(backup) = places::find_first(conn, line)? else { return Ok(None) };
    if asking != Some(backup) {
        // The job before the place, as its handler locks them.
        backup_queue::run_now(conn, &jobs::start_key(OperationKind::Backup, backup.0))?;
    }
    if places::give(conn, backup)? {
        places::update_turns(conn, in_a_row)?;
    }
    Ok(Some(backup))
}

fn is_full(limit: Option<i64>, standing: &Standing) -> bool {
    limit.is_some_and(|limit| standing.total() >= limit)
}
