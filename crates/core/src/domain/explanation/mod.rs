//! Why an instance's next backup has not started: the decision. Pure; the facts are gathered in
//! `crates/core/src/actions/explain.rs`. The words of [`Reason`] are part of the API.

mod facts;
mod words;

use chrono::{DateTime, Utc};

pub use facts::{Facts, InFront, JobFacts, JobState, LimitFacts, Line, NextBackup};

/// Why, for programs. New words may come; none ever changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The instance is gone.
    InstanceDeleted,
    /// A backup runs, and none waits behind it.
    Running,
    /// Somebody cancelled the one that waits.
    Cancelling,
    /// Another operation of the instance runs or goes first.
    BehindOperation,
    /// No live worker serves the queue.
    QueueUnserved,
    /// A limit of running backups binds.
    Limit,
    /// There is room under the limits, but it is not its turn yet.
    NotItsTurn,
    /// The worker that held its job is gone.
    WorkerLost,
    /// A worker is handing it to the agent.
    BeingStarted,
    /// The agent could not be reached, or has not answered; it is tried again.
    Retrying,
    /// It is put off for a moment: the agent is busy, or too many of its broker's agents hang.
    PutOff,
    /// The fan-out spread it over time.
    NotDue,
    /// All workers of the queue are busy.
    WaitingForWorker,
    /// Its job was lost; a new one is made by the next sweep.
    JobMissing,
    /// Nothing waits; the schedule leaves the instance out, as its owner wants.
    Excluded,
    /// Nothing waits; the schedule leaves the instance out because of its state.
    NotEligible,
    /// Nothing waits; the schedule is asking all instances just now.
    BeingScheduled,
    /// Nothing waits; the schedule has its time.
    Scheduled,
    /// Nothing waits, and no worker has declared the schedule yet.
    NoSchedule,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 19] = [
        Self::InstanceDeleted,
        Self::Running,
        Self::Cancelling,
        Self::BehindOperation,
        Self::QueueUnserved,
        Self::Limit,
        Self::NotItsTurn,
        Self::WorkerLost,
        Self::BeingStarted,
        Self::Retrying,
        Self::PutOff,
        Self::NotDue,
        Self::WaitingForWorker,
        Self::JobMissing,
        Self::Excluded,
        Self::NotEligible,
        Self::BeingScheduled,
        Self::Scheduled,
        Self::NoSchedule,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InstanceDeleted => "instance_deleted",
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::BehindOperation => "behind_operation",
            Self::QueueUnserved => "queue_unserved",
            Self::Limit => "limit",
            Self::NotItsTurn => "not_its_turn",
            Self::WorkerLost => "worker_lost",
            Self::BeingStarted => "being_started",
            Self::Retrying => "retrying",
            Self::PutOff => "put_off",
            Self::NotDue => "not_due",
            Self::WaitingForWorker => "waiting_for_worker",
            Self::JobMissing => "job_missing",
            Self::Excluded => "excluded",
            Self::NotEligible => "not_eligible",
            Self::BeingScheduled => "being_scheduled",
            Self::Scheduled => "scheduled",
            Self::NoSchedule => "no_schedule",
        }
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Why, for programs.
    pub reason: Reason,
    /// Why, for a person: one sentence.
    pub summary: String,
    /// What to do next, if there is anything to do.
    pub advice: Option<String>,
    /// Since when, as far as that can be said.
    pub since: Option<DateTime<Utc>>,
    /// When something happens next, as far as that can be said.
    pub next_at: Option<DateTime<Utc>>,
}

impl Explanation {
    fn new(reason: Reason, facts: &Facts) -> Self {
        Self {
            reason,
            summary: words::summary(reason, facts),
            advice: words::advice(reason, facts),
            since: None,
            next_at: None,
        }
    }

    fn since(self, since: Option<DateTime<Utc>>) -> Self {
        Self { since, ..self }
    }

    fn next_at(self, next_at: Option<DateTime<Utc>>) -> Self {
        Self { next_at, ..self }
    }
}

/// Decides what keeps the next backup: the one that waits, or else the schedule's next. The first hindrance that would remain if
/// all behind it were gone comes first.
pub fn explain(facts: &Facts) -> Explanation {
    let because = |reason| Explanation::new(reason, facts);
    if facts.deleted_at.is_some() {
        return because(Reason::InstanceDeleted).since(facts.deleted_at);
    }
    match &facts.waiting {
        Some(waiting) => of_waiting(facts, waiting),
        None => match &facts.in_front {
            Some(front) if front.kind == "backup" => because(Reason::Running).since(Some(front.since)),
            _ => of_schedule(facts),
        },
    }
}

fn of_waiting(facts: &Facts, waiting: &NextBackup) -> Explanation {
    let because = |reason| Explanation::new(reason, facts).since(Some(waiting.triggered_at));
    let Some(job) = &facts.job else { return because(Reason::JobMissing) };
    if waiting.is_cancelled {
        return because(Reason::Cancelling);
    }
    if let Some(front) = &facts.in_front {
        return because(Reason::BehindOperation).since(Some(front.since));
    }
    if job.state == JobState::Running {
        return match job.lease_expires_at.is_some_and(|until| until < facts.now) {
            true => because(Reason::WorkerLost).since(job.lease_expires_at),
            false => because(Reason::BeingStarted).since(job.claimed_at),
        };
    }
    if facts.is_queue_unserved {
        return because(Reason::QueueUnserved);
    }
    if let Some(line) = &facts.line {
        let reason = if line.binding.is_some() { Reason::Limit } else { Reason::NotItsTurn };
        return because(reason).since(Some(line.asked_at));
    }
    match job.state {
        JobState::Ready | JobState::Running => because(Reason::WaitingForWorker).since(Some(job.run_at)),
        JobState::Scheduled if job.attempt > 0 => because(Reason::Retrying).next_at(Some(job.run_at)),
        JobState::Scheduled if waiting.msg.is_some() => because(Reason::PutOff).next_at(Some(job.run_at)),
        JobState::Scheduled => because(Reason::NotDue).next_at(Some(job.run_at)),
    }
}

fn of_schedule(facts: &Facts) -> Explanation {
    let because = |reason| Explanation::new(reason, facts);
    if facts.is_excluded {
        return because(Reason::Excluded);
    }
    if facts.skip_reason.is_some() {
        return because(Reason::NotEligible);
    }
    if facts.is_fanning_out {
        return because(Reason::BeingScheduled);
    }
    match facts.next_scheduled_at {
        Some(at) => because(Reason::Scheduled).next_at(Some(at)),
        None => because(Reason::NoSchedule),
    }
}

#[cfg(test)]
mod tests;
