//! What the agents noticed: when each backup was first asked for and when it was accepted, and how late each look came.

use std::collections::HashMap;

use super::control::{Look, Start};

/// Between two looks at a running operation, as the manager is configured, in microseconds.
const INTERVAL: i64 = 10_000_000;

/// Everything noticed so far.
#[derive(Debug, Default)]
pub(super) struct Recording {
    starts: HashMap<String, Start>,
    /// When the last answer about an operation ended, from its first look on.
    answered: HashMap<String, i64>,
    looks: Vec<Look>,
}

impl Recording {
    /// A request to start has come.
    pub(super) fn asked(&mut self, id: &str, broker: u32) -> &mut Start {
        self.starts.entry(id.to_owned()).or_insert_with(|| Start {
            id: id.to_owned(),
            broker,
            asked: now(),
            accepted: None,
            is_disturbed: false,
        })
    }

    /// A question has come; how late is counted from the end of the last answer.
    pub(super) fn looked(&mut self, id: &str, broker: u32) {
        if let Some(answered) = self.answered.get(id) {
            let now = now();
            self.looks.push(Look {
                at: now,
                late: now.saturating_sub(*answered).saturating_sub(INTERVAL),
                broker,
            });
        }
    }

    /// A question has been answered, or the connection cut.
    pub(super) fn answered(&mut self, id: &str, is_over: bool) {
        match is_over {
            true => self.answered.remove(id),
            false => self.answered.insert(id.to_owned(), now()),
        };
    }

    /// An operation whose question is never answered has no next look that could be late.
    pub(super) fn never_answered(&mut self, id: &str) {
        self.answered.remove(id);
    }

    pub(super) fn starts(&self) -> Vec<&Start> {
        self.starts.values().collect()
    }

    /// Hands over the looks since the last time.
    pub(super) fn take_looks(&mut self) -> Vec<Look> {
        std::mem::take(&mut self.looks)
    }
}

/// Microseconds since the epoch, by the clock that Postgres on this machine has, too.
pub(super) fn now() -> i64 {
    chrono::Utc::now().timestamp_micros()
}
