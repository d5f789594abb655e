//! The driver `postgresql_wal`: base backups of the whole server, and restores of its data directory, to the end of the
//! base or to a moment. The log between bases is archived elsewhere, see [`crate::archive`]; here is only how the
//! server is asked for it (`wal.rs`). Begin with `base.rs` and `replay.rs`; `exchange.rs` is the moment of truth.

mod base;
mod command;
mod control;
mod exchange;
mod replay;
mod segment;
mod unpack;
mod wal;

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::Uid;
use serde::Deserialize;

use super::catalogue;
use super::programs::Programs;
use crate::drivers::files::place::Place;
use crate::drivers::{Driver, DriverError, Loaded, Moment};
use crate::session::Session;

pub(crate) use segment::{segment_name, segment_number};
pub(crate) use wal::Position;

/// The driver's name, and the `backup_type` that asks for it.
pub(crate) const NAME: &str = "postgresql_wal";
const STREAM_VERSION: u32 = 1;

/// `driver.postgresql.physical` of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhysicalSettings {
    /// The server's data directory; an absolute path, not a mount point itself. A restore needs its size once more
    /// beside it.
    pub data_directory: PathBuf,
    /// Program and arguments that start the server; must return when it is started.
    pub start_command: Vec<String>,
    /// Program and arguments that stop the server and let it shut down cleanly.
    pub stop_command: Vec<String>,
    /// The replication slot that keeps the log at the server until the agent has it.
    #[serde(default = "default_slot")]
    pub slot: String,
    /// How often the end of the window moves, and the current segment is closed if anything was written to it.
    #[serde(default = "default_interval")]
    pub interval_seconds: u64,
}

fn default_slot() -> String {
    "backup_agent".to_owned()
}

fn default_interval() -> u64 {
    60
}

/// The driver; a clone is the same one.
#[derive(Clone)]
pub(crate) struct Physical {
    settings: PhysicalSettings,
    programs: Arc<Programs>,
    place: Place,
    scratch: PathBuf,
}

impl Physical {
    pub(super) fn open(
        settings: &PhysicalSettings,
        programs: Arc<Programs>,
        scratch: &Path,
    ) -> Result<Self, DriverError> {
        let named = |name: &str| settings.slot.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            && (1..=50).contains(&name.len());
        if !named(&settings.slot) {
            let message = "physical.slot must be 1 to 50 of the characters a-z, 0-9 and _";
            return Err(DriverError::data_service(message));
        }
        for command in [&settings.start_command, &settings.stop_command] {
            if command.first().is_none_or(String::is_empty) {
                let message = "physical.start_command and stop_command must name a program";
                return Err(DriverError::data_service(message));
            }
        }
        let place = Place::parse(&settings.data_directory)?;
        Ok(Self { settings: settings.clone(), programs, place, scratch: scratch.to_owned() })
    }

    /// How often the end of the window moves.
    pub(crate) fn interval(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.settings.interval_seconds.max(1))
    }

    /// Whose the data directory is; none when that is the agent's own account.
    fn owner(&self) -> Result<Option<(u32, u32)>, DriverError> {
        let directory = self.place.directory();
        let found = std::fs::metadata(directory).map_err(crate::drivers::files::place::failed("look at", directory))?;
        match Uid::effective() {
            me if me.as_raw() == found.uid() => Ok(None),
            me if me.is_root() => Ok(Some((found.uid(), found.gid()))),
            _ => {
                let message = format!("{} belongs to somebody else; the agent must be root or the owner", directory.display());
                Err(DriverError::data_service(message))
            }
        }
    }
}

impl Driver for Physical {
    fn name(&self) -> &'static str {
        NAME
    }

    fn stream_version(&self) -> u32 {
        STREAM_VERSION
    }

    fn version(&self, session: &Session) -> Result<Option<String>, DriverError> {
        let open = self.programs.open_database(session)?;
        let answer = self.programs.sql(session, &open, "SELECT current_setting('server_version');".into())?;
        Ok(Some(answer.trim().to_owned()))
    }

    fn estimate(&self, session: &Session) -> Result<Option<u64>, DriverError> {
        catalogue::size(&self.programs, session).map(Some)
    }

    fn backup(&self, session: &Session, out: &mut dyn Write) -> Result<(), DriverError> {
        base::backup(self, session, out)
    }

    fn load(&self, session: &Session, operation: &str, input: &mut dyn Read) -> Result<Box<dyn Loaded>, DriverError> {
        Ok(Box::new(exchange::Fresh::unpack(self, session, operation, input, None)?))
    }

    fn load_at(
        &self,
        session: &Session,
        operation: &str,
        input: &mut dyn Read,
        moment: Moment,
    ) -> Result<Box<dyn Loaded>, DriverError> {
        Ok(Box::new(exchange::Fresh::unpack(self, session, operation, input, Some(moment))?))
    }

    fn recover(&self, session: &Session) -> Result<(), DriverError> {
        exchange::recover(self, session)
    }
}
