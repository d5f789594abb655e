//! `GET /v1/operations` of the fake agent, as the reference agent answers it: by cursor, page by page.

use backup_protocol::{ListedKind, ListedObjects, ListedOperation, OperationList};

use super::operations::{Operation, Operations, Start};

const LARGEST_PAGE: usize = 1000;

impl Operations {
    /// A page behind a cursor; an error names the parameter that makes no sense.
    pub(super) fn list(
        &self,
        after: Option<String>,
        limit: Option<String>,
    ) -> Result<OperationList, &'static str> {
        let limit = limit.map_or(Some(LARGEST_PAGE), |text| text.parse().ok());
        let limit =
            limit.filter(|limit| (1..=LARGEST_PAGE).contains(limit)).ok_or("limit: must be 1 to 1000")?;
        let after =
            after.map(|cursor| parse(&cursor).ok_or("after: must be the next of a page")).transpose()?;
        let mut listed: Vec<_> = self.all.iter().map(listed).collect();
        listed.sort_by(|a, b| (a.kind, &a.id).cmp(&(b.kind, &b.id)));
        listed.retain(|operation| {
            after.as_ref().is_none_or(|(kind, id)| (operation.kind, &operation.id) > (*kind, id))
        });
        let has_more = listed.len() > limit;
        listed.truncate(limit);
        let next = listed.last().filter(|_| has_more).map(|last| format!("{}-{}", word(last.kind), last.id));
        Ok(OperationList { operations: listed, next })
    }

    /// From now on the operation is listed like this, whatever it is.
    pub(super) fn doctor(&mut self, id: &str, change: impl FnOnce(&mut ListedOperation)) {
        if let Some(operation) = self.all.iter_mut().find(|operation| operation.status.id == id) {
            let mut doctored = listed(operation);
            change(&mut doctored);
            operation.listed_as = Some(doctored);
        }
    }
}

fn parse(cursor: &str) -> Option<(ListedKind, String)> {
    let (kind, id) = cursor.split_once('-')?;
    let kinds = [ListedKind::Backup, ListedKind::Restore, ListedKind::Rehearsal];
    let kind = kinds.into_iter().find(|known| word(*known) == kind)?;
    Some((kind, id.to_owned()))
}

fn word(kind: ListedKind) -> &'static str {
    match kind {
        ListedKind::Backup => "backup",
        ListedKind::Restore => "restore",
        ListedKind::Rehearsal => "rehearsal",
    }
}

fn listed(operation: &Operation) -> ListedOperation {
    if let Some(doctored) = &operation.listed_as {
        return doctored.clone();
    }
    let objects = match &operation.start {
        Some(Start::Backup(start)) => {
            Some(ListedObjects { store: start.store.clone(), object_prefix: start.object_prefix.clone() })
        }
        Some(Start::Restore(_) | Start::Rehearsal(_)) | None => None,
    };
    ListedOperation {
        kind: operation.kind,
        id: operation.status.id.clone(),
        epoch: operation.status.epoch,
        state: operation.status.state,
        started_at: operation.status.started_at,
        finished_at: operation.status.finished_at,
        cleanup_pending: false,
        objects,
    }
}
