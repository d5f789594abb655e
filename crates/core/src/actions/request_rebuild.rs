//! Records the wish for a rebuild of the catalogue, with its job in one transaction, and shows how it stands.

use crate::domain::actor::Actor;
use crate::domain::audit::AuditAction;
use crate::domain::catalogue::{Finding, Rebuild};
use crate::domain::identifiers::RebuildId;
use crate::manager::Manager;
use crate::store::{audit_events, catalogue_rebuilds};
use crate::{Error, Result, jobs};

/// Asks for a search for backups without a row, in one store or in all that are configured. A dry run adopts none.
pub async fn request_rebuild(
    manager: &Manager,
    actor: &Actor,
    store: Option<String>,
    is_dry_run: bool,
) -> Result<RebuildId> {
    if let Some(name) = &store
        && manager.store(name).is_err()
    {
        let mut known = manager.store_names();
        known.sort_unstable();
        let found = name.chars().filter(|c| !c.is_control()).take(80).collect();
        return Err(Error::Invalid { field: "store", found, allowed: known.join(", ") });
    }
    let actor = actor.clone();
    manager
        .database
        .transaction(move |conn| {
            let id = catalogue_rebuilds::insert(conn, store.as_deref(), is_dry_run, &actor.name)?;
            backup_queue::enqueue(conn, &jobs::rebuild_catalogue(id))?;
            let dry = if is_dry_run { ", without adopting" } else { "" };
            let subject = match &store {
                Some(store) => format!("rebuild {id} from the store {store}{dry}"),
                None => format!("rebuild {id} from all stores{dry}"),
            };
            audit_events::insert(conn, &actor, AuditAction::RebuildCatalogue, None, Some(subject))?;
            Ok(id)
        })
        .await
}

/// A rebuild, and how often each outcome was found.
pub async fn show_rebuild(manager: &Manager, id: RebuildId) -> Result<(Rebuild, Vec<(String, i64)>)> {
    manager
        .database
        .transaction(move |conn| {
            let rebuild = catalogue_rebuilds::find(conn, id)?.ok_or(Error::RebuildNotFound(id))?;
            Ok((rebuild, catalogue_rebuilds::count_outcomes(conn, id)?))
        })
        .await
}

/// At most `limit` of its findings, behind `after`.
pub async fn list_findings(manager: &Manager, id: RebuildId, after: i64, limit: i64) -> Result<Vec<Finding>> {
    manager
        .database
        .transaction(move |conn| {
            catalogue_rebuilds::find(conn, id)?.ok_or(Error::RebuildNotFound(id))?;
            catalogue_rebuilds::list_findings(conn, id, after, limit)
        })
        .await
}
