//! A job queue in Postgres: enqueue in the caller's transaction, claim under a timed lease, heartbeat, finish by the
//! holder alone, retry, rescue, cron schedules, and a [`Runner`] that does all this around your handlers.
//! It knows nothing of what the jobs do. Its promises, each with the name of its test, are in `docs/queue.md`; its
//! tables in `migrations/2026-11-22-000001_queue`. Start reading at [`enqueue()`] and [`Runner`].

pub mod age;
mod backoff;
mod bell;
pub mod claim;
mod enqueue;
mod error;
pub mod heartbeat;
mod job;
mod lease;
mod listen;
mod outcome;
pub mod overview;
pub mod promote;
pub mod prune;
mod registry;
pub mod rescue;
mod runner;
pub mod schedule;
pub mod set_back;
pub mod settle;
mod sql;

pub use backoff::Backoff;
pub use bell::Bell;
pub use enqueue::{Enqueued, enqueue, enqueue_many, run_now};
pub use error::Error;
pub use job::{ClaimedJob, JobId, NewJob};
pub use lease::Lease;
pub use outcome::{JobError, Outcome};
pub use registry::Registry;
pub use runner::{Runner, RunnerConfig, step_aside};
pub use schedule::{Schedule, declare_schedules};
