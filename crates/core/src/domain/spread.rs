//! Spreads the start of a fleet over a window (spec 1.7), so that not all instances begin at one instant.
//! The place of an instance in the window depends on its GUID alone: the same after a restart, an upgrade, anywhere.

use std::time::Duration;

use sha2::{Digest, Sha256};

/// Returns when, after the beginning of a window of length `spread`, the instance `guid` starts: uniform over
/// instances, in whole milliseconds, always less than `spread` (zero when `spread` is zero).
#[must_use]
pub fn offset(guid: &str, spread: Duration) -> Duration {
    // SHA-256 rather than the standard library's hasher, whose result may change between releases.
    let digest = Sha256::digest(guid.as_bytes());
    let hash = digest.iter().take(8).fold(0_u64, |hash, byte| (hash << 8) | u64::from(*byte));
    let window = spread.as_millis().min(u128::from(u64::MAX));
    // Scaling keeps the result uniform and below the window without a remainder's bias.
    let millis = (u128::from(hash) * window) >> 64;
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn the_place_of_an_instance_never_changes_between_versions() {
        let table = [
            ("", 3_201_897),
            ("a", 2_848_947),
            ("7c9e6679-7425-40de-944b-e07fc1f90ae7", 1_393_444),
            ("00000000-0000-0000-0000-000000000000", 263_299),
        ];
        for (guid, millis) in table {
            assert_eq!(offset(guid, HOUR), Duration::from_millis(millis), "{guid:?}");
        }
    }

    #[test]
    fn without_a_window_everybody_starts_at_once() {
        assert_eq!(offset("a", Duration::ZERO), Duration::ZERO);
    }

    #[test]
    fn ten_thousand_instances_fill_the_window_evenly() {
        let mut minutes = [0_u32; 60];
        for n in 0..10_000 {
            let offset = offset(&format!("instance-{n}"), HOUR);
            assert!(offset < HOUR);
            minutes[usize::try_from(offset.as_secs() / 60).unwrap()] += 1;
        }
        // 167 per minute expected; six standard deviations are 78.
        assert!(minutes.iter().all(|n| (89..=245).contains(n)), "{minutes:?}");
    }

    #[test]
    fn a_window_of_any_length_is_respected() {
        for spread in [Duration::from_millis(1), Duration::from_nanos(1), Duration::MAX] {
            assert!(offset("x", spread) <= spread);
        }
    }
}
