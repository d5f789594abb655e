//! The gate for objects that belong to no row: what an operation of a forgotten backup left in the store.

use chrono::{DateTime, TimeDelta, Utc};

/// What is known of a folder at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrphanFacts {
    /// Some row names the backup.
    pub has_row: bool,
    /// There is no `metadata.json`, so it is no backup.
    pub is_partial: bool,
    /// When its newest object was stored.
    pub newest_at: DateTime<Utc>,
}

/// Leave to remove the objects of one folder; only [`ask_for_orphan`] makes one.
#[derive(Debug)]
pub struct OrphanPermit {
    folder: String,
}

impl OrphanPermit {
    /// The one folder.
    pub fn folder(&self) -> &str {
        &self.folder
    }
}

/// Decides on a folder. A whole backup is never removed as an orphan, and nothing is while an agent may still be
/// writing it: until `longest_work` has passed since its newest object.
///
/// # Errors
/// With the reason for which it is left alone.
pub fn ask_for_orphan(
    folder: String,
    facts: OrphanFacts,
    longest_work: TimeDelta,
    now: DateTime<Utc>,
) -> Result<OrphanPermit, &'static str> {
    match facts {
        OrphanFacts { has_row: true, .. } => Err("it has a row"),
        OrphanFacts { is_partial: false, .. } => Err("it may be a whole backup"),
        OrphanFacts { newest_at, .. } if now.signed_duration_since(newest_at) <= longest_work => {
            Err("an agent may still be writing it")
        }
        OrphanFacts { .. } => Ok(OrphanPermit { folder }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_partial_objects_of_no_row_are_orphans() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let facts = |has_row, is_partial, seconds| OrphanFacts {
            has_row,
            is_partial,
            newest_at: now - TimeDelta::seconds(seconds),
        };
        let ask = |facts| ask_for_orphan("p/b".into(), facts, TimeDelta::seconds(60), now);
        assert_eq!(ask(facts(false, true, 61)).unwrap().folder(), "p/b");
        for refused in [
            facts(true, true, 61),
            facts(false, false, 61),
            facts(false, true, 60),
            // A clock that was wrong when they were stored.
            facts(false, true, -1_000_000),
        ] {
            assert!(ask(refused).is_err(), "{refused:?}");
        }
        let never = ask_for_orphan("p/b".into(), facts(false, true, 1_000_000), TimeDelta::MAX, now);
        assert!(never.is_err(), "no end of the work is in sight");
    }
}
