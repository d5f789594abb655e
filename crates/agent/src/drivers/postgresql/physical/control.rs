//! `pg_controldata`: what a data directory says of itself.

use std::collections::HashMap;
use std::path::Path;

use super::Physical;
use crate::drivers::DriverError;
use crate::drivers::files::place::failed;
use crate::session::Session;

/// The lines of `pg_controldata`, by their names.
pub(super) struct Control(HashMap<String, String>);

impl Control {
    /// Reads the control file of a data directory.
    pub(super) fn read(physical: &Physical, session: &Session, directory: &Path) -> Result<Self, DriverError> {
        let program = physical.programs.of_version("pg_controldata", &major(directory)?, physical.owner()?)?;
        let answer = program.arg("--pgdata").arg(directory).answer(session, String::new())?;
        let pairs = answer.lines().filter_map(|line| line.split_once(':'));
        Ok(Self(pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()))
    }

    /// A line's value; empty when there is none of that name.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

/// The major version a data directory is of.
pub(super) fn major(directory: &Path) -> Result<String, DriverError> {
    let path = directory.join("PG_VERSION");
    Ok(std::fs::read_to_string(&path).map_err(failed("read", &path))?.trim().to_owned())
}
