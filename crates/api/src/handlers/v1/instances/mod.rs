//! `/v1/instances/{instance_id}/…`, as far as it is not the same as `/instances/{instance_id}/…`.

pub(crate) mod disaster_recovery;
pub(crate) mod pitr;
