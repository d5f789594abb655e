//! What a backup and a restore have in common: a piece of work that an agent does for an instance, and the decision
//! what the agent's answer means. The decision is pure, so that a model checker and a test can walk through it.

use backup_protocol::{OperationState, OperationStatus};
use chrono::{DateTime, Utc};

use super::identifiers::ServiceInstanceId;
use super::reason::ReasonCode;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperationKind {
    /// Data service → store.
    Backup,
    /// Store → data service.
    Restore,
}

impl OperationKind {
    /// `backup` or `restore`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Restore => "restore",
        }
    }
}

/// The part of a backup's or restore's row that dispatching and watching need.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Which of the two.
    pub kind: OperationKind,
    /// The row's number in its table.
    pub row: i64,
    /// Name towards the agent.
    pub name: String,
    /// The instance whose agent does the work.
    pub instance: ServiceInstanceId,
    /// `queued`, `running`, …
    pub status: String,
    /// Newest dispatch.
    pub epoch: i64,
    /// A dispatch may have reached the agent.
    pub may_be_at_agent: bool,
    /// When waiting ends; set by the first dispatch.
    pub deadline_at: Option<DateTime<Utc>>,
    /// When somebody asked to cancel it.
    pub cancel_requested_at: Option<DateTime<Utc>>,
    /// When it was asked for.
    pub triggered_at: DateTime<Utc>,
    /// What people see of it at the moment.
    pub msg: Option<String>,
    /// The instance's GUID, for the logs.
    pub guid: String,
}

/// How an operation ended badly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// For programs.
    pub reason: ReasonCode,
    /// For a person.
    pub msg: String,
}

impl Failure {
    /// Puts both halves together.
    pub fn new(reason: ReasonCode, msg: impl Into<String>) -> Self {
        Self { reason, msg: msg.into() }
    }
}

/// What the watcher learnt when it asked the agent.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The agent knows the operation.
    Status(OperationStatus),
    /// The agent has never heard of it.
    Unknown,
    /// No usable answer; the text says why.
    None(String),
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Ask again later; the text is shown to people meanwhile.
    Wait(Option<String>),
    /// The agent says success: check the artifact (backup), then finish.
    Complete(OperationStatus),
    /// Record the failure. `tell_agent`: the agent may still work on it and is told to stop.
    Fail {
        /// Reason and text.
        failure: Failure,
        /// Whether a `DELETE` has to be sent first.
        tell_agent: bool,
    },
}

/// Decides what an answer of the agent means for a running operation (spec 1.5, invariants 1 and 3).
///
/// A silent agent is waited for until the deadline; a wish to cancel shortens that to `cancel_wait` after the wish.
/// Success wins over a wish to cancel that came too late.
pub fn judge(
    operation: &Operation,
    answer: Answer,
    now: DateTime<Utc>,
    cancel_wait: chrono::Duration,
) -> Verdict {
    let is_overdue = operation.deadline_at.is_some_and(|deadline| now > deadline);
    let waited_for_cancel = operation.cancel_requested_at.map(|wish| now - wish);
    match answer {
        Answer::Status(status) => match status.state {
            OperationState::Done => Verdict::Complete(status),
            // Our own order to stop at the deadline, sent by a worker that died before it wrote down why.
            OperationState::Cancelled if operation.cancel_requested_at.is_none() && is_overdue => {
                fail(ReasonCode::TimedOut, "the agent was told to stop at the deadline", false)
            }
            OperationState::Cancelled => {
                fail(ReasonCode::Cancelled, "cancelled; the agent confirms that it has stopped", false)
            }
            OperationState::Failed if operation.cancel_requested_at.is_some() => {
                fail(ReasonCode::Cancelled, "cancelled; the agent confirms that it has stopped", false)
            }
            OperationState::Failed => {
                let (code, msg) = match status.error {
                    Some(error) => (ReasonCode::from_agent(&error.code), error.message),
                    None => (ReasonCode::AgentError, "the agent gave no reason".to_owned()),
                };
                fail(code, msg, false)
            }
            OperationState::Running => match waited_for_cancel {
                Some(waited) if waited > cancel_wait => {
                    fail(ReasonCode::Cancelled, "cancelled, but the agent has not stopped in time", true)
                }
                Some(_) => Verdict::Wait(Some("waiting for the agent to stop".into())),
                None if is_overdue => {
                    fail(ReasonCode::TimedOut, "the agent had not finished at the deadline", true)
                }
                None => Verdict::Wait(None),
            },
        },
        Answer::Unknown if operation.cancel_requested_at.is_some() => {
            fail(ReasonCode::Cancelled, "cancelled; the agent does not know it", false)
        }
        // A request that is still on its way must not start it after it was declared failed.
        Answer::Unknown => {
            fail(ReasonCode::AgentLostOperation, "the agent does not know the operation", true)
        }
        Answer::None(why) => match waited_for_cancel {
            Some(waited) if waited > cancel_wait => fail(
                ReasonCode::Cancelled,
                format!("cancelled, but the agent could not confirm it: {why}"),
                true,
            ),
            _ if is_overdue => fail(
                ReasonCode::TimedOut,
                format!("the agent was not reachable at the deadline: {why}"),
                true,
            ),
            _ => Verdict::Wait(Some(format!("the agent gives no usable answer: {why}"))),
        },
    }
}

fn fail(reason: ReasonCode, msg: impl Into<String>, tell_agent: bool) -> Verdict {
    Verdict::Fail { failure: Failure::new(reason, msg), tell_agent }
}

#[cfg(test)]
mod tests {
    use backup_protocol::OperationError;
    use chrono::{Duration, TimeZone};
    use proptest::prelude::*;

    use super::*;

    const CANCEL_WAIT: Duration = Duration::seconds(60);

    fn at(second: i64) -> DateTime<Utc> {
        Utc.timestamp_opt(1_700_000_000 + second, 0).unwrap()
    }

    fn operation(deadline: Option<i64>, cancelled: Option<i64>) -> Operation {
        Operation {
            kind: OperationKind::Backup,
            row: 1,
            name: "b-1".into(),
            instance: ServiceInstanceId(1),
            status: "running".into(),
            epoch: 1,
            may_be_at_agent: true,
            deadline_at: deadline.map(at),
            cancel_requested_at: cancelled.map(at),
            triggered_at: at(0),
            msg: None,
            guid: "i-1".into(),
        }
    }

    fn status(state: OperationState, code: Option<&str>) -> Answer {
        Answer::Status(OperationStatus {
            id: "b-1".into(),
            epoch: 1,
            state,
            bytes_read: 0,
            bytes_stored: 0,
            total_bytes_estimate: None,
            started_at: at(0),
            finished_at: None,
            parts: Vec::new(),
            checksum: None,
            filter_plugins: Vec::new(),
            error: code.map(|code| OperationError { code: code.into(), message: "m".into() }),
        })
    }

    fn reason(verdict: &Verdict) -> Option<ReasonCode> {
        match verdict {
            Verdict::Fail { failure, .. } => Some(failure.reason),
            Verdict::Wait(_) | Verdict::Complete(_) => None,
        }
    }

    #[test]
    fn every_answer_has_its_verdict() {
        use OperationState::{Cancelled, Done, Failed, Running};
        let silent = || Answer::None("no route".into());
        // Deadline, wish to cancel, now, answer, reason of the failure.
        let cases = [
            (Some(100), None, 50, status(Running, None), None),
            (Some(100), None, 101, status(Running, None), Some(ReasonCode::TimedOut)),
            (Some(100), None, 50, status(Done, None), None),
            (Some(100), None, 101, status(Done, None), None),
            (Some(100), None, 50, status(Failed, Some("store_error")), Some(ReasonCode::StoreError)),
            (Some(100), None, 50, status(Failed, None), Some(ReasonCode::AgentError)),
            (Some(100), None, 50, status(Cancelled, None), Some(ReasonCode::Cancelled)),
            (Some(100), None, 101, status(Cancelled, None), Some(ReasonCode::TimedOut)),
            (Some(100), Some(40), 101, status(Cancelled, None), Some(ReasonCode::Cancelled)),
            (Some(100), None, 50, Answer::Unknown, Some(ReasonCode::AgentLostOperation)),
            (Some(100), None, 50, silent(), None),
            (Some(100), None, 101, silent(), Some(ReasonCode::TimedOut)),
            (None, None, 1_000_000, silent(), None),
            (Some(100), Some(40), 50, status(Running, None), None),
            (Some(1000), Some(40), 101, status(Running, None), Some(ReasonCode::Cancelled)),
            (Some(1000), Some(40), 101, status(Done, None), None),
            (Some(1000), Some(40), 50, status(Failed, Some("store_error")), Some(ReasonCode::Cancelled)),
            (Some(1000), Some(40), 50, Answer::Unknown, Some(ReasonCode::Cancelled)),
            (Some(1000), Some(40), 50, silent(), None),
            (Some(1000), Some(40), 101, silent(), Some(ReasonCode::Cancelled)),
        ];
        for (deadline, cancelled, now, answer, expected) in cases {
            let verdict = judge(&operation(deadline, cancelled), answer.clone(), at(now), CANCEL_WAIT);
            assert_eq!(reason(&verdict), expected, "{deadline:?} {cancelled:?} {now} {answer:?}");
            let is_success = matches!(&answer, Answer::Status(status) if status.state == Done);
            assert_eq!(matches!(verdict, Verdict::Complete(_)), is_success, "{answer:?}");
        }
    }

    fn any_answer() -> impl Strategy<Value = Answer> {
        use OperationState::{Cancelled, Done, Failed, Running};
        prop_oneof![
            Just(Answer::Unknown),
            Just(Answer::None("silence".into())),
            prop::sample::select(vec![Running, Done, Failed, Cancelled])
                .prop_map(|state| status(state, None)),
        ]
    }

    proptest! {
        /// Invariant 3: failed only when the agent says so, no longer knows it, the deadline passed, or a person gave up.
        #[test]
        fn a_healthy_operation_is_never_failed(
            deadline in prop::option::of(0_i64..1000),
            cancelled in prop::option::of(0_i64..1000),
            now in -1000_i64..2000,
            answer in any_answer(),
        ) {
            let verdict = judge(&operation(deadline, cancelled), answer.clone(), at(now), CANCEL_WAIT);
            let agent_ended_it = match &answer {
                Answer::Status(status) => matches!(status.state, OperationState::Failed | OperationState::Cancelled),
                Answer::Unknown => true,
                Answer::None(_) => false,
            };
            let is_overdue = deadline.is_some_and(|deadline| now > deadline);
            let given_up = cancelled.is_some_and(|wish| now - wish > CANCEL_WAIT.num_seconds());
            if reason(&verdict).is_some() {
                prop_assert!(agent_ended_it || is_overdue || given_up);
            }
        }

        /// Invariant 1: whatever the agent answers, past the deadline and the wait for a cancellation nothing waits on.
        #[test]
        fn nothing_waits_for_ever(
            deadline in 0_i64..1000,
            cancelled in prop::option::of(0_i64..1000),
            answer in any_answer(),
        ) {
            let verdict = judge(&operation(Some(deadline), cancelled), answer, at(2000), CANCEL_WAIT);
            prop_assert!(!matches!(verdict, Verdict::Wait(_)), "{verdict:?}");
        }
    }
}
