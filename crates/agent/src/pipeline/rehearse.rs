//! One rehearsal: a restore into a data service of its own, which is looked at and thrown away. The data service in use
//! is not asked for anything but, by some drivers, its version.

use std::sync::Arc;
use std::time::Instant;

use backup_objects::Metadata;
use backup_protocol::{Check, CheckOutcome, RehearsalReport};

use super::Run;
use super::decode::load;
use super::failure::Failure;
use super::pieces::Receiver;
use super::restore::{RestoreOrder, stream, verified};
use crate::scratch::ScratchRoot;

/// Rehearses the restore; returns the backup's metadata. The report is in the run's progress.
///
/// # Errors
/// [`Failure`] when the backup could not be restored, or a check says that something is wrong with what was.
pub(crate) async fn run(run: Run, order: RestoreOrder, root: Arc<ScratchRoot>) -> Result<Metadata, Failure> {
    let begin = Instant::now();
    let verified = verified(&run, &order, root.free_bytes()).await?;
    let metadata = &verified.metadata;
    if metadata.driver.name != run.driver.name() {
        let message = format!("a backup of {} cannot be rehearsed", metadata.driver.name);
        return Err(Failure::new("not_supported", message));
    }
    let plain_size = metadata.plain_size;
    let work = move |run: &Run, plain| rehearse(run, (&order.restore_id, plain_size), &root, plain, begin);
    stream(Arc::new(run), &verified, work).await?;
    Ok(verified.metadata)
}

/// The blocking half, on one thread from the scratch data service's start to its end. What is made here is gone on
/// every path out.
fn rehearse(
    run: &Run,
    (operation, plain_size): (&str, u64),
    root: &ScratchRoot,
    plain: Receiver,
    begin: Instant,
) -> Result<(), Failure> {
    let made = root.make();
    let directory =
        made.map_err(|error| Failure::new("internal", format!("no scratch directory: {error}")))?;
    let scratch = run.driver.scratch(&run.session, directory.path());
    let Some(scratch) = scratch.map_err(|error| error.within("the scratch data service"))? else {
        let message = format!("a backup of {} cannot be rehearsed", run.driver.name());
        return Err(Failure::new("not_supported", message));
    };
    let loaded = load(run, scratch.driver(), operation, plain_size, None, plain)?;
    loaded.commit(&run.session)?;
    let restore_ms = milliseconds(begin);
    let checks = scratch.check(&run.session)?;
    run.session.check()?;
    let failure = failure(&checks);
    run.progress.set_report(RehearsalReport { duration_ms: milliseconds(begin), restore_ms, checks });
    failure.map_or(Ok(()), Err)
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// All checks that failed, in one message.
fn failure(checks: &[Check]) -> Option<Failure> {
    let failed = checks.iter().filter(|check| check.outcome == CheckOutcome::Failed);
    let failed: Vec<String> = failed.map(|check| format!("{}: {}", check.name, check.detail)).collect();
    (!failed.is_empty()).then(|| Failure::new("check_failed", failed.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failed_check_fails_a_rehearsal() {
        let fine = [Check::passed("tables", "3"), Check::skipped("indexes", "no program")];
        assert_eq!(failure(&fine), None);
        let bad = [Check::passed("tables", "3"), Check::failed("roles", "x is missing")];
        assert_eq!(failure(&bad), Some(Failure::new("check_failed", "roles: x is missing")));
    }
}
