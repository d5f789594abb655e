//! From an unpacked base to the data directory in use. The fresh directory carries a mark, so that whoever looks later
//! knows on which side of the exchange the agent died; a record says that the server may have been stopped. Until the
//! restored server answers, the old directory is kept and put back on any trouble.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::control::{Control, major};
use super::replay;
use super::{Physical, unpack};
use crate::drivers::files::place::{Place, failed};
use crate::drivers::{DriverError, Loaded, Moment, Trouble};
use crate::session::Session;

/// In a fresh data directory: which restore made it.
const MARK: &str = "backup_agent.restore";
/// Below the scratch directory: which restore may have stopped the server.
const RECORD: &str = "physical-restore.json";
/// Beside the data directory, while the log is replayed.
pub(super) const RUN: &str = "replay";
/// A server keeps its own settings, not those of the server that was backed up.
const KEPT: [&str; 4] = ["postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf"];

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    operation: String,
}

/// A data directory, complete beside the one in use.
pub(super) struct Fresh {
    physical: Physical,
    operation: String,
    path: PathBuf,
    moment: Option<Moment>,
}

impl Fresh {
    pub(super) fn unpack(
        physical: &Physical,
        session: &Session,
        operation: &str,
        input: &mut dyn Read,
        moment: Option<Moment>,
    ) -> Result<Self, DriverError> {
        let place = &physical.place;
        let log = place.directory().join("pg_wal");
        if fs::symlink_metadata(&log).is_ok_and(|found| found.is_symlink()) {
            let message = format!("{} is a symbolic link; a data directory that is not in one place cannot be replaced", log.display());
            return Err(DriverError::of(Trouble::Failed, message));
        }
        let owner = physical.owner()?;
        place.check_swap()?;
        let path = place.prepare(operation)?;
        let fresh = Self { physical: physical.clone(), operation: operation.to_owned(), path, moment };
        match unpack::unpack(&fresh.path, owner, session, input).and_then(|()| fresh.check_version()) {
            Ok(()) => Ok(fresh),
            Err(error) => {
                fresh.remove();
                Err(error)
            }
        }
    }

    fn check_version(&self) -> Result<(), DriverError> {
        let (base, own) = (major(&self.path)?, major(self.physical.place.directory())?);
        if base == own {
            return Ok(());
        }
        let message = format!("the backup is of PostgreSQL {base}, the server here of {own}; a physical backup needs the same");
        Err(DriverError::of(Trouble::WrongVersion, message))
    }

    fn remove(&self) {
        Place::remove_or_log(&self.physical.place.beside(RUN));
        Place::remove_or_log(&self.path);
    }

    /// Gives the fresh directory the settings of the one in use, and its mark.
    fn dress(&self) -> Result<(), DriverError> {
        let own = self.physical.place.directory();
        for name in KEPT {
            let (from, to) = (own.join(name), self.path.join(name));
            match fs::copy(&from, &to) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                copied => copied.map_err(failed("copy", &from))?,
            };
            let found = fs::metadata(&from).map_err(failed("look at", &from))?;
            lchown(&to, Some(found.uid()), Some(found.gid())).map_err(failed("copy", &from))?;
        }
        write_durably(&self.path.join(MARK), self.operation.as_bytes())
    }
}

impl Loaded for Fresh {
    fn prepare(&mut self, session: &Session) -> Result<(), DriverError> {
        replay::replay(&self.physical, session, &self.path, self.moment.as_ref())?;
        let control = Control::read(&self.physical, session, &self.path)?;
        match control.get("Database cluster state") {
            "shut down" => self.dress(),
            other => Err(DriverError::data_service(format!("the replayed data directory is `{other}` instead of shut down"))),
        }
    }

    fn commit(self: Box<Self>, _: &Session) -> Result<(), DriverError> {
        let physical = &self.physical;
        let record = serde_json::to_vec(&Record { operation: self.operation.clone() }).unwrap_or_default();
        let recorded = write_durably(&physical.record(), &record);
        if let Err(error) = recorded.and_then(|()| physical.stop_server()).and_then(|()| physical.place.swap(&self.path)) {
            let started = physical.start_server();
            physical.forget(&self.path);
            return Err(with(error, started));
        }
        match physical.start_server() {
            Ok(()) => {
                physical.forget(&self.path);
                Ok(())
            }
            Err(error) => {
                let undone = physical.undo(&self.path);
                if undone.is_ok() {
                    physical.forget(&self.path);
                }
                Err(with(error.within("the restored server does not work"), undone))
            }
        }
    }

    fn discard(self: Box<Self>) {
        self.remove();
    }
}

/// Completes or undoes what a killed agent has left.
pub(super) fn recover(physical: &Physical, _: &Session) -> Result<(), DriverError> {
    let record = match fs::read(physical.record()) {
        Err(error) if error.kind() == ErrorKind::NotFound => return physical.place.recover(),
        read => read.map_err(failed("read", &physical.record()))?,
    };
    // A record that is cut off was never followed by anything.
    if let Ok(record) = serde_json::from_slice::<Record>(&record) {
        let fresh = physical.place.beside(&record.operation);
        let mark = fs::read(physical.place.directory().join(MARK)).unwrap_or_default();
        let is_exchanged = mark == record.operation.as_bytes();
        if let Err(error) = physical.start_server() {
            if !is_exchanged || !fresh.exists() {
                return Err(error);
            }
            tracing::error!(%error, "a restored server does not start; the data from before the restore are put back");
            physical.undo(&fresh)?;
        } else {
            tracing::warn!(is_exchanged, "an interrupted restore is brought to an end; the server runs");
        }
        physical.forget(&fresh);
    }
    physical.place.recover()
}

impl Physical {
    fn record(&self) -> PathBuf {
        self.scratch.join(RECORD)
    }

    /// Puts the old data directory back and starts the server.
    fn undo(&self, old: &Path) -> Result<(), DriverError> {
        if let Err(error) = self.stop_server() {
            tracing::warn!(%error, "a restored server that does not work could not be stopped");
        }
        self.place.swap(old)?;
        self.start_server()
    }

    /// Removes the directory that is no longer needed, then what told a successor of the exchange.
    fn forget(&self, unused: &Path) {
        Place::remove_or_log(&self.place.beside(RUN));
        Place::remove_or_log(unused);
        for path in [self.place.directory().join(MARK), self.record()] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    tracing::warn!(%error, path = %path.display(), "a file of a restore cannot be removed");
                }
                _ => {}
            }
        }
    }
}

fn with(error: DriverError, put_right: Result<(), DriverError>) -> DriverError {
    match put_right {
        Ok(()) => error.within("the server runs with the data from before the restore"),
        Err(other) => DriverError::data_service(format!("{error}; then: {other}; look at the server")),
    }
}

fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), DriverError> {
    let written = File::create(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
    });
    written.map_err(failed("write", path))
}
