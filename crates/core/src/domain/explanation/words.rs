//! The sentences of an explanation. They name the commands of `backupctl` that help on.

use super::{Facts, LimitFacts, Reason};
use crate::domain::places::KeptFor;

pub(super) fn summary(reason: Reason, facts: &Facts) -> String {
    let id = facts.waiting.as_ref().map_or(0, |waiting| waiting.id);
    match reason {
        Reason::InstanceDeleted => "the instance is deleted; it gets no more backups".into(),
        Reason::Running => {
            let id = facts.in_front.as_ref().map_or(0, |front| front.id);
            format!("backup {id} runs, and none waits behind it")
        }
        Reason::Cancelling => format!("backup {id} is being cancelled"),
        Reason::BehindOperation => behind(facts, id),
        Reason::QueueUnserved => {
            format!("backup {id} waits, and no live worker serves the queue backup_agent_backups")
        }
        Reason::Limit => limit(facts, id),
        Reason::NotItsTurn => {
            format!("backup {id} waits for its turn: there is room under the limits, and others come first")
        }
        Reason::WorkerLost => {
            format!("the worker that was about to start backup {id} has not been heard of since")
        }
        Reason::BeingStarted => format!("a worker is handing backup {id} to the agent"),
        Reason::Retrying => retrying(facts, id),
        Reason::PutOff => {
            let msg = facts.waiting.as_ref().and_then(|waiting| waiting.msg.as_deref());
            format!("backup {id} is put off for a moment: {}", msg.unwrap_or("the agent could not take it"))
        }
        Reason::NotDue => {
            format!("backup {id} is not due yet: full_backup_spread spreads the fleet over time")
        }
        Reason::WaitingForWorker => format!("backup {id} is due, and all workers of its queue are busy"),
        Reason::JobMissing => format!("backup {id} waits without a job; the workers' sweep will give it one"),
        Reason::Excluded => "nothing is asked for, and the schedule leaves the instance out".into(),
        Reason::NotEligible => {
            let why = facts.skip_reason.as_deref().unwrap_or("it is not eligible");
            format!("nothing is asked for, and the schedule leaves the instance out: {why}")
        }
        Reason::BeingScheduled => "the schedule is asking all instances for a backup just now".into(),
        Reason::Scheduled => "nothing is asked for before the schedule's next run".into(),
        Reason::NoSchedule => "nothing is asked for, and no worker has declared the schedule yet".into(),
    }
}

fn behind(facts: &Facts, id: i64) -> String {
    match &facts.in_front {
        Some(front) => {
            let what = if front.is_running { "runs" } else { "waits in front of it" };
            format!("backup {id} waits behind {} {} of the same instance, which {what}", front.kind, front.id)
        }
        None => format!("backup {id} waits behind another operation of the instance"),
    }
}

fn limit(facts: &Facts, id: i64) -> String {
    let bound = facts.line.as_ref().and_then(|line| Some((line, line.binding.as_ref()?)));
    let Some((line, LimitFacts { name, hindrance: found })) = bound else {
        return format!("backup {id} waits for a place under the limits");
    };
    let binds = match found.kept_for {
        None => format!("{} of {} run under {name}", found.held, found.limit),
        Some(KeptFor::OtherBrokers) => format!(
            "{} of {} run under {name}; the last are kept for other brokers than {}",
            found.held, found.limit, facts.broker
        ),
        Some(KeptFor::OtherOwners) => {
            format!("{} of {} run under {name}; the last are kept for other owners", found.held, found.limit)
        }
    };
    match line.ahead {
        0 => format!("backup {id} waits: {binds}; it is the first of its owner"),
        ahead => format!("backup {id} waits: {binds}; {ahead} of the same owner are ahead of it"),
    }
}

fn retrying(facts: &Facts, id: i64) -> String {
    let Some(job) = &facts.job else { return format!("backup {id} is tried again") };
    let error = job.last_error.as_deref().unwrap_or("the last attempt failed");
    format!("attempt {} of {} to start backup {id} failed: {error}", job.attempt, job.max_attempts)
}

pub(super) fn advice(reason: Reason, facts: &Facts) -> Option<String> {
    Some(match reason {
        Reason::InstanceDeleted | Reason::Running | Reason::Cancelling | Reason::BeingScheduled => return None,
        Reason::NotItsTurn | Reason::BeingStarted | Reason::PutOff | Reason::NotDue | Reason::JobMissing => {
            return None;
        }
        Reason::BehindOperation => match &facts.in_front {
            Some(front) => format!("see how far it is, or cancel it: backupctl {}s show|cancel GUID {}", front.kind, front.id),
            None => return None,
        },
        Reason::QueueUnserved => {
            "start a worker whose group has this queue; backupctl queues shows who serves what".into()
        }
        Reason::Limit => "wait until others end, or raise the limit under limits in the configuration".into(),
        Reason::WorkerLost => "nothing, if any worker lives: it is taken over within seconds (backupctl queues)".into(),
        Reason::Retrying => "see whether the agent runs and can be reached from the workers".into(),
        Reason::WaitingForWorker => "if it takes long, give the worker group a higher count, or start more workers".into(),
        Reason::Excluded => {
            "backupctl backups create GUID, or backupctl instances config set GUID --exclude-from-auto-backup false".into()
        }
        Reason::NotEligible => "see what the service broker says of the instance: backupctl instances show GUID".into(),
        Reason::Scheduled => "for one now: backupctl backups create GUID".into(),
        Reason::NoSchedule => "start a worker".into(),
    })
}
