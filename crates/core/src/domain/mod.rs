//! Pure types and decisions of the product: no I/O, no clock, nothing of the other folders.

pub mod actor;
pub mod audit;
pub mod backup;
pub mod catalogue;
pub mod cipher;
pub mod completion;
pub mod deletion;
pub mod dispatch;
pub mod explanation;
pub mod hold;
pub mod identifiers;
pub mod instance;
pub mod key_envelope;
pub mod operation;
pub mod pitr;
pub mod places;
pub mod reason;
pub mod reconciliation;
pub mod rehearsal;
pub mod restore;
pub mod scope;
pub mod share;
pub mod spread;
pub mod stored_form;
pub mod verification;
