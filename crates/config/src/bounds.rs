//! Bounds of single values, reported with the key's path.

use std::ops::RangeInclusive;
use std::time::Duration;

use backup_daemon::config::Mistake;
use backup_daemon::duration::HumaneDuration;

/// Collects values that are out of their bounds.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    pub(crate) mistakes: Vec<Mistake>,
}

impl Bounds {
    pub(crate) fn number(&mut self, path: &str, value: i64, allowed: RangeInclusive<i64>, unit: &str) {
        if !allowed.contains(&value) {
            let bounds = format!("{} to {} {unit}", allowed.start(), allowed.end());
            self.mistakes.push(Mistake::new(path, value, bounds.trim_end()));
        }
    }

    pub(crate) fn duration(&mut self, path: &str, value: HumaneDuration, allowed: RangeInclusive<Duration>) {
        if !allowed.contains(&value.get()) {
            let bounds =
                format!("{} to {}", HumaneDuration(*allowed.start()), HumaneDuration(*allowed.end()));
            self.mistakes.push(Mistake::new(path, value, bounds));
        }
    }

    pub(crate) fn require(&mut self, is_fine: bool, path: &str, found: &str, allowed: &str) {
        if !is_fine {
            self.mistakes.push(Mistake::new(path, found, allowed));
        }
    }
}
