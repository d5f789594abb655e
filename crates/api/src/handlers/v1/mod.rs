//! `/v1/…`: the public API; most of it shares the handlers of `/instances`.

pub(crate) mod instances;
