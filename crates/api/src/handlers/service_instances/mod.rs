//! `/service-instances/…`: version 0 of the public API, deprecated.

pub(crate) mod backups;
