//! The hand for the manager's database: one fault after the other, since they exclude each other.

use anyhow::Context;
use private_postgres::pair::Pair;

use super::{Desk, wait_until};
use crate::schedule::{Fault, Kind, Parameter};

/// Does all of them.
pub(super) fn run(pair: &mut Pair, faults: &[Fault], desk: &Desk<'_>) -> anyhow::Result<()> {
    for fault in faults {
        wait_until(desk.stopwatch, fault.at_ms);
        let begun = desk.began(fault);
        inflict(pair, fault, desk).with_context(|| format!("fault {fault}"))?;
        desk.ended(*fault, begun, None);
    }
    Ok(())
}

fn inflict(pair: &mut Pair, fault: &Fault, desk: &Desk<'_>) -> anyhow::Result<()> {
    let end = desk.stopwatch.now().saturating_add(fault.lasts_ms);
    match (fault.kind, fault.parameter) {
        (Kind::PostgresRestart, _) => pair.restart_primary(),
        (Kind::PostgresPause, _) => {
            pair.pause_primary()?;
            wait_until(desk.stopwatch, end);
            pair.resume_primary()
        }
        (Kind::PostgresFailover, _) => {
            pair.fail_over()?;
            desk.note("      the standby has taken over");
            pair.rebuild_standby()
        }
        (Kind::ClockDatabase, Parameter::JumpSeconds(jump)) => {
            pair.set_clock(jump)?;
            wait_until(desk.stopwatch, end);
            pair.set_clock(0)?;
            // The library looks at its file once a second.
            wait_until(desk.stopwatch, desk.stopwatch.now().saturating_add(1_200));
            Ok(())
        }
        (kind, _) => anyhow::bail!("{kind} is nothing a database suffers"),
    }
}
