//! How much a download may hold in memory. All downloads share one budget: a single one reads in large pieces, which
//! stores at a distance need, a thousand slow ones in small pieces, which fit into memory all the same.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes for all downloads of the process. Those that began when there were fewer still hold their larger pieces, so that
/// it is four times as much at worst; see `a_thousand_slow_downloads_fit_into_64_mib`.
const BUDGET: u64 = 2 * 1024 * 1024;

/// Most bytes given to the server at a time, which copies them: with a head before, or a rest of them, they fit into its
/// buffer of 8 KiB.
pub(super) const SLICE: usize = 7 * 1024;

/// Given at once, so that nothing is left here while the server waits for its client, and with a head before it fits into
/// one page of memory.
const SMALLEST: u64 = 3584;
const LARGEST: u64 = 256 * 1024;

static SHARERS: AtomicU64 = AtomicU64::new(0);

/// A download's part in the budget; given back when dropped.
#[derive(Debug)]
pub(super) struct Share(());

impl Share {
    pub(super) fn take() -> Self {
        SHARERS.fetch_add(1, Ordering::Relaxed);
        Self(())
    }

    /// Bytes to read next.
    pub(super) fn size(&self) -> u64 {
        size(SHARERS.load(Ordering::Relaxed))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        SHARERS.fetch_sub(1, Ordering::Relaxed);
    }
}

fn size(sharers: u64) -> u64 {
    BUDGET.checked_div(sharers).unwrap_or(BUDGET).clamp(SMALLEST, LARGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_downloads_read_large_pieces_and_many_small_ones() {
        let expected = [LARGEST, LARGEST, LARGEST, LARGEST / 2, SMALLEST, SMALLEST];
        assert_eq!([0, 1, 8, 16, 600, 1000].map(size), expected);
    }
}
