//! The scheduled verification: asks for rehearsals of a sample of backups, in one transaction, so that a run that is
//! repeated after a crash asks nobody twice.

use backup_queue::{ClaimedJob, Outcome};

use super::request_rehearsal::record;
use crate::Result;
use crate::domain::backup::BackupStatus;
use crate::domain::verification::sample;
use crate::manager::Manager;
use crate::store::{backups, rehearsals, service_instances};

/// Chooses the sample and records a rehearsal for each backup in it.
pub async fn rehearse_backups(manager: &Manager, job: &ClaimedJob) -> Result<Outcome> {
    let (settings, lease) = (manager.settings(), job.lease.clone());
    let recorded = manager
        .database
        .transaction(move |conn| {
            lease.confirm(conn)?;
            let budget = settings.policy.verify_backup_budget;
            // Each instance has at least one backup, so no more of them are needed.
            let candidates = rehearsals::list_candidates(conn, budget)?;
            let chosen = sample(candidates, usize::try_from(budget).unwrap_or_default(), by_chance);
            let mut recorded = 0_usize;
            for (instance, backup) in chosen {
                let instance = service_instances::lock(conn, instance)?;
                // Marked, or asked for by somebody else, since the sample was chosen.
                let is_still_done = backups::get(conn, backup)?.status == BackupStatus::Done;
                if is_still_done && rehearsals::find_unfinished(conn, backup)?.is_none() {
                    record(conn, &settings.policy, &instance, backup, true)?;
                    recorded = recorded.saturating_add(1);
                }
            }
            Ok(recorded)
        })
        .await?;
    tracing::info!(recorded, "asked for rehearsals of a sample of backups");
    Ok(Outcome::Done)
}

fn by_chance(sides: usize) -> usize {
    let thrown = u128::try_from(sides).map(|sides| uuid::Uuid::new_v4().as_u128().checked_rem(sides));
    thrown.ok().flatten().and_then(|thrown| usize::try_from(thrown).ok()).unwrap_or_default()
}
