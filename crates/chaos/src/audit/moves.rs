//! Status moves only along the arrows, as clients saw it and as the database recorded it.

use super::Violation;
use crate::facts::{Facts, Sort};

const PROMISE: &str = "status moves only along the arrows";

pub(super) fn check(facts: &Facts) -> Vec<Violation> {
    let mut found = Vec::new();
    for request in &facts.requests {
        for (from, to) in request.observed.iter().zip(request.observed.iter().skip(1)) {
            if !leads_to(request.sort(), from, to) {
                let text = format!(
                    "a client saw {} {} of {} go from {from} to {to}",
                    request.sort().as_str(),
                    request.id,
                    request.guid
                );
                found.push(Violation::new(PROMISE, text));
            }
        }
    }
    for change in &facts.changes {
        let old = change.old.as_ref().map(|row| row.status.as_str());
        let new = change.new.as_ref().map(|row| row.status.as_str());
        let is_legal = match (old, new) {
            (None, Some(new)) => new == "queued",
            (Some(old), Some(new)) => old == new || is_arrow(change.sort, old, new),
            (Some(old), None) => change.sort == Sort::Backup && old == "deleted",
            (None, None) => true,
        };
        if !is_legal {
            let row = change.new.as_ref().or(change.old.as_ref()).map(|row| row.id);
            let text = format!("{} {row:?} went from {old:?} to {new:?}", change.sort.as_str());
            found.push(Violation::new(PROMISE, text));
        }
    }
    found
}

fn is_arrow(sort: Sort, from: &str, to: &str) -> bool {
    let both = matches!((from, to), ("queued", "running" | "failed") | ("running", "done" | "failed"));
    let backups = matches!((from, to), ("done" | "failed", "deleted") | ("deleted", "done"));
    both || (sort == Sort::Backup && backups)
}

/// A client does not see every status.
fn leads_to(sort: Sort, from: &str, to: &str) -> bool {
    if from == to || is_arrow(sort, from, to) {
        return true;
    }
    let later = match sort {
        Sort::Backup => ["queued", "running", "done", "failed", "deleted", "gone"].as_slice(),
        Sort::Restore => ["queued", "running", "done", "failed"].as_slice(),
    };
    let rank = |status: &str| later.iter().position(|known| *known == status);
    match (rank(from), rank(to)) {
        (Some(from_rank), Some(to_rank)) => from_rank < to_rank && !(from == "done" && to == "failed"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::sane;
    use super::*;

    #[test]
    fn clients_may_miss_steps_but_see_none_backwards() {
        for (sort, from, to, is_legal) in [
            (Sort::Backup, "queued", "done", true),
            (Sort::Backup, "deleted", "done", true),
            (Sort::Backup, "running", "gone", true),
            (Sort::Backup, "done", "failed", false),
            (Sort::Backup, "failed", "done", false),
            (Sort::Backup, "running", "queued", false),
            (Sort::Backup, "gone", "done", false),
            (Sort::Backup, "queued", "unheard", false),
            (Sort::Restore, "running", "done", true),
            (Sort::Restore, "done", "deleted", false),
        ] {
            assert_eq!(leads_to(sort, from, to), is_legal, "{sort:?} {from} {to}");
        }
    }

    #[test]
    fn an_illegal_move_is_found_in_both_places() {
        let mut facts = sane::world();
        facts.requests[0].observed = vec!["done".into(), "running".into()];
        facts.changes[0].old = facts.changes[0].new.clone();
        facts.changes[0].old.as_mut().unwrap().status = "done".into();
        facts.changes[0].new.as_mut().unwrap().status = "running".into();
        assert_eq!(check(&facts).len(), 2);
    }

    #[test]
    fn only_deleted_backups_are_removed() {
        let mut facts = sane::world();
        facts.changes[0].old = facts.changes[0].new.take();
        facts.changes[0].old.as_mut().unwrap().status = "done".into();
        assert_eq!(check(&facts).len(), 1);
    }
}
