//! `/v2/catalogue/…`: finding backups that lie in a store and have no row.

pub(crate) mod rebuild;
pub(crate) mod rebuilds;
