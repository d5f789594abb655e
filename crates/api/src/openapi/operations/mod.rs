//! The description of every operation, in the files of their handlers' names.

pub(crate) mod backup_agent;
pub(crate) mod backups;
pub(crate) mod catalogue;
pub(crate) mod health;
pub(crate) mod instances;
pub(crate) mod rehearsals;
pub(crate) mod restores;
pub(crate) mod service_instances;
pub(crate) mod v1;
pub(crate) mod v2;
