//! The driver for data services nobody has written a driver for: programs of the operator's, one whose standard output is
//! the backup and one whose standard input is a restore. No shell is involved unless the operator names one.
//!
//! What a restore guarantees is up to the programs. They are told the truth in the right order: the restore program sees
//! the end of its input only when the stream is whole and authenticated to its last byte, so one that acts at the end of
//! its input never acts on a broken backup. One that cannot wait for that loads beside the data in use, and leaves the
//! exchange to `commit`, or the clean-up to `discard`.

mod programs;
mod restore;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use secrecy::SecretString;
use serde::Deserialize;

use super::{Driver, DriverError, Loaded};
use crate::session::Session;
use programs::{Programs, Task};

const NAME: &str = "command";
const STREAM_VERSION: u32 = 1;

/// `driver.command` of the configuration. A program is a list: its absolute path and its arguments.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandSettings {
    /// Writes the backup to its standard output.
    pub backup: Vec<String>,
    /// Reads a backup from its standard input. It must not put anything in use before the end of its input.
    pub restore: Vec<String>,
    /// Puts what `restore` has read in the place of the data in use, all or nothing. May be run twice.
    #[serde(default)]
    pub commit: Option<Vec<String>>,
    /// Removes what a failed or interrupted restore has left. May be run twice, and when there is nothing.
    #[serde(default)]
    pub discard: Option<Vec<String>>,
    /// Prints how many bytes a backup would have now.
    #[serde(default)]
    pub estimate: Option<Vec<String>>,
    /// Prints the version of the data service in one line.
    #[serde(default)]
    pub version: Option<Vec<String>>,
    /// Environment variables of all programs, beside `PATH`, `LC_ALL`, `TMPDIR` and `BACKUP_AGENT_RESTORE`.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Environment variables whose values appear in no message; `NAME_file` names a file that holds the value.
    #[serde(default)]
    pub secret_environment: BTreeMap<String, SecretString>,
}

/// The driver.
pub(super) struct Command {
    programs: Arc<Programs>,
}

impl Command {
    pub(super) fn open(settings: &CommandSettings, scratch: &Path) -> Result<Self, DriverError> {
        Ok(Self { programs: Arc::new(Programs::find(settings.clone(), scratch)?) })
    }
}

impl Driver for Command {
    fn name(&self) -> &'static str {
        NAME
    }

    fn stream_version(&self) -> u32 {
        STREAM_VERSION
    }

    fn version(&self, session: &Session) -> Result<Option<String>, DriverError> {
        let answer = self.programs.answer(session, Task::Version)?;
        Ok(answer.and_then(|text| text.lines().next().map(|line| line.trim().to_owned())))
    }

    fn estimate(&self, session: &Session) -> Result<Option<u64>, DriverError> {
        let Some(answer) = self.programs.answer(session, Task::Estimate)? else { return Ok(None) };
        let unclear = |e| DriverError::data_service(format!("the estimate is not a number of bytes: {e}"));
        answer.trim().parse().map(Some).map_err(unclear)
    }

    fn backup(&self, session: &Session, out: &mut dyn Write) -> Result<(), DriverError> {
        self.programs.record.refuse_while_there()?;
        let program = self.programs.program(Task::Backup, None)?;
        let mut running = program.piped_stdout().start(session)?;
        running.copy_stdout(out)?;
        running.finish()
    }

    fn load(
        &self,
        session: &Session,
        operation: &str,
        input: &mut dyn Read,
    ) -> Result<Box<dyn Loaded>, DriverError> {
        restore::load(&self.programs, session, operation, input)
    }

    fn recover(&self, session: &Session) -> Result<(), DriverError> {
        restore::recover(&self.programs, session)
    }
}
