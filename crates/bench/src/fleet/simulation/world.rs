//! What all handlers share.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::control::Behaviour;
use super::operations::Operation;
use super::recording::Recording;
use crate::fleet::shape::Shape;

/// The fleet.
#[derive(Debug)]
pub(super) struct World {
    pub(super) shape: Shape,
    pub(super) store: PathBuf,
    state: Mutex<State>,
}

/// Its changing part.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) behaviour: Behaviour,
    pub(super) operations: HashMap<String, Operation>,
    /// How many requests there were about an operation: each has its own luck.
    requests: HashMap<String, u32>,
    pub(super) recording: Recording,
}

impl World {
    pub(super) fn new(shape: Shape, store: PathBuf) -> Self {
        Self { shape, store, state: Mutex::default() }
    }

    /// Held for a moment only, never while waiting.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts a request about an operation.
    pub(super) fn count(&mut self, id: &str) -> u32 {
        let count = self.requests.entry(id.to_owned()).or_default();
        *count = count.saturating_add(1);
        *count
    }
}
