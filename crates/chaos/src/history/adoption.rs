//! How long after a worker was killed each operation that ran at that moment is watched again: until the job that watches
//! it is claimed the next time, or is over.

use std::collections::HashMap;

use crate::facts::{Millis, Sort};

/// A job that watches an operation, as it is in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watching {
    /// Grows with every claim.
    pub claim: i64,
    /// The process that holds it at the moment.
    pub held_by: Option<u32>,
}

/// The watching jobs, and the operations that have not been watched since a worker was killed.
#[derive(Debug, Default)]
pub struct Adoption {
    jobs: HashMap<(Sort, i64), Watching>,
    pending: Vec<Pending>,
    all: Vec<Millis>,
    orphans: Vec<Millis>,
}

#[derive(Debug)]
struct Pending {
    operation: (Sort, i64),
    claim: i64,
    killed: Millis,
    victim: u32,
    /// The victim held the job when it died.
    is_orphan: bool,
}

/// Times in ascending order.
#[derive(Debug, Default, Clone)]
pub struct Times {
    /// Of all operations that ran.
    pub all: Vec<Millis>,
    /// Of those that the killed process was asking about at that moment: their jobs had to be rescued.
    pub orphans: Vec<Millis>,
}

impl Adoption {
    /// A worker process was killed at this moment.
    pub fn killed(&mut self, at: Millis, victim: u32) {
        for (operation, job) in &self.jobs {
            let (operation, claim) = (*operation, job.claim);
            self.pending.push(Pending { operation, claim, killed: at, victim, is_orphan: false });
        }
    }

    /// The watching jobs of this moment.
    pub fn look(&mut self, at: Millis, jobs: HashMap<(Sort, i64), Watching>) {
        let (all, orphans) = (&mut self.all, &mut self.orphans);
        self.pending.retain_mut(|pending| {
            let job = jobs.get(&pending.operation);
            if let Some(job) = job.filter(|job| job.held_by == Some(pending.victim)) {
                // Claimed by the victim between the last look and its death.
                pending.claim = job.claim;
                pending.is_orphan = true;
            }
            let is_watched = job.is_none_or(|job| job.claim > pending.claim);
            if is_watched {
                let took = at.saturating_sub(pending.killed);
                all.push(took);
                orphans.extend(pending.is_orphan.then_some(took));
            }
            !is_watched
        });
        self.jobs = jobs;
    }

    /// What was measured; operations that are still not watched are not in it.
    #[must_use]
    pub fn times(&self) -> Times {
        let mut times = Times { all: self.all.clone(), orphans: self.orphans.clone() };
        times.all.sort_unstable();
        times.orphans.sort_unstable();
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(claim: i64, held_by: Option<u32>) -> Watching {
        Watching { claim, held_by }
    }

    #[test]
    fn an_operation_is_adopted_with_the_next_claim_or_the_end() {
        let mut adoption = Adoption::default();
        let (one, two, three) = ((Sort::Backup, 1), (Sort::Restore, 1), (Sort::Backup, 3));
        adoption.look(100, HashMap::from([(one, job(5, None)), (two, job(1, None))]));
        adoption.killed(150, 77);
        let now = [(one, job(6, Some(77))), (two, job(1, Some(8))), (three, job(1, None))];
        adoption.look(200, HashMap::from(now));
        assert!(adoption.times().all.is_empty());
        adoption.look(400, HashMap::from([(one, job(6, None)), (two, job(2, None))]));
        adoption.look(900, HashMap::from([(one, job(7, Some(9)))]));
        let times = adoption.times();
        assert_eq!((times.all, times.orphans), (vec![250, 750], vec![750]));
    }
}
