//! What goes out: one type per JSON object of the API. Names and types here are contracts; values come from the core.

pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod catalogue;
pub(crate) mod explanation;
pub(crate) mod health;
pub(crate) mod hold;
pub(crate) mod instance;
pub(crate) mod instance_config;
pub(crate) mod message;
pub(crate) mod pitr;
pub(crate) mod queue;
pub(crate) mod reconciliation;
pub(crate) mod rehearsal;
pub(crate) mod restore;
pub(crate) mod retention;
pub(crate) mod schema;
pub(crate) mod store;
mod time;

pub(crate) use schema::View;
pub(crate) use time::Timestamp;
