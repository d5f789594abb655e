//! A consistent world has no finding; each thing that is doctored has its own, and only that.

use std::collections::HashSet;

use chrono::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::domain::identifiers::BackupId;

fn at(hours: i64) -> DateTime<Utc> {
    Utc.timestamp_opt(1_700_000_000, 0).unwrap() + Duration::hours(hours)
}

/// All is seen at this hour.
const NOW: i64 = 1000;

fn grace() -> Grace {
    Grace::with_deadline(Duration::hours(24))
}

fn place(number: i64) -> Place {
    Place { store: "main".into(), object_prefix: "backups/g".into(), backup_id: format!("g-{number}") }
}

fn row(number: i64, status: BackupStatus) -> BackupRow {
    let is_good = matches!(status, BackupStatus::Done | BackupStatus::Deleted);
    BackupRow {
        id: BackupId(number),
        place: place(number),
        status,
        was_done: is_good,
        is_going: false,
        has_remains: false,
        size: if is_good { 30 } else { 0 },
        checksum: is_good.then(|| "c0ffee".to_owned()),
        since: at(0),
        removal_error: None,
    }
}

fn whole(number: i64) -> Folder {
    let parts = vec![("data.00001".to_owned(), 10), ("data.00002".to_owned(), 20)];
    let mut objects = parts.clone();
    objects.extend([("metadata.json".to_owned(), 5), ("owner".to_owned(), 3)]);
    let backup_id = place(number).backup_id;
    let described =
        Description { instance: "i".into(), backup_id, size: 30, checksum: "c0ffee".into(), parts };
    Folder { place: place(number), objects, newest_at: at(0), content: Content::Described(described) }
}

fn partial(number: i64) -> Folder {
    let objects = vec![("data.00001".to_owned(), 10), ("owner".to_owned(), 3)];
    Folder { objects, content: Content::Partial, ..whole(number) }
}

fn entry(number: i64, is_running: bool) -> JournalEntry {
    JournalEntry {
        kind: OperationKind::Backup,
        name: place(number).backup_id,
        epoch: 1,
        is_running,
        finished_at: (!is_running).then(|| at(0)),
        is_cancelled: false,
        is_cleanup_pending: false,
    }
}

fn operation(number: i64, status: &str) -> OperationRow {
    OperationRow {
        kind: OperationKind::Backup,
        name: place(number).backup_id,
        is_own: true,
        status: status.into(),
        epoch: 1,
        since: at(0),
    }
}

/// One backup of a status, as all three ledgers would have it.
fn add(facts: &mut Facts, number: i64, shape: u8) {
    use BackupStatus::{Deleted, Done, Failed, Queued, Running};
    let (status, word, folder, state) = match shape {
        0 => (Done, "done", Some(whole(number)), Some(false)),
        1 => (Failed, "failed", None, Some(false)),
        2 => (Running, "running", Some(partial(number)), Some(true)),
        3 => (Queued, "queued", None, None),
        4 => (Deleted, "deleted", Some(whole(number)), Some(false)),
        // Removed: only the agent remembers.
        5 => {
            facts.journal.get_or_insert_default().push(entry(number, false));
            return;
        }
        // Accepted, and not yet recorded as running.
        6 => (Queued, "queued", Some(partial(number)), Some(true)),
        // Finished at the agent, and not yet recorded as done.
        7 => (Running, "running", Some(whole(number)), Some(false)),
        // Its removal is on its way.
        _ => (Deleted, "deleted", None, Some(false)),
    };
    let is_going = shape == 8;
    facts.rows.push(BackupRow { is_going, ..row(number, status) });
    facts.folders.extend(folder);
    facts.operations.push(operation(number, word));
    facts.journal.get_or_insert_default().extend(state.map(|is_running| entry(number, is_running)));
}

fn world(shapes: &[u8]) -> Facts {
    let mut facts = Facts { journal: Some(Vec::new()), ..Facts::default() };
    for (number, shape) in (1..).zip(shapes) {
        add(&mut facts, number, *shape);
    }
    facts
}

fn found(facts: &Facts) -> Vec<(FindingKind, String)> {
    let findings = compare(facts, at(NOW), grace());
    findings.into_iter().map(|finding| (finding.kind, finding.subject)).collect()
}

const DOCTORS: u8 = 15;

/// Makes one thing about backup 900 wrong, and says what is to be found.
fn doctor(facts: &mut Facts, what: u8) -> (FindingKind, &'static str) {
    use FindingKind as Kind;
    const NUMBER: i64 = 900;
    const ROW: &str = "backup 900 (g-900)";
    const FOLDER: &str = "main:backups/g/g-900";
    const OPERATION: &str = "backup g-900";
    let good = |facts: &mut Facts| add(facts, NUMBER, 0);
    match what {
        0 => facts.folders.push(whole(NUMBER)),
        1 => facts.folders.push(partial(NUMBER)),
        2 => facts.rows.push(row(NUMBER, BackupStatus::Done)),
        _ if what <= 6 => {
            good(facts);
            let folder = facts.folders.last_mut().unwrap();
            match what {
                3 => drop(folder.objects.remove(1)),
                4 => folder.content = Content::Partial,
                5 => folder.objects[0].1 = 11,
                _ => facts.rows.last_mut().unwrap().checksum = Some("decaf".into()),
            }
        }
        7 => {
            facts.rows.push(row(NUMBER, BackupStatus::Failed));
            facts.folders.push(partial(NUMBER));
        }
        8 => {
            facts.rows.push(BackupRow { has_remains: true, ..row(NUMBER, BackupStatus::Failed) });
            facts.folders.push(partial(NUMBER));
        }
        9 => facts.journal.get_or_insert_default().push(entry(NUMBER, true)),
        10 => {
            facts.journal.get_or_insert_default().push(entry(NUMBER, true));
            facts.operations.push(operation(NUMBER, "failed"));
        }
        11 => facts.operations.push(operation(NUMBER, "running")),
        12 => {
            let pending = JournalEntry { is_cleanup_pending: true, ..entry(NUMBER, false) };
            facts.journal.get_or_insert_default().push(pending);
        }
        13 => {
            good(facts);
            facts.journal.as_mut().unwrap().last_mut().unwrap().epoch = 2;
        }
        _ => {
            let restore = JournalEntry { kind: OperationKind::Restore, ..entry(NUMBER, false) };
            facts.journal.get_or_insert_default().push(restore);
            return (Kind::OperationUnknownToDatabase, "restore g-900");
        }
    }
    match what {
        0 | 1 => (Kind::ObjectWithoutRow, FOLDER),
        2..=4 => (Kind::RowWithoutObject, ROW),
        5 => (Kind::SizeMismatch, ROW),
        6 => (Kind::ChecksumMismatch, ROW),
        7 => (Kind::ObjectsOfFailedBackup, ROW),
        8 => (Kind::CleanUpOverdue, ROW),
        9 => (Kind::OperationUnknownToDatabase, OPERATION),
        10 => (Kind::OperationEndedInDatabase, OPERATION),
        11 => (Kind::OperationUnknownToAgent, OPERATION),
        12 => (Kind::CleanUpPendingAtAgent, OPERATION),
        _ => (Kind::EpochAheadAtAgent, OPERATION),
    }
}

proptest! {
    #[test]
    fn a_consistent_world_has_no_finding_and_each_doctored_difference_exactly_its_own(
        shapes in prop::collection::vec(0_u8..9, 0..12),
        what in 0..DOCTORS,
    ) {
        let mut facts = world(&shapes);
        prop_assert_eq!(found(&facts), []);
        let (kind, subject) = doctor(&mut facts, what);
        prop_assert_eq!(found(&facts), [(kind, subject.to_owned())]);
    }

    /// Whatever the ledgers say: what a repair would remove is never a whole backup, nor anything young.
    #[test]
    fn no_repair_removes_a_whole_backup(
        shapes in prop::collection::vec(0_u8..9, 0..6),
        what in 0..DOCTORS,
        age in 0_i64..40,
        has_journal in any::<bool>(),
    ) {
        let mut facts = world(&shapes);
        doctor(&mut facts, what);
        facts.folders.iter_mut().for_each(|folder| folder.newest_at = at(NOW - age));
        if !has_journal {
            facts.journal = None;
        }
        for finding in compare(&facts, at(NOW), grace()) {
            if let Repair::RemoveRemains(place) = &finding.repair {
                let folder = facts.folders.iter().find(|folder| folder.place == *place).unwrap();
                prop_assert_eq!(&folder.content, &Content::Partial);
                prop_assert!(age > 25 && has_journal);
            }
        }
    }
}

#[test]
fn every_doctored_difference_is_another_kind_or_subject_and_nearly_every_kind_is_there() {
    let kinds: HashSet<FindingKind> = (0..DOCTORS).map(|what| doctor(&mut world(&[]), what).0).collect();
    let without: Vec<_> = FindingKind::ALL.iter().filter(|kind| !kinds.contains(kind)).collect();
    assert_eq!(without, [&FindingKind::UnknownFolder]);
}

#[test]
fn what_is_on_its_way_is_no_difference() {
    let young = |folder: Folder| Folder { newest_at: at(NOW), ..folder };
    let mut facts = world(&[]);
    facts.folders = vec![young(partial(1)), young(whole(2))];
    facts.operations = vec![OperationRow { since: at(NOW), ..operation(3, "running") }];
    facts.operations.push(OperationRow { since: at(NOW), ..operation(4, "failed") });
    facts.journal = Some(vec![entry(4, true)]);
    assert_eq!(found(&facts), []);
}

#[test]
fn nothing_is_said_about_what_could_not_be_read() {
    let mut facts = world(&[0, 2]);
    facts.folders.clear();
    facts.unread_stores.insert("main".into());
    facts.journal = None;
    assert_eq!(found(&facts), []);
}

#[test]
fn an_agents_operation_of_another_instance_is_compared_there() {
    let mut facts = world(&[]);
    facts.journal = Some(vec![entry(1, true)]);
    facts.operations = vec![OperationRow { is_own: false, ..operation(1, "done") }];
    assert_eq!(found(&facts), []);
}

#[test]
fn each_difference_has_the_repair_that_loses_nothing() {
    let repair = |facts: &Facts| compare(facts, at(NOW), grace()).remove(0).repair;
    let alone = |folder: Folder| Facts { folders: vec![folder], ..world(&[]) };
    assert_eq!(repair(&alone(whole(1))), Repair::Adopt(place(1)));
    assert_eq!(repair(&alone(partial(1))), Repair::RemoveRemains(place(1)));
    let recent = Folder { newest_at: at(NOW - 2), ..partial(1) };
    assert_eq!(repair(&alone(recent)), Repair::RemoveRemainsLater);
    let unasked = Facts { journal: None, ..alone(partial(1)) };
    assert_eq!(repair(&unasked), Repair::RemoveRemainsLater, "the agent may be working on it");
    for content in [Content::Foreign, Content::Unreadable("?".into())] {
        assert_eq!(repair(&alone(Folder { content, ..whole(1) })), Repair::ByHand);
    }
    let mut running = world(&[]);
    running.journal = Some(vec![entry(1, true)]);
    assert_eq!(repair(&running), Repair::StopOperation(OperationKind::Backup, "g-1".into()));
    running.folders = vec![whole(1)];
    assert_eq!(repair(&running), Repair::ByHand, "to stop it would remove a whole backup");
    let failed = |folder| Facts { rows: vec![row(1, BackupStatus::Failed)], ..alone(folder) };
    assert_eq!(repair(&failed(partial(1))), Repair::CleanUp(BackupId(1)));
    assert_eq!(repair(&failed(whole(1))), Repair::ByHand);
}

#[test]
fn a_folder_of_no_instance_is_told_by_its_age_and_content() {
    let of = |folder: Folder| of_no_instance(&folder, at(NOW), grace());
    assert!(of(Folder { newest_at: at(NOW), ..whole(1) }).is_none());
    let finding = of(whole(1)).unwrap();
    assert_eq!((finding.kind, finding.repair), (FindingKind::UnknownFolder, Repair::Adopt(place(1))));
    let aged = |age| of(Folder { newest_at: at(NOW - age), ..partial(1) }).unwrap().repair;
    assert_eq!(aged(7 * 24), Repair::RemoveRemainsLater, "nobody can be asked, so there is time");
    assert_eq!(aged(7 * 24 + 1), Repair::RemoveRemains(place(1)));
    let month = Grace::with_deadline(Duration::days(30));
    let patient = of_no_instance(&Folder { newest_at: at(NOW - 20 * 24), ..partial(1) }, at(NOW), month);
    assert_eq!(patient.unwrap().repair, Repair::RemoveRemainsLater);
}

#[test]
fn every_kind_and_repair_has_a_word_of_its_own() {
    let words: HashSet<&str> = FindingKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(words.len(), FindingKind::ALL.len());
    let repairs = [
        Repair::ByHand,
        Repair::Adopt(place(1)),
        Repair::RemoveRemains(place(1)),
        Repair::CleanUp(BackupId(1)),
        Repair::StopOperation(OperationKind::Backup, "x".into()),
        Repair::EnqueueJobs,
    ];
    assert!(repairs.iter().all(|repair| Repair::WORDS.contains(&repair.as_str())));
}
