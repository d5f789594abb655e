//! `history`: how long what is over is remembered.

use std::time::Duration;

use backup_core::HistoryPolicy;
use backup_daemon::duration::HumaneDuration;
use serde::Deserialize;

use crate::bounds::Bounds;

const DAY: Duration = Duration::from_secs(24 * 3600);
const MOST: u32 = 36_500;

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
        for (key, kept, least) in [
            // Longer than the 30 days that the database insists on, so that no clock decides between the two.
            ("history.audit_events", self.audit_events, 31),
            ("history.restores", self.restores, 2),
            ("history.rehearsals", self.rehearsals, 1),
            ("history.deleted_instances", self.deleted_instances, 1),
        ] {
            let Some(kept) = kept else { continue };
            let is_fine = (DAY.saturating_mul(least)..=DAY.saturating_mul(MOST)).contains(&kept.get());
            let allowed = format!("{least}days to {MOST}days, or null for ever");
            bounds.require(is_fine, key, &kept.to_string(), &allowed);
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
