//! The journal as the manager reads it to compare it with its own records: page by page, in the order of the cursors.

use backup_protocol::{ListedKind, ListedObjects, ListedOperation, OperationList};

use super::entry::{Entry, Key, Kind};
use super::refusal::Refused;
use super::registry::Operations;

/// Most operations on a page.
const LARGEST_PAGE: usize = 1000;

/// What of the journal is asked for.
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct Page {
    /// Behind this cursor.
    after: Option<String>,
    /// At most so many.
    limit: Option<usize>,
}

impl Operations {
    /// Lists operations, those that run and those that have ended.
    ///
    /// # Errors
    /// [`Refused::BadRequest`] for a cursor that is none, and for a limit out of bounds.
    pub(crate) fn list(&self, page: &Page) -> Result<OperationList, Refused> {
        let limit = page.limit.unwrap_or(LARGEST_PAGE);
        if !(1..=LARGEST_PAGE).contains(&limit) {
            return Err(Refused::bad("limit", format!("must be 1 to {LARGEST_PAGE}")));
        }
        let after = page.after.as_deref().map(parse).transpose()?;
        let state = self.state();
        let mut behind: Vec<(&Key, &Entry)> =
            state.entries.iter().filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after)).collect();
        behind.sort_unstable_by_key(|(key, _)| *key);
        let has_more = behind.len() > limit;
        behind.truncate(limit);
        let next = behind.last().filter(|_| has_more).map(|((kind, id), _)| format!("{kind}-{id}"));
        Ok(OperationList { operations: behind.into_iter().map(|(_, entry)| listed(entry)).collect(), next })
    }
}

/// A cursor is kind and id of the last operation seen.
fn parse(cursor: &str) -> Result<Key, Refused> {
    let (kind, id) = cursor.split_once('-').unwrap_or_default();
    let kind =
        [Kind::Backup, Kind::Restore, Kind::Rehearsal].into_iter().find(|known| known.to_string() == kind);
    kind.map(|kind| (kind, id.to_owned())).ok_or_else(|| Refused::bad("after", "must be the next of a page"))
}

fn listed(entry: &Entry) -> ListedOperation {
    let status = &entry.status;
    ListedOperation {
        kind: match entry.kind {
            Kind::Backup => ListedKind::Backup,
            Kind::Restore => ListedKind::Restore,
            Kind::Rehearsal => ListedKind::Rehearsal,
        },
        id: status.id.clone(),
        epoch: status.epoch,
        state: status.state,
        started_at: status.started_at,
        finished_at: status.finished_at,
        cleanup_pending: entry.cleanup_pending,
        objects: entry.owned.as_ref().map(|objects| ListedObjects {
            store: objects.store.clone(),
            object_prefix: objects.object_prefix.clone(),
        }),
    }
}
