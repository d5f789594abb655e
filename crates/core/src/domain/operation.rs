//! What a backup, a restore and a rehearsal have in common: a piece of work that an agent does for an instance, and the decision
//! what the agent's answer means. The decision is pure, so that a model checker and a test can walk through it.

use backup_protocol::{NEVER_BEGUN, OperationState, OperationStatus};
use chrono::{DateTime, Duration, Utc};

use super::identifiers::ServiceInstanceId;
use super::reason::ReasonCode;

/// Which of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperationKind {
    /// Data service → store.
    Backup,
    /// Store → data service.
    Restore,
    /// Store → scratch data service.
    Rehearsal,
}

impl OperationKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Backup, Self::Restore, Self::Rehearsal];

    /// `backup`, `restore` or `rehearsal`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::Rehearsal => "rehearsal",
        }
    }

    /// Reads the word; none for any other.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// The part of the row of a backup, a restore or a rehearsal that dispatching and watching need.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Which of the three.
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
    /// By the schedule, and not by a person.
    pub is_scheduled: bool,
    /// What people see of it at the moment.
    pub msg: Option<String>,
    /// The instance's GUID, for the logs.
    pub guid: String,
}

impl Operation {
    /// A clock of the database that was ahead and has gone back leaves times that do not come for days: a deadline further
    /// away than `timeout`, a wish of the future. They become what they would be if they were written now; true when one was
    /// such. The agent was told the old deadline, which does no harm: it is told to stop at the new one.
    pub fn adjust_to_clock(&mut self, now: DateTime<Utc>, timeout: Duration) -> bool {
        let latest = [now.checked_add_signed(timeout), Some(now)];
        let mut is_changed = false;
        for (time, latest) in [&mut self.deadline_at, &mut self.cancel_requested_at].into_iter().zip(latest) {
            if let (Some(at), Some(latest)) = (time.as_mut(), latest)
                && *at > latest
            {
                *at = latest;
                is_changed = true;
            }
        }
        is_changed
    }
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
    /// The agent does not know it: see to it that no request which is still on its way begins it. What that answers is
    /// judged by [`after_forbidding`].
    Forbid,
    /// Record the failure. `tell_agent`: the agent may still work on it and is told to stop.
    Fail {
        /// Reason and text.
        failure: Failure,
        /// Whether a `DELETE` has to be sent first.
        tell_agent: bool,
    },
}

/// What a verdict depends on besides row and answer.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// The database's clock.
    pub now: DateTime<Utc>,
    /// How long an agent may take to confirm a cancellation.
    pub cancel_wait: Duration,
    /// The instance is gone.
    pub is_instance_deleted: bool,
}

/// Decides what an answer of the agent means for a running operation (spec 1.5, invariants 1 and 3).
///
/// A silent agent is waited for until the deadline; a wish to cancel shortens that to `cancel_wait` after the wish.
/// Success wins over a wish to cancel that came too late.
pub fn judge(operation: &Operation, answer: Answer, around: Circumstances) -> Verdict {
    let is_overdue = operation.deadline_at.is_some_and(|deadline| around.now > deadline);
    let is_wished = operation.cancel_requested_at.is_some();
    let is_given_up =
        operation.cancel_requested_at.is_some_and(|wish| around.now - wish > around.cancel_wait);
    match answer {
        Answer::Status(status) => match status.state {
            OperationState::Done => Verdict::Complete(status),
            OperationState::Cancelled => stopped(operation, &status, is_overdue, around),
            OperationState::Failed if is_wished => fail(ReasonCode::Cancelled, CONFIRMED, false),
            OperationState::Failed => {
                let (code, msg) = match status.error {
                    Some(error) => (ReasonCode::from_agent(&error.code), error.message),
                    None => (ReasonCode::AgentError, "the agent gave no reason".to_owned()),
                };
                fail(code, msg, false)
            }
            OperationState::Running if is_given_up => {
                fail(ReasonCode::Cancelled, unconfirmed("it was still at work on it in the end"), true)
            }
            OperationState::Running if is_wished => {
                Verdict::Wait(Some("waiting for the agent to stop".into()))
            }
            OperationState::Running if is_overdue => {
                fail(ReasonCode::TimedOut, "the agent had not finished at the deadline", true)
            }
            OperationState::Running => Verdict::Wait(None),
        },
        Answer::Unknown if is_wished => {
            fail(ReasonCode::Cancelled, "cancelled; the agent does not know it", false)
        }
        Answer::Unknown => Verdict::Forbid,
        Answer::None(why) if is_given_up => fail(ReasonCode::Cancelled, unconfirmed(&why), true),
        Answer::None(why) if is_overdue && !is_wished => {
            fail(ReasonCode::TimedOut, format!("the agent was not reachable at the deadline: {why}"), true)
        }
        Answer::None(why) => Verdict::Wait(Some(format!("the agent gives no usable answer: {why}"))),
    }
}

/// Decides what follows from the answer to the order never to begin it ([`Verdict::Forbid`]). Only what the agent has
/// recorded as never to be begun has failed; what has begun meanwhile is watched on. (An agent that does not know the
/// parameter `unless_begun` stops that too, and says so.)
pub fn after_forbidding(operation: &Operation, answer: Answer, around: Circumstances) -> Verdict {
    let is_overdue = operation.deadline_at.is_some_and(|deadline| around.now > deadline);
    match answer {
        Answer::Status(status) if status.state == OperationState::Cancelled => {
            never_begun(is_overdue, around)
        }
        Answer::Status(_) => Verdict::Wait(None),
        // An agent that records nothing; nothing more can be done.
        Answer::Unknown => never_begun(is_overdue, around),
        silent @ Answer::None(_) => judge(operation, silent, around),
    }
}

const CONFIRMED: &str = "cancelled; the agent confirms that it has stopped";

fn unconfirmed(why: &str) -> String {
    format!("cancelled, but that the agent has stopped could not be confirmed: {why}")
}

/// The agent was told to stop it. By whom, only the row and the agent's record know: the worker that told it may have
/// died before it wrote down why.
fn stopped(
    operation: &Operation,
    status: &OperationStatus,
    is_overdue: bool,
    around: Circumstances,
) -> Verdict {
    let has_begun = status.error.as_ref().is_none_or(|error| error.code != NEVER_BEGUN);
    match (operation.cancel_requested_at, has_begun) {
        (Some(_), _) => fail(ReasonCode::Cancelled, CONFIRMED, false),
        (None, false) => never_begun(is_overdue, around),
        (None, true) if is_overdue => {
            fail(ReasonCode::TimedOut, "the agent was told to stop at the deadline", false)
        }
        (None, true) => {
            fail(ReasonCode::Cancelled, "it was stopped at the agent, though nobody asked for it here", false)
        }
    }
}

/// Why an operation has failed that the agent does not know, and will not begin.
fn never_begun(is_overdue: bool, around: Circumstances) -> Verdict {
    if is_overdue {
        fail(ReasonCode::TimedOut, "the agent knew nothing of it at the deadline", false)
    } else if around.is_instance_deleted {
        fail(
            ReasonCode::InstanceDeleted,
            "the instance was deleted, and its agent knows nothing of it",
            false,
        )
    } else {
        fail(ReasonCode::AgentLostOperation, "the agent does not know the operation", false)
    }
}

fn fail(reason: ReasonCode, msg: impl Into<String>, tell_agent: bool) -> Verdict {
    Verdict::Fail { failure: Failure::new(reason, msg), tell_agent }
}

#[cfg(test)]
mod tests {
    use backup_protocol::OperationError;
    use chrono::TimeZone;
    use proptest::prelude::*;

    use super::*;

    const CANCEL_WAIT: Duration = Duration::seconds(60);

    fn around(now: i64) -> Circumstances {
        Circumstances { now: at(now), cancel_wait: CANCEL_WAIT, is_instance_deleted: false }
    }

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
            is_scheduled: false,
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
            rehearsal: None,
        })
    }

    fn reason(verdict: &Verdict) -> Option<ReasonCode> {
        match verdict {
            Verdict::Fail { failure, .. } => Some(failure.reason),
            Verdict::Wait(_) | Verdict::Complete(_) | Verdict::Forbid => None,
        }
    }

    #[test]
    fn times_that_a_clock_which_was_ahead_left_behind_become_those_of_now() {
        let day = Duration::days(1);
        let adjusted = |deadline, cancelled| {
            let mut operation = operation(deadline, cancelled);
            let is_changed = operation.adjust_to_clock(at(0), day);
            assert!(!operation.adjust_to_clock(at(0), day) && !operation.adjust_to_clock(at(5), day));
            (operation.deadline_at, operation.cancel_requested_at, is_changed)
        };
        let (now, latest, far) = (at(0), at(86_400), 10 * 86_400);
        assert_eq!(adjusted(None, None), (None, None, false));
        assert_eq!(adjusted(Some(86_400), Some(0)), (Some(latest), Some(now), false));
        assert_eq!(adjusted(Some(-1), Some(-60)), (Some(at(-1)), Some(at(-60)), false));
        assert_eq!(adjusted(Some(far), None), (Some(latest), None, true));
        assert_eq!(adjusted(None, Some(far)), (None, Some(now), true));
        assert_eq!(adjusted(Some(far), Some(far)), (Some(latest), Some(now), true));
        let mut patient = operation(Some(far), None);
        assert!(!patient.adjust_to_clock(now, Duration::MAX), "no time is too far away");
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
            (Some(100), None, 50, status(Cancelled, Some(NEVER_BEGUN)), Some(ReasonCode::AgentLostOperation)),
            (Some(100), None, 101, status(Cancelled, Some(NEVER_BEGUN)), Some(ReasonCode::TimedOut)),
            (Some(100), Some(40), 50, status(Cancelled, Some(NEVER_BEGUN)), Some(ReasonCode::Cancelled)),
            (Some(100), None, 50, Answer::Unknown, None),
            (Some(100), None, 101, Answer::Unknown, None),
            (Some(50), Some(40), 60, silent(), None),
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
            let verdict = judge(&operation(deadline, cancelled), answer.clone(), around(now));
            assert_eq!(reason(&verdict), expected, "{deadline:?} {cancelled:?} {now} {answer:?}");
            let is_success = matches!(&answer, Answer::Status(status) if status.state == Done);
            assert_eq!(matches!(verdict, Verdict::Complete(_)), is_success, "{answer:?}");
        }
    }

    #[test]
    fn what_the_agent_does_not_know_fails_only_once_it_can_no_longer_begin() {
        use OperationState::{Cancelled, Done, Failed, Running};
        assert_eq!(judge(&operation(Some(100), None), Answer::Unknown, around(50)), Verdict::Forbid);
        let silent = || Answer::None("no route".into());
        // Deadline, wish to cancel, now, instance deleted, answer to the order, reason of the failure.
        let cases = [
            (50, false, status(Cancelled, Some(NEVER_BEGUN)), Some(ReasonCode::AgentLostOperation)),
            (50, true, status(Cancelled, Some(NEVER_BEGUN)), Some(ReasonCode::InstanceDeleted)),
            (101, true, status(Cancelled, Some(NEVER_BEGUN)), Some(ReasonCode::TimedOut)),
            (50, false, Answer::Unknown, Some(ReasonCode::AgentLostOperation)),
            (50, false, status(Running, None), None),
            (101, false, status(Running, None), None),
            (50, false, status(Done, None), None),
            (50, false, status(Failed, Some("store_error")), None),
            (50, false, silent(), None),
            (101, false, silent(), Some(ReasonCode::TimedOut)),
        ];
        for (now, is_instance_deleted, answer, expected) in cases {
            let around = Circumstances { is_instance_deleted, ..around(now) };
            let verdict = after_forbidding(&operation(Some(100), None), answer.clone(), around);
            assert_eq!(reason(&verdict), expected, "{now} {is_instance_deleted} {answer:?}");
        }
    }

    #[test]
    fn a_cancellation_says_whether_it_was_confirmed() {
        let said = |answer| match judge(&operation(Some(1000), Some(40)), answer, around(101)) {
            Verdict::Fail { failure, tell_agent } => {
                (failure.msg.contains("could not be confirmed"), tell_agent)
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(said(status(OperationState::Cancelled, None)), (false, false));
        assert_eq!(said(Answer::Unknown), (false, false));
        assert_eq!(said(status(OperationState::Running, None)), (true, true));
        assert_eq!(said(Answer::None("no route".into())), (true, true));
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
            let verdict = judge(&operation(deadline, cancelled), answer.clone(), around(now));
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
            let verdict = judge(&operation(Some(deadline), cancelled), answer, around(2000));
            prop_assert!(!matches!(verdict, Verdict::Wait(_)), "{verdict:?}");
        }
    }
}
