//! What all actors are told by the one who runs the show.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::clock::Stopwatch;

const GO_ON: u8 = 0;
const FINISH: u8 = 1;
const GIVE_UP: u8 = 2;

/// Shared by all; changes only in one direction.
#[derive(Debug, Clone)]
pub struct Control {
    phase: Arc<AtomicU8>,
    /// The time of the harness.
    pub stopwatch: Stopwatch,
}

impl Control {
    /// Everybody may go on.
    #[must_use]
    pub fn new(stopwatch: Stopwatch) -> Self {
        Self { phase: Arc::default(), stopwatch }
    }

    /// Begin nothing new, and wait for the end of what was begun.
    pub fn finish(&self) {
        self.phase.fetch_max(FINISH, Ordering::Relaxed);
    }

    /// Wait for nothing any more.
    pub fn give_up(&self) {
        self.phase.fetch_max(GIVE_UP, Ordering::Relaxed);
    }

    /// Whether nothing new is to be begun.
    #[must_use]
    pub fn is_finishing(&self) -> bool {
        self.phase.load(Ordering::Relaxed) >= FINISH
    }

    /// Whether nothing is waited for any more.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.phase.load(Ordering::Relaxed) >= GIVE_UP
    }

    pub(super) fn is_going_on(&self) -> bool {
        self.phase.load(Ordering::Relaxed) == GO_ON
    }
}
