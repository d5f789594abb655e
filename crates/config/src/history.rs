//! `history`: how long what is over is remembered.

use std::time::Duration;

use backup_core::HistoryPolicy;
use backup_daemon::duration::HumaneDuration;
use serde::Deserialize;

use crate::bounds::Bounds;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The `history` section; `null` keeps for ever.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HistorySettings {
    /// Events of the audit trail. The database removes none of the last 30 days, whoever asks.
    pub audit_events: Option<HumaneDuration>,
    /// Restores, counted from their end.
    pub restores: Option<HumaneDuration>,
    /// Rehearsals, counted from their end.
    pub rehearsals: Option<HumaneDuration>,
    /// Deleted instances without backups, counted from their deletion.
    pub deleted_instances: Option<HumaneDuration>,
}

impl Default for HistorySettings {
    fn default() -> Self {
        let policy = HistoryPolicy::default();
        Self {
            audit_events: policy.audit_events.map(HumaneDuration),
            restores: policy.restores.map(HumaneDuration),
            rehearsals: policy.rehearsals.map(HumaneDuration),
            deleted_instances: policy.deleted_instances.map(HumaneDuration),
        }
    }
}

impl HistorySettings {
    pub(crate) fn check(&self, bounds: &mut Bounds) {
        // Longer than the 30 days that the database insists on, so that no clock decides between the two.
        let audit = DAY.saturating_mul(31);
        for (key, kept, least) in [
            ("history.audit_events", self.audit_events, audit),
            ("history.restores", self.restores, DAY.saturating_mul(2)),
            ("history.rehearsals", self.rehearsals, DAY),
            ("history.deleted_instances", self.deleted_instances, DAY),
        ] {
            if let Some(kept) = kept {
                bounds.duration(key, kept, least..=DAY.saturating_mul(36_500));
            }
        }
    }

    pub(crate) fn policy(&self) -> HistoryPolicy {
        HistoryPolicy {
            audit_events: self.audit_events.map(HumaneDuration::get),
            restores: self.restores.map(HumaneDuration::get),
            rehearsals: self.rehearsals.map(HumaneDuration::get),
            deleted_instances: self.deleted_instances.map(HumaneDuration::get),
        }
    }
}
