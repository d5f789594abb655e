//! How a daemon starts and stops: configuration file, secrets in files, logging, signals, systemd, TLS and
//! exit codes. It knows nothing of backups. A `main.rs` reads top to bottom: [`config::load`],
//! [`logging::init`], [`shutdown::token`], the work, [`exit::run_main`] around all of it.

pub mod config;
pub mod duration;
pub mod exit;
pub mod limits;
pub mod logging;
pub mod shutdown;
pub mod systemd;
pub mod tls;
