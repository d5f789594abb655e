//! The clock that all processes of this machine share: `CLOCK_MONOTONIC`, in nanoseconds since it began.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds now.
///
/// # Errors
/// When the kernel does not tell.
pub(super) fn nanoseconds() -> anyhow::Result<u64> {
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?);
    Ok(u64::try_from(now.as_nanos())?)
}

/// Seconds from one moment to another; negative when the second came first.
pub(super) fn seconds_between(from: u64, to: u64) -> f64 {
    let distance = Duration::from_nanos(from.abs_diff(to)).as_secs_f64();
    if to >= from { distance } else { -distance }
}
