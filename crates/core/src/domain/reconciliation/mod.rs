//! The comparison of the three ledgers: the database, the stores and the agents' journals. Pure: facts and a moment in,
//! differences out. Gathering the facts in an order in which a living system does not look broken is the business of
//! [`reconcile`](crate::actions::reconcile); so is looking twice.

mod facts;
mod finding;
mod run;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Duration, Utc};

pub use facts::{BackupRow, Content, Description, Facts, Folder, JournalEntry, OperationRow};
pub use finding::{Finding, FindingKind, Place, Repair};
pub use run::{Class, Phase, Reconciliation, Remark, Scope};

use crate::domain::backup::BackupStatus;
use crate::domain::operation::OperationKind;

/// How long things may look wrong because they are on their way.
#[derive(Debug, Clone, Copy)]
pub struct Grace {
    /// Younger objects belong to something that is going on.
    pub objects: Duration,
    /// Operations whose status changed later may be seen by one side first.
    pub operations: Duration,
    /// Longer than any agent works on one operation: its deadline, and some more.
    pub work: Duration,
    /// What is to be removed is tried again every hour; later than that it is overdue.
    pub removal: Duration,
    /// How long rows of ended restores are kept; none: for ever. Agents may remember restores for longer.
    pub restores: Option<Duration>,
}

impl Grace {
    /// The usual ones, with the operator's deadline of operations.
    #[must_use]
    pub fn with_deadline(deadline: Duration) -> Self {
        let objects = Duration::hours(1);
        Self {
            objects,
            operations: Duration::minutes(10),
            work: deadline + objects,
            removal: Duration::hours(25),
            restores: None,
        }
    }

    /// The same for folders of no known instance. There is no agent to be asked, and whoever writes there may not know the
    /// deadline of this manager.
    #[must_use]
    pub fn of_no_instance(self) -> Self {
        Self { work: self.work.max(Duration::days(7)), ..self }
    }
}

/// Says how the three ledgers differ about one instance; nothing when they agree. Proven by
/// `a_consistent_world_has_no_finding_and_each_doctored_difference_exactly_its_own`.
#[must_use]
pub fn compare(facts: &Facts, now: DateTime<Utc>, grace: Grace) -> Vec<Finding> {
    let look = Look { facts, now, grace };
    let rows = facts.rows.iter().flat_map(|row| look.row(row));
    let folders = facts.folders.iter().filter_map(|folder| look.folder(folder));
    let journal = facts.journal.iter().flatten().flat_map(|entry| look.entry(entry));
    let running = facts.operations.iter().filter_map(|operation| look.running(operation));
    rows.chain(folders).chain(journal).chain(running).collect()
}

/// Says what a folder is that belongs to no instance of the database.
#[must_use]
pub fn of_no_instance(folder: &Folder, now: DateTime<Utc>, grace: Grace) -> Option<Finding> {
    // Nobody can be asked whether somebody works on it; its age alone tells.
    let facts = Facts { is_deleted: true, ..Facts::default() };
    let finding = Look { facts: &facts, now, grace: grace.of_no_instance() }.folder(folder)?;
    let details = format!("no instance of the database has this folder; {}", finding.details);
    Some(Finding { kind: FindingKind::UnknownFolder, details, ..finding })
}

struct Look<'a> {
    facts: &'a Facts,
    now: DateTime<Utc>,
    grace: Grace,
}

impl Look<'_> {
    fn is_older(&self, than: Duration, at: DateTime<Utc>) -> bool {
        self.now - at > than
    }

    /// What the store lacks of a backup, or has of one that is gone.
    fn row(&self, row: &BackupRow) -> Vec<Finding> {
        if self.facts.unread_stores.contains(&row.place.store) {
            return Vec::new();
        }
        let folder = self.facts.folders.iter().find(|folder| folder.place == row.place);
        match (row.status, folder) {
            (BackupStatus::Queued | BackupStatus::Running, _) => Vec::new(),
            _ if row.was_done && !row.is_going => self.good(row, folder),
            (_, None) => Vec::new(),
            (_, Some(folder)) => self.leftover(row, folder).into_iter().collect(),
        }
    }

    fn good(&self, row: &BackupRow, folder: Option<&Folder>) -> Vec<Finding> {
        let missing = |details: String| vec![lost(row, details)];
        let Some(folder) = folder else { return missing("nothing of it is in the store".to_owned()) };
        let described = match &folder.content {
            Content::Described(described) => described,
            Content::Unreadable(why) => return missing(format!("its metadata.json cannot be used: {why}")),
            Content::Partial | Content::Foreign => return missing("its metadata.json is missing".to_owned()),
        };
        let absent = described.parts.iter().filter(|(name, _)| folder.size_of(name).is_none());
        let absent: Vec<&str> = absent.map(|(name, _)| name.as_str()).collect();
        if !absent.is_empty() {
            return missing(format!("not in the store: {}", some(&absent)));
        }
        let sizes = wrong_sizes(row, folder, described);
        let sums = wrong_sums(row, described);
        sizes
            .map(|details| differs(row, FindingKind::SizeMismatch, details))
            .into_iter()
            .chain(sums.map(|details| differs(row, FindingKind::ChecksumMismatch, details)))
            .collect()
    }

    /// Objects of a backup that failed or is to go.
    fn leftover(&self, row: &BackupRow, folder: &Folder) -> Option<Finding> {
        let subject = subject(row);
        if row.has_remains || row.is_going {
            let why = row.removal_error.as_deref().unwrap_or("no removal has been tried lately");
            return self.is_older(self.grace.removal, row.since).then(|| Finding {
                kind: FindingKind::CleanUpOverdue,
                subject,
                details: format!("{} is to be removed and is still there: {why}", folder.place),
                repair: Repair::ByHand,
                proposal: "see why the store or the agent refuses; it is tried again every hour".to_owned(),
            });
        }
        let is_failed = row.status == BackupStatus::Failed;
        let is_old = self.is_older(self.grace.objects, folder.newest_at.max(row.since));
        (is_failed && is_old).then(|| {
            let (what, repair, proposal) = match folder.content {
                Content::Partial => (
                    "part of a backup",
                    Repair::CleanUp(row.id),
                    "remove what it has left (--repair)".to_owned(),
                ),
                _ => {
                    let proposal = format!("if it is not needed: backupctl backups delete GUID {}", row.id);
                    ("a whole backup, it seems", Repair::ByHand, proposal)
                }
            };
            let details = format!("it has failed, and {} holds {what}", folder.place);
            Finding { kind: FindingKind::ObjectsOfFailedBackup, subject, details, repair, proposal }
        })
    }

    /// Objects without a row.
    fn folder(&self, folder: &Folder) -> Option<Finding> {
        let place = &folder.place;
        let is_known = self.facts.rows.iter().any(|row| row.place == *place);
        let is_at_work = self.facts.journal.iter().flatten().any(|entry| {
            let is_it = entry.kind == OperationKind::Backup && entry.name == place.backup_id;
            is_it && (entry.is_running || entry.is_cleanup_pending)
        });
        if is_known || is_at_work || !self.is_older(self.grace.objects, folder.newest_at) {
            return None;
        }
        let (details, repair, proposal) = match &folder.content {
            Content::Described(described) => (
                format!("a whole backup of the instance {}", described.instance),
                Repair::Adopt(place.clone()),
                "take it into the catalogue: backupctl catalogue rebuild".to_owned(),
            ),
            Content::Unreadable(why) => (
                format!("its metadata.json cannot be used: {why}"),
                Repair::ByHand,
                "look at it; it is never removed automatically".to_owned(),
            ),
            Content::Foreign => (
                "nothing that a backup agent would have written".to_owned(),
                Repair::ByHand,
                "look at it; it is never removed automatically".to_owned(),
            ),
            Content::Partial if self.is_abandoned(folder) => (
                format!("{} without a metadata.json: no backup", objects(folder)),
                Repair::RemoveRemains(place.clone()),
                "remove the remains (--repair)".to_owned(),
            ),
            Content::Partial => (
                format!("{} without a metadata.json: no backup", objects(folder)),
                Repair::RemoveRemainsLater,
                "remove the remains, once no agent can be working on them any more".to_owned(),
            ),
        };
        Some(Finding {
            kind: FindingKind::ObjectWithoutRow,
            subject: place.to_string(),
            details,
            repair,
            proposal,
        })
    }

    /// Old enough that no agent still writes it, and the agent, if there is one, has said so.
    fn is_abandoned(&self, folder: &Folder) -> bool {
        let nobody_works = self.facts.is_deleted || self.facts.journal.is_some();
        nobody_works && self.is_older(self.grace.work, folder.newest_at)
    }

    /// What an agent knows and the database does not, or knows otherwise.
    fn entry(&self, entry: &JournalEntry) -> Vec<Finding> {
        let known =
            self.facts.operations.iter().find(|row| (row.kind, &row.name) == (entry.kind, &entry.name));
        if known.is_some_and(|row| !row.is_own) {
            return Vec::new();
        }
        let found = |kind, details: String, repair, proposal: &str| Finding {
            kind,
            subject: format!("{} {}", entry.kind.as_str(), entry.name),
            details,
            repair,
            proposal: proposal.to_owned(),
        };
        let mut findings = Vec::new();
        match known {
            None if entry.is_running => {
                let (repair, proposal) = self.stop(entry);
                let details = "the agent works on it, and the database does not know it".to_owned();
                findings.push(found(FindingKind::OperationUnknownToDatabase, details, repair, proposal));
            }
            // The row of a backup goes with it; that of a restore stays for long.
            None if entry.kind == OperationKind::Restore
                && !entry.is_cancelled
                && !self.is_forgotten(entry) =>
            {
                let details = "the agent remembers it, and the database does not know it".to_owned();
                let kind = FindingKind::OperationUnknownToDatabase;
                findings.push(found(kind, details, Repair::ByHand, SET_BACK));
            }
            Some(row)
                if entry.is_running && has_ended(row) && self.is_older(self.grace.operations, row.since) =>
            {
                let (repair, proposal) =
                    if row.status == "failed" { self.stop(entry) } else { (Repair::ByHand, ASK_THE_AGENT) };
                let details = format!("the agent works on it; for the database it is {}", row.status);
                findings.push(found(FindingKind::OperationEndedInDatabase, details, repair, proposal));
            }
            _ => {}
        }
        if let Some(row) = known.filter(|row| entry.epoch > row.epoch) {
            let details =
                format!("the agent has seen epoch {}, the database knows {}", entry.epoch, row.epoch);
            findings.push(found(FindingKind::EpochAheadAtAgent, details, Repair::ByHand, SET_BACK));
        }
        let has_ended_long_ago = entry.finished_at.is_some_and(|at| self.is_older(self.grace.operations, at));
        if entry.is_cleanup_pending && has_ended_long_ago {
            let details = "the agent could not remove yet what it had left in the store".to_owned();
            let proposal = "the agent tries again every 30 seconds; its log says what is in the way";
            findings.push(found(FindingKind::CleanUpPendingAtAgent, details, Repair::ByHand, proposal));
        }
        findings
    }

    /// It ended so long ago that its row may have been pruned; a day less, because the two clocks may differ.
    fn is_forgotten(&self, entry: &JournalEntry) -> bool {
        let kept = self.grace.restores.map(|kept| kept - Duration::days(1));
        kept.zip(entry.finished_at).is_some_and(|(kept, at)| self.is_older(kept, at))
    }

    /// Stopping a backup makes its agent remove the objects, so one that is whole is not stopped.
    fn stop(&self, entry: &JournalEntry) -> (Repair, &'static str) {
        let is_whole = |folder: &Folder| {
            folder.place.backup_id == entry.name && !matches!(folder.content, Content::Partial)
        };
        let may_be_whole = entry.kind == OperationKind::Backup && self.facts.folders.iter().any(is_whole);
        match may_be_whole {
            true => (Repair::ByHand, ASK_THE_AGENT),
            false => (
                Repair::StopOperation(entry.kind, entry.name.clone()),
                "tell the agent to stop it (--repair)",
            ),
        }
    }

    fn running(&self, row: &OperationRow) -> Option<Finding> {
        let journal = self.facts.journal.as_ref()?;
        let is_there = journal.iter().any(|entry| (entry.kind, &entry.name) == (row.kind, &row.name));
        let is_lost = row.is_own && row.status == "running" && !is_there;
        (is_lost && self.is_older(self.grace.operations, row.since)).then(|| Finding {
            kind: FindingKind::OperationUnknownToAgent,
            subject: format!("{} {}", row.kind.as_str(), row.name),
            details: "it runs for the database, and the agent has never heard of it".to_owned(),
            repair: Repair::EnqueueJobs,
            proposal: "its watcher ends it as agent_lost_operation; --repair makes sure that there is one"
                .to_owned(),
        })
    }
}

const SET_BACK: &str = "the database may have been set back to an older state: see what else it lacks";
const ASK_THE_AGENT: &str = "it should be over: look at the agent and its log";

fn has_ended(row: &OperationRow) -> bool {
    !matches!(row.status.as_str(), "queued" | "running")
}

fn subject(row: &BackupRow) -> String {
    format!("backup {} ({})", row.id, row.place.backup_id)
}

fn lost(row: &BackupRow, details: String) -> Finding {
    let proposal = format!(
        "bring the objects back (versions or a replica of the bucket) to {}, or give the backup up: backupctl backups delete GUID {}",
        row.place, row.id
    );
    Finding {
        kind: FindingKind::RowWithoutObject,
        subject: subject(row),
        details,
        repair: Repair::ByHand,
        proposal,
    }
}

fn differs(row: &BackupRow, kind: FindingKind, details: String) -> Finding {
    Finding { kind, ..lost(row, details) }
}

fn wrong_sizes(row: &BackupRow, folder: &Folder, described: &Description) -> Option<String> {
    for (name, size) in &described.parts {
        let found = folder.size_of(name).unwrap_or_default();
        if found != *size {
            return Some(format!("{name} has {found} bytes in the store, {size} in its metadata.json"));
        }
    }
    (described.size != row.size)
        .then(|| format!("{} bytes in its metadata.json, {} in the database", described.size, row.size))
}

fn wrong_sums(row: &BackupRow, described: &Description) -> Option<String> {
    if described.backup_id != row.place.backup_id {
        return Some(format!("its metadata.json is that of {}", described.backup_id));
    }
    let known = row.checksum.as_deref().unwrap_or("none");
    (described.checksum != known)
        .then(|| format!("{} in its metadata.json, {known} in the database", described.checksum))
}

fn objects(folder: &Folder) -> String {
    let bytes: u64 = folder.objects.iter().fold(0, |sum, (_, size)| sum.saturating_add(*size));
    match folder.objects.len() {
        1 => format!("1 object ({bytes} bytes)"),
        count => format!("{count} objects ({bytes} bytes)"),
    }
}

/// The first of many names.
fn some(names: &[&str]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<&str> = names.iter().copied().take(SHOWN).collect();
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => shown.join(", "),
        Some(more) => format!("{} and {more} more", shown.join(", ")),
    }
}
