//! The worker daemon: one process per worker group, or one for all groups. `group.rs` builds the runner of a group,
//! `jobs/` has a file per queue, `schedules.rs` declares the schedules, `adoption.rs` sweeps for lost operations.
//! What the jobs do is in `backup_core::actions`; how they are claimed, retried and rescued is in `backup_queue`.

mod adoption;
mod group;
mod jobs;
mod schedules;

pub use adoption::sweep_until;
pub use group::{GroupSettings, runner};
pub use jobs::registry;
pub use schedules::declare;
