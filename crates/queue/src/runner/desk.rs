//! The jobs in the hands of a runner, from the claim until the verdict is written: waiting for a slot, running, and ended.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::AbortHandle;

use super::engine::Engine;
use super::pace::{LONGEST_WAIT, Pace};
use super::work::Run;
use crate::settle::Ruling;
use crate::{ClaimedJob, JobId, Lease};

#[derive(Debug, Default)]
pub(super) struct Desk {
    /// Claimed ahead, each with the time of its claim.
    waiting: VecDeque<(ClaimedJob, Instant)>,
    running: HashMap<JobId, Running>,
    /// Ended, and being written down.
    ended: HashMap<JobId, Lease>,
    /// Ended, and nobody has begun to write them down.
    to_settle: Vec<Run>,
    pace: Pace,
}

/// A job whose handler is at work.
#[derive(Debug)]
struct Running {
    lease: Lease,
    task: AbortHandle,
}

impl Desk {
    /// How many more jobs there is room for: free slots, and so many ahead; none until enough room has come together for
    /// another claim to be worth it.
    pub(super) fn room(&self, slots: usize) -> usize {
        let (free, ahead) = (slots.saturating_sub(self.running.len()), self.pace.ahead(slots));
        if self.waiting.len() > ahead / 2 {
            return 0;
        }
        (free + ahead).saturating_sub(self.waiting.len())
    }

    /// Takes in what was claimed.
    pub(super) fn admit(&mut self, jobs: Vec<ClaimedJob>) {
        let now = Instant::now();
        self.waiting.extend(jobs.into_iter().map(|job| (job, now)));
    }

    /// Starts waiting jobs in free slots, in their order.
    pub(super) fn fill(&mut self, engine: &Arc<Engine>) {
        while self.running.len() < engine.slots()
            && let Some((job, _)) = self.waiting.pop_front()
        {
            self.start(engine, job);
        }
    }

    /// Starts a job in a task of its own.
    pub(super) fn start(&mut self, engine: &Arc<Engine>, job: ClaimedJob) {
        let lease = job.lease.clone();
        let task = tokio::spawn(Arc::clone(engine).work(job)).abort_handle();
        self.running.insert(lease.job, Running { lease, task });
    }

    /// Moves a job that has ended to those to be written down. One whose lease was found to be lost is none of ours any more.
    pub(super) fn end(&mut self, run: Run) {
        let id = run.verdict.lease.job;
        if self.running.remove(&id).is_some() {
            if let Some(took) = run.duration {
                self.pace.ran(took);
            }
            self.ended.insert(id, run.verdict.lease.clone());
            self.to_settle.push(run);
        }
    }

    /// The jobs to be written down next.
    pub(super) fn take_to_settle(&mut self, most: usize) -> Vec<Run> {
        let rest = self.to_settle.split_off(self.to_settle.len().min(most));
        std::mem::replace(&mut self.to_settle, rest)
    }

    /// Forgets jobs that are written down.
    pub(super) fn settled(&mut self, runs: &[Run]) {
        for run in runs {
            self.ended.remove(&run.verdict.lease.job);
        }
    }

    /// Hands back the jobs that have waited for too long: others may be free.
    pub(super) fn hand_back_stalled(&mut self) {
        if self.stalls_in().is_some_and(|rest| rest.is_zero()) {
            self.pace.stalled();
            self.hand_back_waiting();
        }
    }

    /// How long the first waiting job may still wait.
    pub(super) fn stalls_in(&self) -> Option<Duration> {
        self.waiting.front().map(|(_, claimed)| LONGEST_WAIT.saturating_sub(claimed.elapsed()))
    }

    /// Hands back the jobs that wait for a slot.
    pub(super) fn hand_back_waiting(&mut self) {
        for (job, _) in self.waiting.drain(..) {
            self.ended.insert(job.id, job.lease.clone());
            self.to_settle.push(Run::unstarted(job.lease, Ruling::HandedBack));
        }
    }

    /// Every lease that is ours.
    pub(super) fn leases(&self) -> Vec<Lease> {
        let waiting = self.waiting.iter().map(|(job, _)| &job.lease);
        waiting.chain(self.running.values().map(|run| &run.lease)).chain(self.ended.values()).cloned().collect()
    }

    /// Lets go of a job whose lease is lost; `true` if its handler was at work. One that has ended finds out when it is
    /// written down.
    pub(super) fn lose(&mut self, lost: &Lease) -> bool {
        self.waiting.retain(|(job, _)| job.lease != *lost);
        match self.running.get(&lost.job) {
            Some(run) if run.lease == *lost => {
                run.task.abort();
                self.running.remove(&lost.job);
                true
            }
            Some(_) | None => false,
        }
    }

    /// Aborts all handlers; their jobs are handed back.
    pub(super) fn abort_all(&self) {
        self.running.values().for_each(|run| run.task.abort());
    }

    /// No handler is at work, and none is about to be.
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// Nothing is in our hands.
    pub(super) fn is_clear(&self) -> bool {
        self.is_idle() && self.ended.is_empty()
    }
}
