//! `/service-instances/{instance_id}/backups/…`; the list and the creation are the newer generations'.

pub(crate) mod restore;
