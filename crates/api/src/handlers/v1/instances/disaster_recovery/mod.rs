//! `/v1/instances/{instance_id}/disaster-recovery/…`

pub(crate) mod prepare;
