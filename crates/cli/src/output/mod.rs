//! What goes to the terminal: tables or JSON on standard output, progress and remarks on standard error.

mod human;
mod screen;
mod table;

pub use human::{amount, bytes, duration, one_line, since, span, time, time_or_dash};
pub use screen::{Format, Screen};
pub use table::Table;
