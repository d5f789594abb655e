//! The parts of `backupctl`, the operator's and owner's command. It speaks to the manager's HTTP API and to nothing
//! else; it shares no code with the daemons. Start reading at [`args`] (what one can type) and `commands` (what happens).

pub mod api;
pub mod args;
mod commands;
pub mod error;
pub mod output;
mod prompt;
pub mod settings;
mod wait;

pub use commands::run;
