//! The fake agent's operations: started once, advanced by being asked.

use std::path::{Path, PathBuf};

use backup_protocol::{
    Check, CheckOutcome, ListedKind, ListedOperation, NEVER_BEGUN, OperationError, OperationState,
    OperationStatus, RehearsalReport, StartBackup, StartRehearsal, StartRestore,
};
use chrono::{DateTime, Utc};

use super::objects::{self, Stored};
use super::plan::{End, Lie, Plan};

/// What was asked for.
#[derive(Debug, Clone)]
pub(super) enum Start {
    Backup(StartBackup),
    Restore(StartRestore),
    Rehearsal(StartRehearsal),
}

impl Start {
    pub(super) fn epoch(&self) -> i64 {
        match self {
            Self::Backup(start) => start.epoch,
            Self::Restore(start) => start.epoch,
            Self::Rehearsal(start) => start.epoch,
        }
    }
}

impl Start {
    fn kind(&self) -> ListedKind {
        match self {
            Self::Backup(_) => ListedKind::Backup,
            Self::Restore(_) => ListedKind::Restore,
            Self::Rehearsal(_) => ListedKind::Rehearsal,
        }
    }

    fn deadline(&self) -> DateTime<Utc> {
        match self {
            Self::Backup(start) => start.deadline,
            Self::Restore(start) => start.deadline,
            Self::Rehearsal(start) => start.deadline,
        }
    }
}

#[derive(Debug)]
pub(super) struct Operation {
    pub(super) kind: ListedKind,
    /// None: cancelled before it was ever started.
    pub(super) start: Option<Start>,
    plan: Plan,
    asked: u32,
    pub(super) status: OperationStatus,
    /// What the journal says instead of the truth.
    pub(super) listed_as: Option<ListedOperation>,
}

/// An operation as a test sees it.
#[derive(Debug, Clone)]
pub struct OperationView {
    /// The backup id or restore id.
    pub id: String,
    /// True for a backup, false for a restore or a rehearsal.
    pub is_backup: bool,
    /// True for a rehearsal.
    pub is_rehearsal: bool,
    /// Where it stands.
    pub state: OperationState,
    /// The newest epoch it was started with.
    pub epoch: i64,
    /// The key it was started with.
    pub key: String,
    /// Below it the objects are, without the backup id.
    pub object_prefix: String,
}

#[derive(Debug)]
pub(super) struct Operations {
    pub(super) plan: Plan,
    store: PathBuf,
    pub(super) all: Vec<Operation>,
}

impl Operations {
    pub(super) fn new(store: &Path) -> Self {
        Self { plan: Plan::default(), store: store.to_owned(), all: Vec::new() }
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
    }

    pub(super) fn replan(&mut self, id: &str, plan: Plan) {
        for operation in self.all.iter_mut().filter(|operation| operation.status.id == id) {
            (operation.plan, operation.asked) = (plan.clone(), 0);
        }
    }

    /// What is in the way of a new one. A rehearsal is in the way of another one only.
    pub(super) fn in_the_way(&self, start: &Start) -> Option<&str> {
        let is_rehearsal = |start: &Start| matches!(start, Start::Rehearsal(_));
        let running = |operation: &&Operation| {
            operation.status.state == OperationState::Running
                && (is_rehearsal(start) || !operation.start.as_ref().is_some_and(is_rehearsal))
        };
        self.all.iter().find(running).map(|operation| operation.status.id.as_str())
    }

    pub(super) fn status(&self, kind: ListedKind, id: &str) -> Option<&OperationStatus> {
        self.all.iter().find(|operation| operation.is(kind, id)).map(|operation| &operation.status)
    }

    /// Remembers a newer epoch of a known operation.
    pub(super) fn see_epoch(&mut self, kind: ListedKind, id: &str, epoch: i64) {
        for operation in self.all.iter_mut().filter(|operation| operation.is(kind, id)) {
            operation.status.epoch = operation.status.epoch.max(epoch);
        }
    }

    pub(super) fn start(&mut self, id: &str, start: Start) -> OperationStatus {
        let mut status = self.fresh(id, start.epoch());
        if let Start::Backup(start) = &start {
            status.filter_plugins = objects::filters(start);
        }
        self.all.push(Operation {
            kind: start.kind(),
            start: Some(start),
            plan: self.plan.clone(),
            asked: 0,
            status: status.clone(),
            listed_as: None,
        });
        status
    }

    fn fresh(&self, id: &str, epoch: i64) -> OperationStatus {
        OperationStatus {
            id: id.to_owned(),
            epoch,
            state: OperationState::Running,
            bytes_read: 0,
            bytes_stored: 0,
            total_bytes_estimate: Some(self.plan.size * 3),
            started_at: Utc::now(),
            finished_at: None,
            parts: Vec::new(),
            checksum: None,
            filter_plugins: vec!["zstd".into(), "age".into()],
            error: None,
            rehearsal: None,
        }
    }

    /// Answers a question, which brings a running operation one step on.
    pub(super) fn ask(&mut self, kind: ListedKind, id: &str) -> Option<OperationStatus> {
        let store = self.store.clone();
        let refused = if kind == ListedKind::Restore { self.refusal_to_restore(id) } else { None };
        let operation = self.all.iter_mut().find(|operation| operation.is(kind, id))?;
        if operation.status.state == OperationState::Running {
            match refused {
                Some((code, message)) => operation.fail(code, message),
                None => operation.advance(&store),
            }
        }
        Some(operation.status.clone())
    }

    /// Why a restore cannot succeed, as far as this agent remembers the backup.
    fn refusal_to_restore(&self, id: &str) -> Option<(&'static str, &'static str)> {
        let asked = self.all.iter().find(|operation| operation.is(ListedKind::Restore, id))?;
        let Some(Start::Restore(restore)) = &asked.start else { return None };
        let made = self.all.iter().find(|operation| operation.is(ListedKind::Backup, &restore.backup_id))?;
        let Some(Start::Backup(backup)) = &made.start else { return None };
        if made.status.checksum.as_ref().is_some_and(|checksum| *checksum != restore.checksum) {
            return Some(("checksum_mismatch", "the stored bytes are others"));
        }
        (backup.encryption.key != restore.encryption.key)
            .then_some(("decryption_failed", "the key does not open the backup"))
    }

    /// Cancels what runs. What was never heard of is remembered as cancelled, so that a late start starts nothing.
    pub(super) fn cancel(&mut self, kind: ListedKind, id: &str, epoch: i64) -> OperationStatus {
        if self.status(kind, id).is_none() {
            let mut status = self.fresh(id, epoch);
            let message = "it was stopped before it had begun".to_owned();
            status.error = Some(OperationError { code: NEVER_BEGUN.to_owned(), message });
            self.all.push(Operation {
                kind,
                start: None,
                plan: self.plan.clone(),
                asked: 0,
                status,
                listed_as: None,
            });
        }
        let known = self.all.iter_mut().find(|operation| operation.is(kind, id));
        let operation = known.expect("it was just made sure of");
        if operation.status.state == OperationState::Running {
            operation.end(OperationState::Cancelled);
            if let Some(Start::Backup(start)) = &operation.start {
                objects::remove(&self.store, id, start);
            }
        }
        operation.status.clone()
    }

    pub(super) fn views(&self) -> Vec<OperationView> {
        self.all.iter().filter_map(Operation::view).collect()
    }
}

impl Operation {
    /// Backups and restores have ids of their own.
    fn is(&self, kind: ListedKind, id: &str) -> bool {
        self.kind == kind && self.status.id == id
    }

    fn advance(&mut self, store: &Path) {
        self.asked += 1;
        let total = self.plan.size * 3;
        if self.start.as_ref().is_some_and(|start| start.deadline() <= Utc::now()) {
            return self.fail("timed_out", "the deadline passed");
        }
        let Some(polls) = self.plan.polls.filter(|polls| self.asked > *polls) else {
            let share = self.plan.polls.map_or(10, |polls| u64::from(polls) + 1);
            self.status.bytes_read = total * u64::from(self.asked).min(share - 1) / share;
            self.status.bytes_stored = self.status.bytes_read / 3;
            return;
        };
        debug_assert!(self.asked > polls);
        match (self.plan.end.clone(), self.start.clone()) {
            (End::Failed { code, message }, _) => self.fail(&code, &message),
            (_, None) => self.end(OperationState::Cancelled),
            (_, Some(Start::Backup(start))) => self.finish_backup(store, &start, total),
            (_, Some(Start::Restore(start)))
                if objects::exist(store, &start.object_prefix, &start.backup_id) =>
            {
                (self.status.bytes_read, self.status.bytes_stored) = (self.plan.size, total);
                self.end(OperationState::Done);
            }
            (end, Some(Start::Rehearsal(start)))
                if objects::exist(store, &start.object_prefix, &start.backup_id) =>
            {
                (self.status.bytes_read, self.status.bytes_stored) = (self.plan.size, total);
                self.finish_rehearsal(end == End::FailedCheck);
            }
            (_, Some(Start::Restore(_) | Start::Rehearsal(_))) => {
                self.fail("store_error", "the backup is not in the store");
            }
        }
    }

    fn finish_backup(&mut self, store: &Path, start: &StartBackup, total: u64) {
        let lie = self.plan.lie();
        let Stored { parts, checksum } = objects::write(store, &self.status.id, start, self.plan.size, lie);
        self.status.checksum = Some(checksum).filter(|_| lie != Some(Lie::NoChecksum));
        self.status.parts = if lie == Some(Lie::Empty) { Vec::new() } else { parts };
        (self.status.bytes_read, self.status.bytes_stored) = (total, self.plan.size);
        self.end(OperationState::Done);
    }

    fn finish_rehearsal(&mut self, is_bad: bool) {
        let outcome = if is_bad { CheckOutcome::Failed } else { CheckOutcome::Passed };
        let check = Check { name: "tables".into(), outcome, detail: "7 rows of 1 table".into() };
        let report = RehearsalReport { duration_ms: 4200, restore_ms: 4000, checks: vec![check] };
        self.status.rehearsal = Some(Box::new(report));
        if is_bad {
            self.fail("check_failed", "tables: 7 rows of 1 table");
        } else {
            self.end(OperationState::Done);
        }
    }

    fn fail(&mut self, code: &str, message: &str) {
        self.status.error = Some(OperationError { code: code.to_owned(), message: message.to_owned() });
        self.end(OperationState::Failed);
    }

    fn end(&mut self, state: OperationState) {
        self.status.state = state;
        self.status.finished_at = Some(Utc::now());
    }

    fn view(&self) -> Option<OperationView> {
        let start = self.start.as_ref()?;
        let (encryption, object_prefix) = match start {
            Start::Backup(start) => (&start.encryption, &start.object_prefix),
            Start::Restore(start) => (&start.encryption, &start.object_prefix),
            Start::Rehearsal(start) => (&start.encryption, &start.object_prefix),
        };
        Some(OperationView {
            id: self.status.id.clone(),
            is_backup: matches!(start, Start::Backup(_)),
            is_rehearsal: matches!(start, Start::Rehearsal(_)),
            state: self.status.state,
            epoch: self.status.epoch,
            key: encryption.key.clone(),
            object_prefix: object_prefix.clone(),
        })
    }
}
