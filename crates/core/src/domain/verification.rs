//! Which backups are rehearsed when it is time: the instances that have waited longest, of each the newest, the oldest and
//! one by chance, up to the budget. Pure, with the dice as an argument.

use chrono::{DateTime, Utc};

use super::backup::BackupStatus;
use super::identifiers::{BackupId, ServiceInstanceId};

/// An instance whose backups may be rehearsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which instance.
    pub instance: ServiceInstanceId,
    /// When a rehearsal of one of its backups was last asked for.
    pub last_tried_at: Option<DateTime<Utc>>,
    /// Its backups, in any order.
    pub backups: Vec<(BackupId, BackupStatus)>,
}

/// At most `budget` backups. An instance whose sample does not fit any more is left for the next time, when it comes first;
/// only a budget too small for any sample cuts one. `dice` throws a number below its argument, which is at least one.
pub fn sample(
    mut candidates: Vec<Candidate>,
    budget: usize,
    mut dice: impl FnMut(usize) -> usize,
) -> Vec<(ServiceInstanceId, BackupId)> {
    candidates.sort_by_key(|candidate| (candidate.last_tried_at, candidate.instance));
    let mut chosen = Vec::new();
    for candidate in candidates {
        let mut of_one = of_one(&candidate, &mut dice);
        if chosen.is_empty() {
            of_one.truncate(budget);
        }
        if chosen.len().saturating_add(of_one.len()) <= budget {
            chosen.extend(of_one.into_iter().map(|backup| (candidate.instance, backup)));
        }
    }
    chosen
}

/// The newest first: it is the one that would be restored.
fn of_one(candidate: &Candidate, dice: &mut impl FnMut(usize) -> usize) -> Vec<BackupId> {
    let done = candidate.backups.iter().filter(|(_, status)| *status == BackupStatus::Done);
    let mut done: Vec<BackupId> = done.map(|(id, _)| *id).collect();
    done.sort_unstable();
    let mut chosen: Vec<BackupId> = done.pop().into_iter().collect();
    if !done.is_empty() {
        chosen.push(done.remove(0));
    }
    if !done.is_empty() {
        chosen.extend(done.get(dice(done.len())).copied());
    }
    chosen
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use chrono::TimeZone;
    use proptest::prelude::*;

    use super::*;

    fn candidate(instance: i64, tried: Option<i64>, backups: &[(i64, BackupStatus)]) -> Candidate {
        Candidate {
            instance: ServiceInstanceId(instance),
            last_tried_at: tried.map(|second| Utc.timestamp_opt(second, 0).unwrap()),
            backups: backups.iter().map(|(id, status)| (BackupId(*id), *status)).collect(),
        }
    }

    fn ids(chosen: &[(ServiceInstanceId, BackupId)]) -> Vec<i64> {
        chosen.iter().map(|(_, id)| id.0).collect()
    }

    #[test]
    fn the_longest_waiting_instance_comes_first_with_newest_oldest_and_one_by_chance() {
        use BackupStatus::{Deleted, Done, Failed, Running};
        let candidates = vec![
            candidate(1, Some(50), &[(1, Done)]),
            candidate(
                2,
                None,
                &[(2, Deleted), (3, Done), (9, Running), (7, Done), (5, Done), (4, Done), (8, Failed)],
            ),
            candidate(3, Some(10), &[(6, Done), (10, Done)]),
        ];
        assert_eq!(ids(&sample(candidates.clone(), 9, |sides| sides - 1)), [7, 3, 5, 10, 6, 1]);
        assert_eq!(ids(&sample(candidates.clone(), 9, |_| 0)), [7, 3, 4, 10, 6, 1]);
        assert_eq!(
            ids(&sample(candidates.clone(), 4, |_| 0)),
            [7, 3, 4, 1],
            "a sample that does not fit waits"
        );
        assert_eq!(ids(&sample(candidates.clone(), 2, |_| 0)), [7, 3]);
        assert_eq!(ids(&sample(candidates, 0, |_| 0)), [0; 0]);
    }

    fn statuses() -> impl Strategy<Value = BackupStatus> {
        prop::sample::select(BackupStatus::ALL.to_vec())
    }

    fn fleets() -> impl Strategy<Value = Vec<Candidate>> {
        let one = (prop::option::of(0_i64..5), prop::collection::vec(statuses(), 0..6));
        prop::collection::vec(one, 0..8).prop_map(|fleet| {
            let numbered = fleet.into_iter().zip(1_i64..);
            let made = numbered.map(|((tried, statuses), instance)| {
                let backups: Vec<_> =
                    statuses.into_iter().zip(instance * 100..).map(|(status, id)| (id, status)).collect();
                candidate(instance, tried, &backups)
            });
            made.collect()
        })
    }

    proptest! {
        #[test]
        fn a_sample_keeps_to_the_budget_and_to_done_backups_and_has_newest_and_oldest(
            fleet in fleets(), budget in 0_usize..30, seed in 0_usize..1000,
        ) {
            let chosen = sample(fleet.clone(), budget, |sides| seed % sides);
            prop_assert!(chosen.len() <= budget);
            let distinct: BTreeSet<_> = chosen.iter().collect();
            prop_assert_eq!(distinct.len(), chosen.len());
            let done: BTreeMap<_, Vec<BackupId>> = fleet.iter().map(|candidate| {
                let done = candidate.backups.iter().filter(|(_, status)| *status == BackupStatus::Done);
                (candidate.instance, done.map(|(id, _)| *id).collect())
            }).collect();
            prop_assert!(chosen.iter().all(|(instance, id)| done[instance].contains(id)));
            for (instance, done) in done {
                let of_it: Vec<_> = chosen.iter().filter(|(of, _)| *of == instance).map(|(_, id)| *id).collect();
                let wanted = done.len().min(3);
                if of_it.is_empty() {
                    prop_assert!(chosen.len() + wanted > budget || wanted == 0);
                } else {
                    prop_assert!(of_it.len() == wanted || (of_it.len() == budget && chosen.len() == budget));
                    prop_assert_eq!(of_it.first(), done.iter().max());
                    let has_oldest = done.iter().min().is_some_and(|oldest| of_it.contains(oldest));
                    prop_assert!(has_oldest || budget < 2);
                }
            }
        }
    }
}
