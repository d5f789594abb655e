//! The drivers with their real data services.

mod command;
mod files;
mod kills;
mod postgresql;
mod postgresql_leftovers;
mod postgresql_trust;
mod postgresql_unhappy;
mod postgresql_wal;
mod redis;
mod troubles;
