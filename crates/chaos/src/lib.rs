//! Breaks a real installation on purpose: real processes under load, faults injected by a seeded schedule, and an audit
//! of the promises afterwards. The means of breaking are here and in `private-postgres` and `local-installation`.
//!
//! ```text
//! schedule ──▶ inject ──▶ world (processes, databases, proxies, disk)
//!                           ▲                   │
//!                         load ──▶ notes        │ history, logs, journals, store
//!                                    └────▶ facts ──▶ audit ──▶ report
//! ```
//!
//! Begin reading at [`run`]. What is promised is in [`audit`], one file per promise; what can go wrong is [`schedule::Kind`].

pub mod audit;
pub mod clock;
pub mod collect;
pub mod dice;
pub mod disk;
pub mod facts;
pub mod history;
pub mod inject;
pub mod load;
pub mod proxy;
pub mod report;
pub mod run;
pub mod sample;
pub mod schedule;
pub mod session;
pub mod world;
