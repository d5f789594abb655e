use std::collections::HashSet;

use chrono::TimeZone;

use super::*;
use crate::domain::places::{Hindrance, KeptFor, Scope};

fn at(second: i64) -> DateTime<Utc> {
    Utc.timestamp_opt(1_700_000_000 + second, 0).unwrap()
}

/// Nothing waits, and the schedule comes in an hour.
fn quiet() -> Facts {
    Facts {
        now: at(0),
        deleted_at: None,
        broker: "b".into(),
        is_excluded: false,
        skip_reason: None,
        waiting: None,
        in_front: None,
        job: None,
        is_queue_unserved: false,
        line: None,
        is_fanning_out: false,
        next_scheduled_at: Some(at(3600)),
    }
}

fn job(state: JobState) -> JobFacts {
    JobFacts {
        state,
        run_at: at(30),
        attempt: 0,
        max_attempts: 5,
        last_error: None,
        claimed_at: None,
        lease_expires_at: None,
    }
}

/// Backup 7 waits, and its job is ready.
fn waiting() -> Facts {
    let next =
        NextBackup { id: 7, is_scheduled: true, triggered_at: at(-60), msg: None, is_cancelled: false };
    Facts { waiting: Some(next), job: Some(job(JobState::Ready)), ..quiet() }
}

fn front(kind: &str, is_running: bool) -> Option<InFront> {
    Some(InFront { kind: kind.into(), id: 6, is_running, since: at(-600) })
}

fn line(binding: Option<LimitFacts>, ahead: i64) -> Option<Line> {
    Some(Line { asked_at: at(-50), ahead, binding })
}

fn full(name: &str, kept_for: Option<KeptFor>) -> Option<LimitFacts> {
    let hindrance = Hindrance { scope: Scope::Fleet, limit: 100, held: 80, kept_for };
    Some(LimitFacts { name: name.into(), hindrance })
}

fn with_job(change: impl FnOnce(&mut JobFacts)) -> Facts {
    let mut facts = waiting();
    change(facts.job.as_mut().unwrap());
    facts
}

fn with_message(msg: &str) -> Facts {
    let mut facts = with_job(|job| job.state = JobState::Scheduled);
    facts.waiting.as_mut().unwrap().msg = Some(msg.into());
    facts
}

fn cases() -> Vec<(Facts, Reason, &'static str)> {
    let cancelled = {
        let mut facts = waiting();
        facts.waiting.as_mut().unwrap().is_cancelled = true;
        facts
    };
    let held = |until: i64| {
        with_job(|job| {
            job.state = JobState::Running;
            job.lease_expires_at = Some(at(until));
        })
    };
    let retried = with_job(|job| {
        (job.state, job.attempt) = (JobState::Scheduled, 2);
        job.last_error = Some("no connection".into());
    });
    vec![
        (Facts { deleted_at: Some(at(-1)), ..waiting() }, Reason::InstanceDeleted, "deleted"),
        (Facts { in_front: front("backup", true), ..quiet() }, Reason::Running, "backup 6 runs"),
        (Facts { in_front: front("restore", true), ..quiet() }, Reason::Scheduled, "next run"),
        (cancelled, Reason::Cancelling, "backup 7 is being cancelled"),
        (
            Facts { in_front: front("restore", true), ..waiting() },
            Reason::BehindOperation,
            "behind restore 6 of the same instance, which runs",
        ),
        (
            Facts { in_front: front("backup", false), ..waiting() },
            Reason::BehindOperation,
            "behind backup 6 of the same instance, which waits in front",
        ),
        (Facts { job: None, ..waiting() }, Reason::JobMissing, "without a job"),
        (Facts { is_queue_unserved: true, ..waiting() }, Reason::QueueUnserved, "no live worker serves"),
        (Facts { is_queue_unserved: true, ..held(10) }, Reason::BeingStarted, "a worker is handing backup 7"),
        (held(-1), Reason::WorkerLost, "the worker that was about to start backup 7"),
        (
            Facts { line: line(full("limits.running_backups", None), 0), ..waiting() },
            Reason::Limit,
            "80 of 100 run under limits.running_backups; it is the first",
        ),
        (
            Facts { line: line(full("limits.brokers.b", None), 4), ..waiting() },
            Reason::Limit,
            "under limits.brokers.b; 4 of the same owner are ahead",
        ),
        (
            Facts { line: line(full("limits.stores.s", Some(KeptFor::OtherBrokers)), 0), ..waiting() },
            Reason::Limit,
            "under limits.stores.s; the last are kept for other brokers than b",
        ),
        (
            Facts { line: line(full("limits.running_backups", Some(KeptFor::OtherOwners)), 0), ..waiting() },
            Reason::Limit,
            "kept for other owners",
        ),
        (Facts { line: line(None, 0), ..waiting() }, Reason::NotItsTurn, "others come first"),
        (retried, Reason::Retrying, "attempt 2 of 5 to start backup 7 failed: no connection"),
        (with_message("the agent is busy"), Reason::PutOff, "the agent is busy"),
        (with_job(|job| job.state = JobState::Scheduled), Reason::NotDue, "full_backup_spread"),
        (waiting(), Reason::WaitingForWorker, "all workers of its queue are busy"),
        (
            Facts { is_excluded: true, skip_reason: Some("x".into()), ..quiet() },
            Reason::Excluded,
            "leaves the instance out",
        ),
        (
            Facts { skip_reason: Some("its state is failed".into()), ..quiet() },
            Reason::NotEligible,
            "its state is failed",
        ),
        (Facts { is_fanning_out: true, ..quiet() }, Reason::BeingScheduled, "just now"),
        (quiet(), Reason::Scheduled, "next run"),
        (Facts { next_scheduled_at: None, ..quiet() }, Reason::NoSchedule, "no worker has declared"),
    ]
}

#[test]
fn every_situation_has_its_reason_and_says_what_the_case_is() {
    for (facts, reason, words) in cases() {
        let found = explain(&facts);
        assert_eq!(found.reason, reason, "{facts:?}");
        assert!(found.summary.contains(words), "{reason:?}: {}", found.summary);
        assert!(!found.summary.contains("backup 0"), "{}", found.summary);
    }
}

#[test]
fn every_reason_has_a_situation_and_a_word_of_its_own() {
    let met: HashSet<Reason> = cases().iter().map(|(facts, ..)| explain(facts).reason).collect();
    assert_eq!(met.len(), Reason::ALL.len());
    let words: HashSet<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(words.len(), Reason::ALL.len());
}

#[test]
fn times_say_since_when_it_waits_and_when_something_happens() {
    let of = |facts: &Facts| (explain(facts).since, explain(facts).next_at);
    assert_eq!(of(&Facts { in_front: front("restore", true), ..waiting() }), (Some(at(-600)), None));
    assert_eq!(
        of(&Facts { line: line(full("limits.running_backups", None), 0), ..waiting() }),
        (Some(at(-50)), None)
    );
    assert_eq!(of(&with_message("busy")), (Some(at(-60)), Some(at(30))));
    assert_eq!(of(&quiet()), (None, Some(at(3600))));
}
