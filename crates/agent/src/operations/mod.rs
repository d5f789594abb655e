//! Backups, restores and rehearsals as operations: started at most once, recorded on disk before anything is done, stopped at their
//! deadline or by request, never forgotten. How bytes flow is the pipeline's business, see [`crate::pipeline`].

pub mod admission;
mod claim;
mod cleanup;
mod entry;
mod journal;
mod list;
mod perform;
mod refusal;
mod registry;
mod start;
mod uploads;

#[cfg(test)]
mod tests;

pub use entry::Kind;
pub use journal::JournalError;
pub(crate) use list::Page;
pub(crate) use refusal::Refused;
pub(crate) use registry::{Operations, Settings};
pub(crate) use start::Start;
