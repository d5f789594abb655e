//! The operations of all agents: begun once, running for a while, ended with objects in the store or with a failure.

use std::path::Path;
use std::time::Duration;

use backup_protocol::{NEVER_BEGUN, OperationError, OperationState, OperationStatus, StartBackup};
use chrono::{DateTime, Utc};

use super::dice;
use super::objects::{self, Stored};

/// One backup, as its agent knows it.
#[derive(Debug)]
pub(super) struct Operation {
    epoch: i64,
    began: DateTime<Utc>,
    ends: DateTime<Utc>,
    /// Needed for the objects; gone when it has ended.
    start: Option<Box<StartBackup>>,
    end: Option<End>,
}

#[derive(Debug)]
enum End {
    Done(Stored),
    Failed(&'static str, &'static str),
    Cancelled(Option<&'static str>),
}

impl Operation {
    /// Begins it.
    pub(super) fn begin(id: &str, start: StartBackup, mean: Duration) -> Self {
        let began = Utc::now();
        let ends = began + dice::duration(id, mean);
        Self { epoch: start.epoch, began, ends, start: Some(Box::new(start)), end: None }
    }

    /// One that was stopped before anybody began it.
    pub(super) fn never(epoch: i64) -> Self {
        let now = Utc::now();
        Self { epoch, began: now, ends: now, start: None, end: Some(End::Cancelled(Some(NEVER_BEGUN))) }
    }

    /// The newest epoch it was asked for with.
    pub(super) fn epoch(&self) -> i64 {
        self.epoch
    }

    /// It was asked for again.
    pub(super) fn see(&mut self, epoch: i64) {
        self.epoch = self.epoch.max(epoch);
    }

    /// Ends it when its time has come.
    pub(super) fn go_on(&mut self, id: &str, store: &Path) {
        if Utc::now() < self.ends {
            return;
        }
        let Some(start) = self.start.take() else { return };
        self.end = Some(match dice::fails(id) {
            true => End::Failed("data_service_error", "the data service closed the connection"),
            false => match objects::write(store, id, &start, self.began) {
                Ok(stored) => End::Done(stored),
                Err(_) => End::Failed("store_error", "the objects cannot be written"),
            },
        });
    }

    /// Stops it, unless it has ended.
    pub(super) fn stop(&mut self) {
        if self.start.take().is_some() {
            self.ends = Utc::now();
            self.end = Some(End::Cancelled(None));
        }
    }

    /// What the agent says of it.
    pub(super) fn status(&self, id: &str) -> OperationStatus {
        let read = u64::try_from((Utc::now().min(self.ends) - self.began).num_milliseconds()).unwrap_or(0);
        let read = read.saturating_mul(1000).saturating_add(1);
        let error =
            |code: &str, message: &str| OperationError { code: code.to_owned(), message: message.to_owned() };
        let (state, stored, error) = match &self.end {
            None => (OperationState::Running, None, None),
            Some(End::Done(stored)) => (OperationState::Done, Some(stored), None),
            Some(End::Failed(code, message)) => (OperationState::Failed, None, Some(error(code, message))),
            Some(End::Cancelled(code)) => (
                OperationState::Cancelled,
                None,
                code.map(|code| error(code, "it was stopped before it had begun")),
            ),
        };
        OperationStatus {
            id: id.to_owned(),
            epoch: self.epoch,
            state,
            bytes_read: read,
            bytes_stored: stored.map_or(read / 3, |stored| stored.part.size),
            total_bytes_estimate: None,
            started_at: self.began,
            finished_at: self.end.as_ref().map(|_| self.ends),
            parts: stored.map(|stored| stored.part.clone()).into_iter().collect(),
            checksum: stored.map(|stored| stored.part.sha256.clone()),
            filter_plugins: stored.map(|stored| stored.filters.clone()).unwrap_or_default(),
            error,
            rehearsal: None,
        }
    }
}
