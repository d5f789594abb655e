//! `/v2/…`: health and what an operator wants to see.

pub(crate) mod audit;
pub(crate) mod catalogue;
pub(crate) mod healthy;
pub(crate) mod queues;
pub(crate) mod reconciliations;
pub(crate) mod retention;
pub(crate) mod stores;
