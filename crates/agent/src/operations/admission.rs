//! The decisions on a request to start or to cancel an operation, and on what a restart makes of one. Pure, so that the
//! model in `crates/model` walks through the very decisions the agent makes.

use backup_protocol::{OperationState, StopOrder};

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
/// A restore runs alone. Backups run up to the limit; with a limit of one, the one that runs is named. A rehearsal is in
/// nobody's way, because it leaves the running data service alone, but it begins only when nothing else runs.
pub fn admit<'a>(known: Option<i64>, asked: i64, kind: Kind, floor: Floor<'a>) -> Admission<'a> {
    match known {
        Some(known) if asked < known => return Admission::Stale { known },
        Some(known) => return Admission::Repeat { is_newer: asked > known },
        None => {}
    }
    if floor.is_closing {
        return Admission::Busy("the agent is stopping");
    }
    let in_the_way =
        || floor.running.iter().filter(|(running, _)| kind == Kind::Rehearsal || *running != Kind::Rehearsal);
    let exclusive = in_the_way().find(|(running, _)| kind != Kind::Backup || *running == Kind::Restore);
    match (exclusive, in_the_way().next()) {
        (Some((_, id)), _) => Admission::OperationRunning(id),
        (None, Some((_, id))) if floor.limit == 1 => Admission::OperationRunning(id),
        _ if in_the_way().count() >= floor.limit => Admission::Busy("as many backups run as are allowed"),
        _ => Admission::Begin,
    }
}

/// What becomes of an order to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancellation {
    /// Stop it, then record that it was cancelled.
    Stop,
    /// It has ended, or is to be left alone if it has begun: tell how it stands.
    Nothing,
    /// Never heard of it: record it as cancelled, under this epoch, so that no request to start it does anything,
    /// whichever epoch that has.
    Remember {
        /// That of the order.
        epoch: i64,
    },
    /// The order speaks for older dispatches than the newest seen.
    Stale {
        /// The newest seen.
        known: i64,
    },
}

/// Decides on an order to stop. `known` is the newest epoch seen of the operation; none when it was never heard of.
/// An order without an epoch is never stale.
pub fn cancel(known: Option<i64>, is_running: bool, order: StopOrder) -> Cancellation {
    match (known, order.epoch) {
        (None, asked) => Cancellation::Remember { epoch: asked.unwrap_or(0) },
        (Some(known), Some(asked)) if asked < known => Cancellation::Stale { known },
        (Some(_), _) if is_running && !order.unless_begun => Cancellation::Stop,
        (Some(_), _) => Cancellation::Nothing,
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
        use Kind::{Backup, Rehearsal, Restore};
        const FULL: &str = "as many backups run as are allowed";
        const STOPPING: &str = "the agent is stopping";
        let (one, two) = ([(Backup, "a")], [(Backup, "a"), (Backup, "b")]);
        let alone = [(Restore, "r")];
        let (rehearsal, both) = ([(Rehearsal, "t")], [(Rehearsal, "t"), (Backup, "b")]);
        // Known epoch, asked epoch, kind, closing, running, limit; admission.
        let cases: [(_, _, _, _, &[(Kind, &str)], _, _); 22] = [
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
            (None, 1, Rehearsal, false, &[], 1, Begin),
            (None, 1, Rehearsal, false, &one, 2, OperationRunning("a")),
            (None, 1, Rehearsal, false, &alone, 2, OperationRunning("r")),
            (None, 1, Rehearsal, false, &rehearsal, 2, OperationRunning("t")),
            (None, 1, Backup, false, &rehearsal, 1, Begin),
            (None, 1, Restore, false, &rehearsal, 1, Begin),
            (None, 1, Restore, false, &both, 2, OperationRunning("b")),
            (None, 1, Backup, false, &both, 2, Begin),
        ];
        for (known, asked, kind, is_closing, running, limit, expected) in cases {
            let floor = Floor { is_closing, running, limit };
            assert_eq!(admit(known, asked, kind, floor), expected, "{known:?} {asked} {kind} {floor:?}");
        }
    }

    #[test]
    fn every_order_to_stop_has_its_cancellation() {
        use Cancellation::{Nothing, Remember, Stale, Stop};
        // Known epoch, running, epoch of the order, only if it has not begun; cancellation.
        let cases = [
            (None, false, None, false, Remember { epoch: 0 }),
            (None, false, Some(3), false, Remember { epoch: 3 }),
            (None, false, Some(3), true, Remember { epoch: 3 }),
            (Some(3), true, None, false, Stop),
            (Some(3), true, Some(3), false, Stop),
            (Some(3), true, Some(4), false, Stop),
            (Some(3), true, Some(2), false, Stale { known: 3 }),
            (Some(3), true, Some(3), true, Nothing),
            (Some(3), false, Some(3), false, Nothing),
            (Some(3), false, None, false, Nothing),
            (Some(3), false, Some(2), true, Stale { known: 3 }),
        ];
        for (known, is_running, epoch, unless_begun, expected) in cases {
            let order = StopOrder { epoch, unless_begun };
            assert_eq!(cancel(known, is_running, order), expected, "{known:?} {is_running} {order:?}");
        }
    }

    /// An order that was remembered stands against every later request to start: none of them begins anything.
    #[test]
    fn what_was_stopped_before_it_began_never_begins() {
        let floor = Floor { is_closing: false, running: &[], limit: 1 };
        for ordered in [0, 3] {
            for asked in 0..6 {
                let admission = admit(Some(ordered), asked, Kind::Backup, floor);
                assert!(
                    matches!(admission, Admission::Repeat { .. } | Admission::Stale { .. }),
                    "{ordered} {asked}"
                );
            }
        }
    }

    #[test]
    fn only_what_ran_is_interrupted_by_a_restart() {
        use OperationState::{Cancelled, Done, Failed, Running};
        assert_eq!(after_restart(Running), Failed);
        assert_eq!([Done, Failed, Cancelled].map(after_restart), [Done, Failed, Cancelled]);
    }
}
