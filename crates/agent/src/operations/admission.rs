//! The decisions on a request to start or to cancel an operation, and on what a restart makes of one. Pure, so that the
//! model in `crates/model` walks through the very decisions the agent makes.

use backup_protocol::OperationState;

use super::entry::Kind;

/// What may begin, and beside what.
#[derive(Debug, Clone, Copy)]
pub struct Floor<'a> {
    /// The agent is stopping.
    pub is_closing: bool,
    /// What runs.
    pub running: &'a [(Kind, &'a str)],
    /// Backups at once.
    pub limit: usize,
}

/// What becomes of a request to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission<'a> {
    /// Never heard of it: record it, then begin.
    Begin,
    /// Known: tell how it stands and start nothing; with a new epoch, record that first.
    Repeat {
        /// The epoch is higher than the newest seen.
        is_newer: bool,
    },
    /// Known under a higher epoch.
    Stale {
        /// The newest seen.
        known: i64,
    },
    /// This operation runs, and nothing can run beside it.
    OperationRunning(&'a str),
    /// No room; the text says why.
    Busy(&'static str),
}

/// Decides on a request to start. `known` is the newest epoch seen of the operation; none when it was never heard of.
/// A restore runs alone. Backups run up to the limit; with a limit of one, the one that runs is named.
pub fn admit<'a>(known: Option<i64>, asked: i64, kind: Kind, floor: Floor<'a>) -> Admission<'a> {
    match known {
        Some(known) if asked < known => return Admission::Stale { known },
        Some(known) => return Admission::Repeat { is_newer: asked > known },
        None => {}
    }
    if floor.is_closing {
        return Admission::Busy("the agent is stopping");
    }
    let exclusive =
        floor.running.iter().find(|(running, _)| kind == Kind::Restore || *running == Kind::Restore);
    match (exclusive, floor.running.first()) {
        (Some((_, id)), _) => Admission::OperationRunning(id),
        (None, Some((_, id))) if floor.limit == 1 => Admission::OperationRunning(id),
        _ if floor.running.len() >= floor.limit => Admission::Busy("as many backups run as are allowed"),
        _ => Admission::Begin,
    }
}

/// What becomes of a request to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancellation {
    /// Stop it, then record that it was cancelled.
    Stop,
    /// It has ended; tell how.
    Nothing,
    /// Never heard of it: record it as cancelled, under epoch 0, so that a late request to start does nothing.
    Remember,
}

/// Decides on a request to cancel.
pub fn cancel(is_known: bool, is_running: bool) -> Cancellation {
    match (is_known, is_running) {
        (_, true) => Cancellation::Stop,
        (true, false) => Cancellation::Nothing,
        (false, false) => Cancellation::Remember,
    }
}

/// What a recorded operation is after a restart: one that ran has failed, as interrupted.
pub fn after_restart(recorded: OperationState) -> OperationState {
    match recorded {
        OperationState::Running => OperationState::Failed,
        ended @ (OperationState::Done | OperationState::Failed | OperationState::Cancelled) => ended,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_to_start_has_its_admission() {
        use Admission::{Begin, Busy, OperationRunning, Repeat, Stale};
        use Kind::{Backup, Restore};
        const FULL: &str = "as many backups run as are allowed";
        const STOPPING: &str = "the agent is stopping";
        let (one, two) = ([(Backup, "a")], [(Backup, "a"), (Backup, "b")]);
        let alone = [(Restore, "r")];
        // Known epoch, asked epoch, kind, closing, running, limit; admission.
        let cases: [(_, _, _, _, &[(Kind, &str)], _, _); 14] = [
            (None, 1, Backup, false, &[], 1, Begin),
            (None, 1, Restore, false, &[], 1, Begin),
            (None, 1, Backup, false, &one, 2, Begin),
            (None, 1, Backup, false, &one, 1, OperationRunning("a")),
            (None, 1, Restore, false, &one, 2, OperationRunning("a")),
            (None, 1, Backup, false, &alone, 2, OperationRunning("r")),
            (None, 1, Backup, false, &two, 2, Busy(FULL)),
            (None, 1, Backup, true, &[], 1, Busy(STOPPING)),
            (None, 1, Backup, true, &one, 1, Busy(STOPPING)),
            (Some(1), 1, Backup, true, &one, 1, Repeat { is_newer: false }),
            (Some(1), 2, Backup, false, &one, 1, Repeat { is_newer: true }),
            (Some(0), 1, Backup, false, &[], 1, Repeat { is_newer: true }),
            (Some(2), 1, Backup, false, &[], 1, Stale { known: 2 }),
            (Some(2), 1, Restore, true, &alone, 1, Stale { known: 2 }),
        ];
        for (known, asked, kind, is_closing, running, limit, expected) in cases {
            let floor = Floor { is_closing, running, limit };
            assert_eq!(admit(known, asked, kind, floor), expected, "{known:?} {asked} {kind} {floor:?}");
        }
    }

    #[test]
    fn cancelling_stops_what_runs_and_remembers_what_never_began() {
        assert_eq!(cancel(true, true), Cancellation::Stop);
        assert_eq!(cancel(true, false), Cancellation::Nothing);
        assert_eq!(cancel(false, false), Cancellation::Remember);
    }

    #[test]
    fn only_what_ran_is_interrupted_by_a_restart() {
        use OperationState::{Cancelled, Done, Failed, Running};
        assert_eq!(after_restart(Running), Failed);
        assert_eq!([Done, Failed, Cancelled].map(after_restart), [Done, Failed, Cancelled]);
    }
}
