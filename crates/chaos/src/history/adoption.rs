//! How long after a worker was killed each operation that ran at that moment is watched again: until the job that watches
//! it is claimed the next time, or is over.

use std::collections::HashMap;

use crate::facts::{Millis, Sort};

/// The claims of the watching jobs, and the operations whose watcher may have died.
#[derive(Debug, Default)]
pub struct Adoption {
    claims: HashMap<(Sort, i64), i64>,
    pending: Vec<Pending>,
    taken: Vec<Millis>,
}

#[derive(Debug)]
struct Pending {
    operation: (Sort, i64),
    claim: i64,
    killed: Millis,
}

impl Adoption {
    /// A worker was killed at this moment.
    pub fn killed(&mut self, at: Millis) {
        for (operation, claim) in &self.claims {
            self.pending.push(Pending { operation: *operation, claim: *claim, killed: at });
        }
    }

    /// The watching jobs of this moment, each with the number of its claim.
    pub fn look(&mut self, at: Millis, claims: HashMap<(Sort, i64), i64>) {
        let taken = &mut self.taken;
        self.pending.retain(|pending| {
            let is_watched = claims.get(&pending.operation).is_none_or(|claim| *claim > pending.claim);
            if is_watched {
                taken.push(at.saturating_sub(pending.killed));
            }
            !is_watched
        });
        self.claims = claims;
    }

    /// The times in ascending order; those that are still open are not among them.
    #[must_use]
    pub fn times(&self) -> Vec<Millis> {
        let mut times = self.taken.clone();
        times.sort_unstable();
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_adopted_with_the_next_claim_or_the_end() {
        let mut adoption = Adoption::default();
        let (one, two, three) = ((Sort::Backup, 1), (Sort::Restore, 1), (Sort::Backup, 3));
        adoption.look(100, HashMap::from([(one, 5), (two, 1)]));
        adoption.killed(150);
        adoption.look(200, HashMap::from([(one, 5), (two, 1), (three, 1)]));
        assert!(adoption.times().is_empty());
        adoption.look(400, HashMap::from([(one, 6), (two, 1)]));
        adoption.look(900, HashMap::from([(one, 9)]));
        assert_eq!(adoption.times(), [250, 750]);
    }
}
