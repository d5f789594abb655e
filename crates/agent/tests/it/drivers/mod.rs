//! The drivers with their real data services.

mod command;
mod files;
mod kills;
pub(crate) mod mariadb;
mod mariadb_exchange;
mod mariadb_kills;
mod mariadb_names;
pub(crate) mod postgresql;
mod postgresql_leftovers;
mod postgresql_trust;
mod postgresql_unhappy;
mod postgresql_wal;
mod rabbitmq;
pub(crate) mod redis;
mod troubles;
