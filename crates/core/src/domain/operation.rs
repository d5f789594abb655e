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
            OperationState::Cancelled => fail(ReasonCode::Cancelled, "cancelled", false),
            OperationState::Failed if operation.cancel_requested_at.is_some() => {
                fail(ReasonCode::Cancelled, "cancelled", false)
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
