//! What an operator wants to see: how long the lines are, what runs, what failed, and whether somebody serves each queue.
//! Counts are capped, so that looking stays cheap however long the lines are.

mod jobs;
mod queues;

pub use jobs::{JobOverview, JobState, jobs};
pub use queues::{COUNT_CAP, QueueOverview, queues, unserved};
