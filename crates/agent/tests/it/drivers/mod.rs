//! The drivers with their real data services.

mod command;
mod files;
pub(crate) mod postgresql;
mod postgresql_leftovers;
mod postgresql_unhappy;
mod redis;
