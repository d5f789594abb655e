//! A PostgreSQL server of one's own, for tests, the demo and benches: in a temporary directory, on the loopback
//! interface, gone when its owner is gone (also after `kill -9`).
//!
//! It starts the server programs of the machine ([`Binaries`]) and talks to them through `psql` only; it knows no
//! database driver, so that it can be used before one is built. Begin reading at [`Server`].

mod binaries;
pub mod clock;
pub mod debian;
mod directory;
mod options;
pub mod pair;
pub mod process;
mod psql;
mod ready;
mod server;
mod standby;
pub mod tree;
pub mod user;

pub use binaries::Binaries;
pub use directory::{OwnedDirectory, unmount_in};
pub use options::Options;
pub use server::Server;
