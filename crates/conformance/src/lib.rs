//! A black-box suite for backup agents: it knows an agent only by its URL, and the protocol only by `docs/agent-openapi.json`
//! and `docs/agent-protocol.md`. Every answer is compared with the schema documented for its path, method and status; the
//! checks add what a schema cannot say: at most once, epochs, stops, what a kill leaves. Start with [`run`].

mod checks;
mod client;
mod documented;
mod kit;
mod report;
mod target;

pub use checks::run;
pub use report::{Outcome, Report, Verdict};
pub use target::{Credential, Restart, Target};
