//! Breaks a real installation on purpose: real processes under load, faults injected by a seeded schedule, and an audit
//! of the promises afterwards. The means of breaking are here and in `private-postgres` and `local-installation`.

pub mod audit;
pub mod dice;
pub mod facts;
pub mod proxy;
pub mod schedule;
