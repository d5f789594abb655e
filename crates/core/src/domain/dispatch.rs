//! The decisions around one dispatch: whether a queued operation is sent to its agent, and what the answer means. Pure,
//! so that the model in `crates/model` walks through the very decisions the worker makes. See `docs/lifecycle.md`.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::operation::{Failure, Operation};
use super::reason::ReasonCode;

/// How long a busy agent is left alone if it does not say.
const BUSY_WAIT: Duration = Duration::from_secs(10);
/// However short a busy agent wants it: others of its group shall have their turn.
const SHORTEST_BUSY_WAIT: Duration = Duration::from_secs(1);
/// An agent that knows newer epochs is believed as many as no operation is ever dispatched: without a bound, a broken one
/// could use up all numbers.
const LARGEST_JUMP: i64 = 1_000_000;

/// Whether there is room for one more operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Room {
    /// It is this operation's turn.
    Free,
    /// Another operation of the instance runs or goes first.
    InstanceBusy,
    /// It is a backup that needs a place under the limits, and has none.
    NoPlace,
}

/// What the database knows besides the operation's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The database's clock.
    pub now: DateTime<Utc>,
    /// The instance is gone.
    pub is_instance_deleted: bool,
    /// Whether it may begin.
    pub room: Room,
}

/// What the job that starts an operation does with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It has ended; there is nothing to do.
    Settled,
    /// It runs; see to it that it is watched.
    EnsureWatcher,
    /// It is not sent, and no agent can have it: record the failure.
    Withdraw(Failure),
    /// It is not sent again, but an agent may have it: the watcher ends it, because the watcher tells the agent and
    /// knows what to make of silence. The text says why.
    LeaveToWatcher(String),
    /// Look again later.
    Wait(Room),
    /// Fix epoch and deadline, then send it.
    Send,
}

/// Decides, before anything is sent, under the lease of the job and with the row locked.
pub fn before(operation: &Operation, facts: &Facts) -> Step {
    match operation.status.as_str() {
        "queued" => {}
        "running" => return Step::EnsureWatcher,
        _ => return Step::Settled,
    }
    let is_overdue = operation.deadline_at.is_some_and(|deadline| facts.now > deadline);
    let withdrawal = if operation.cancel_requested_at.is_some() {
        Some(Failure::new(ReasonCode::Cancelled, "cancelled before the agent had accepted it"))
    } else if facts.is_instance_deleted {
        Some(Failure::new(ReasonCode::InstanceDeleted, "the instance was deleted before the work began"))
    } else if is_overdue {
        Some(Failure::new(ReasonCode::TimedOut, "the agent had not accepted it at the deadline"))
    } else {
        None
    };
    match (withdrawal, facts.room) {
        (Some(failure), _) => withdraw(operation, failure),
        (None, room @ Room::InstanceBusy) => Step::Wait(room),
        // What may be at the agent counts as running already.
        (None, room @ Room::NoPlace) if !operation.may_be_at_agent => Step::Wait(room),
        (None, Room::Free | Room::NoPlace) => Step::Send,
    }
}

/// It will not be sent (again), for this reason.
pub fn withdraw(operation: &Operation, failure: Failure) -> Step {
    match operation.may_be_at_agent {
        true => Step::LeaveToWatcher(failure.msg),
        false => Step::Withdraw(failure),
    }
}

/// What came back from a request to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartAnswer {
    /// The agent has it, begun now or earlier.
    Accepted,
    /// The agent has no room.
    Busy {
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// The agent works on another operation.
    OtherOperationRunning,
    /// The agent has seen a newer dispatch.
    StaleEpoch {
        /// The newest it says it has seen.
        newest: Option<i64>,
    },
    /// The request was refused for good; the text has the words.
    Rejected(String),
    /// No connection stood, so this request has not reached the agent.
    Undelivered(String),
    /// No usable answer to a request that may have reached the agent.
    Lost(String),
}

/// What is written down about the operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conclusion {
    /// The agent has it: `running`.
    Accepted,
    /// The agent may have it; the text says why nobody knows: `running`, and the watcher finds out.
    Unknown(String),
    /// The agent has seen this epoch: the next dispatch goes beyond it.
    CatchUp(i64),
    /// It will be tried again; the text says why.
    NotDelivered {
        /// Shown to people meanwhile.
        why: String,
        /// No agent can have it: not by this dispatch, and not by an earlier one.
        is_nowhere: bool,
    },
    /// The agent does not have it, and it will not be tried again.
    Failed(Failure),
}

/// What becomes of the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// It is over.
    Done,
    /// Again after this long, at no cost of an attempt.
    Snooze(Duration),
    /// A failed attempt; again after the back-off.
    Retry,
}

/// Decides what an answer means. `operation` is the row as it was before this dispatch: its `may_be_at_agent` speaks of
/// the earlier ones, whose requests may still be on their way.
pub fn after(
    operation: &Operation,
    answer: StartAnswer,
    is_last_attempt: bool,
) -> (Option<Conclusion>, Next) {
    let is_nowhere = !operation.may_be_at_agent;
    match answer {
        StartAnswer::Accepted => (Some(Conclusion::Accepted), Next::Done),
        // A copy of the request may arrive when the agent is no longer busy; so it may be at the agent from now on.
        StartAnswer::Busy { retry_after } => {
            let conclusion = Conclusion::NotDelivered { why: "the agent is busy".into(), is_nowhere: false };
            (Some(conclusion), Next::Snooze(retry_after.unwrap_or(BUSY_WAIT).max(SHORTEST_BUSY_WAIT)))
        }
        StartAnswer::OtherOperationRunning => (None, Next::Snooze(BUSY_WAIT)),
        // Whoever still holds the lease has sent the newest dispatch, so the database was set back to an older state.
        StartAnswer::StaleEpoch { newest } => match newest.map(|newest| catch_up(operation, newest)) {
            None => (None, Next::Snooze(BUSY_WAIT)),
            Some(Some(newest)) => (Some(Conclusion::CatchUp(newest)), Next::Snooze(SHORTEST_BUSY_WAIT)),
            Some(None) => {
                let why = "the agent names a newest epoch that is impossible".to_owned();
                after(operation, StartAnswer::Lost(why), is_last_attempt)
            }
        },
        // An earlier request may have been accepted before the credential, or something between, changed its mind.
        StartAnswer::Rejected(why) if !is_nowhere => (Some(Conclusion::Unknown(why)), Next::Done),
        StartAnswer::Rejected(why) => {
            (Some(Conclusion::Failed(Failure::new(ReasonCode::AgentRejected, why))), Next::Done)
        }
        StartAnswer::Undelivered(why) if is_nowhere => match is_last_attempt {
            false => (Some(Conclusion::NotDelivered { why, is_nowhere }), Next::Retry),
            true => (Some(Conclusion::Failed(Failure::new(ReasonCode::AgentUnreachable, why))), Next::Done),
        },
        StartAnswer::Undelivered(why) | StartAnswer::Lost(why) => match is_last_attempt {
            false => (None, Next::Retry),
            // The agent may be at work on it: the watcher finds out.
            true => (Some(Conclusion::Unknown(why)), Next::Done),
        },
    }
}

/// The epoch to go on from when the agent says that it has seen `newest`; none when that is no news, or cannot be.
pub fn catch_up(operation: &Operation, newest: i64) -> Option<i64> {
    let jump = newest.checked_sub(operation.epoch)?;
    (1..=LARGEST_JUMP).contains(&jump).then_some(newest)
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::identifiers::ServiceInstanceId;
    use crate::domain::operation::OperationKind;

    fn at(second: i64) -> DateTime<Utc> {
        Utc.timestamp_opt(1_700_000_000 + second, 0).unwrap()
    }

    fn operation(status: &str, may_be_at_agent: bool, deadline: Option<i64>, wish: Option<i64>) -> Operation {
        Operation {
            kind: OperationKind::Backup,
            row: 1,
            name: "b-1".into(),
            instance: ServiceInstanceId(1),
            status: status.into(),
            epoch: 1,
            may_be_at_agent,
            deadline_at: deadline.map(at),
            cancel_requested_at: wish.map(at),
            triggered_at: at(0),
            is_scheduled: false,
            msg: None,
            guid: "i-1".into(),
        }
    }

    fn word(step: &Step) -> &'static str {
        match step {
            Step::Settled => "settled",
            Step::EnsureWatcher => "ensure watcher",
            Step::Withdraw(failure) => failure.reason.as_str(),
            Step::LeaveToWatcher(_) => "leave to watcher",
            Step::Wait(_) => "wait",
            Step::Send => "send",
        }
    }

    #[test]
    fn every_situation_before_a_dispatch_has_its_step() {
        use Room::{Free, InstanceBusy, NoPlace};
        // Status, may be at the agent, deadline, wish to cancel, now, instance deleted, room; step.
        let cases = [
            ("queued", false, None, None, 0, false, Free, "send"),
            ("queued", true, Some(100), None, 100, false, Free, "send"),
            ("queued", false, None, None, 0, false, InstanceBusy, "wait"),
            ("queued", true, Some(100), None, 0, false, InstanceBusy, "wait"),
            ("queued", false, None, None, 0, false, NoPlace, "wait"),
            ("queued", true, Some(100), None, 0, false, NoPlace, "send"),
            ("queued", false, None, Some(1), 2, false, InstanceBusy, "cancelled"),
            ("queued", true, Some(100), Some(1), 2, false, Free, "leave to watcher"),
            ("queued", false, None, None, 2, true, Free, "instance_deleted"),
            ("queued", true, Some(100), None, 2, true, NoPlace, "leave to watcher"),
            ("queued", false, Some(100), None, 101, false, NoPlace, "timed_out"),
            ("queued", true, Some(100), None, 101, false, InstanceBusy, "leave to watcher"),
            ("queued", false, Some(100), Some(1), 101, true, Free, "cancelled"),
            ("running", true, Some(100), Some(1), 101, true, InstanceBusy, "ensure watcher"),
            ("done", true, None, Some(1), 0, false, Free, "settled"),
            ("failed", true, None, None, 0, false, Free, "settled"),
            ("deleted", true, None, None, 0, false, Free, "settled"),
        ];
        for (status, may_be, deadline, wish, now, is_instance_deleted, room, expected) in cases {
            let facts = Facts { now: at(now), is_instance_deleted, room };
            let step = before(&operation(status, may_be, deadline, wish), &facts);
            assert_eq!(word(&step), expected, "{status} {may_be} {deadline:?} {wish:?} {facts:?}");
        }
    }

    fn concluded((conclusion, next): &(Option<Conclusion>, Next)) -> (&'static str, &'static str) {
        let conclusion = match conclusion {
            None => "nothing",
            Some(Conclusion::Accepted) => "accepted",
            Some(Conclusion::Unknown(_)) => "unknown",
            Some(Conclusion::CatchUp(_)) => "catch up",
            Some(Conclusion::NotDelivered { is_nowhere: true, .. }) => "nowhere",
            Some(Conclusion::NotDelivered { is_nowhere: false, .. }) => "not delivered",
            Some(Conclusion::Failed(failure)) => failure.reason.as_str(),
        };
        let next = match next {
            Next::Done => "done",
            Next::Snooze(_) => "snooze",
            Next::Retry => "retry",
        };
        (conclusion, next)
    }

    #[test]
    fn every_answer_to_a_start_has_its_conclusion() {
        use StartAnswer::{Accepted, Busy, OtherOperationRunning, StaleEpoch};
        let why = || "why".to_owned();
        let cases = [
            (Accepted, false, false, ("accepted", "done")),
            (Accepted, true, true, ("accepted", "done")),
            (Busy { retry_after: None }, false, true, ("not delivered", "snooze")),
            (Busy { retry_after: None }, true, true, ("not delivered", "snooze")),
            (OtherOperationRunning, false, true, ("nothing", "snooze")),
            (StaleEpoch { newest: None }, true, true, ("nothing", "snooze")),
            (StaleEpoch { newest: Some(7) }, true, true, ("catch up", "snooze")),
            (StaleEpoch { newest: Some(7) }, false, false, ("catch up", "snooze")),
            (StaleEpoch { newest: Some(0) }, true, false, ("nothing", "retry")),
            (StaleEpoch { newest: Some(i64::MAX) }, true, false, ("nothing", "retry")),
            (StaleEpoch { newest: Some(i64::MIN) }, true, true, ("unknown", "done")),
            (StartAnswer::Rejected(why()), false, false, ("agent_rejected", "done")),
            (StartAnswer::Rejected(why()), true, false, ("unknown", "done")),
            (StartAnswer::Undelivered(why()), false, false, ("nowhere", "retry")),
            (StartAnswer::Undelivered(why()), false, true, ("agent_unreachable", "done")),
            (StartAnswer::Undelivered(why()), true, false, ("nothing", "retry")),
            (StartAnswer::Undelivered(why()), true, true, ("unknown", "done")),
            (StartAnswer::Lost(why()), false, false, ("nothing", "retry")),
            (StartAnswer::Lost(why()), false, true, ("unknown", "done")),
            (StartAnswer::Lost(why()), true, true, ("unknown", "done")),
        ];
        for (answer, may_be, is_last, expected) in cases {
            let found = after(&operation("queued", may_be, Some(100), None), answer.clone(), is_last);
            assert_eq!(concluded(&found), expected, "{answer:?} {may_be} {is_last}");
        }
    }

    #[test]
    fn an_agent_is_believed_a_bounded_jump_of_epochs() {
        let operation = operation("queued", true, Some(100), None);
        assert_eq!(catch_up(&operation, 1), None, "known already");
        assert_eq!(catch_up(&operation, 2), Some(2));
        assert_eq!(catch_up(&operation, 1 + LARGEST_JUMP), Some(1 + LARGEST_JUMP));
        for impossible in [2 + LARGEST_JUMP, i64::MAX, i64::MIN, -1, 0] {
            assert_eq!(catch_up(&operation, impossible), None, "{impossible}");
        }
    }

    #[test]
    fn a_busy_agent_is_left_alone_for_as_long_as_it_asks_and_never_for_no_time() {
        let wait = |retry_after: Option<u64>| {
            let answer = StartAnswer::Busy { retry_after: retry_after.map(Duration::from_secs) };
            after(&operation("queued", false, None, None), answer, false).1
        };
        assert_eq!(wait(None), Next::Snooze(BUSY_WAIT));
        assert_eq!(wait(Some(0)), Next::Snooze(SHORTEST_BUSY_WAIT));
        assert_eq!(wait(Some(77)), Next::Snooze(Duration::from_secs(77)));
    }

    fn any_answer() -> impl Strategy<Value = StartAnswer> {
        prop_oneof![
            Just(StartAnswer::Accepted),
            prop::option::of(0_u64..100)
                .prop_map(|wait| StartAnswer::Busy { retry_after: wait.map(Duration::from_secs) }),
            Just(StartAnswer::OtherOperationRunning),
            prop::option::of(any::<i64>()).prop_map(|newest| StartAnswer::StaleEpoch { newest }),
            Just(StartAnswer::Rejected("no".into())),
            Just(StartAnswer::Undelivered("no route".into())),
            Just(StartAnswer::Lost("reset".into())),
        ]
    }

    fn any_room() -> impl Strategy<Value = Room> {
        prop::sample::select(vec![Room::Free, Room::InstanceBusy, Room::NoPlace])
    }

    proptest! {
        /// What an agent may be at work on is never recorded as failed, and never forgotten, without asking it.
        #[test]
        fn what_may_be_at_the_agent_is_not_failed_by_the_dispatch(answer in any_answer(), is_last: bool) {
            let (conclusion, _) = after(&operation("queued", true, Some(100), None), answer, is_last);
            let is_ended = matches!(
                conclusion,
                Some(Conclusion::Failed(_) | Conclusion::NotDelivered { is_nowhere: true, .. })
            );
            prop_assert!(!is_ended, "{conclusion:?}");
        }

        /// Invariant 1: after the last attempt the operation has ended, is watched, or is sent again.
        #[test]
        fn the_last_attempt_leaves_nothing_behind(answer in any_answer(), may_be: bool) {
            let (conclusion, next) = after(&operation("queued", may_be, Some(100), None), answer, true);
            match next {
                Next::Done => prop_assert!(conclusion.is_some()),
                Next::Snooze(delay) => prop_assert!(delay >= SHORTEST_BUSY_WAIT),
                Next::Retry => prop_assert!(false, "no attempt is left"),
            }
        }

        /// Only what is queued is sent or withdrawn, and nothing that nobody wants any longer is sent.
        #[test]
        fn only_what_is_wanted_is_sent(
            status in prop::sample::select(vec!["queued", "running", "done", "failed", "deleted"]),
            may_be: bool,
            deadline in prop::option::of(0_i64..100),
            wish in prop::option::of(0_i64..100),
            now in 0_i64..200,
            is_instance_deleted: bool,
            room in any_room(),
        ) {
            let facts = Facts { now: at(now), is_instance_deleted, room };
            let operation = operation(status, may_be, deadline, wish);
            let is_unwanted =
                wish.is_some() || is_instance_deleted || deadline.is_some_and(|deadline| now > deadline);
            match before(&operation, &facts) {
                Step::Send => prop_assert!(status == "queued" && !is_unwanted && room != Room::InstanceBusy),
                Step::Withdraw(_) => prop_assert!(status == "queued" && is_unwanted && !may_be),
                Step::LeaveToWatcher(_) => prop_assert!(status == "queued" && is_unwanted && may_be),
                Step::Wait(_) => prop_assert!(status == "queued" && !is_unwanted),
                Step::EnsureWatcher => prop_assert_eq!(status, "running"),
                Step::Settled => prop_assert!(status != "queued" && status != "running"),
            }
        }
    }
}
