//! PostgreSQL's client programs: where they are and how they are started. The connection is given in the environment;
//! the password appears in no argument and no message.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::time::Duration;

use secrecy::ExposeSecret;

use super::stand_ins::Login;
use super::{PostgresqlSettings, names};
use crate::drivers::{DriverError, Trouble};
use crate::session::{Program, Session, require_setpriv};

/// Below it Debian has a directory for each major version.
const DEBIAN: &str = "/usr/lib/postgresql";

const NEEDED: [&str; 4] = ["pg_dump", "pg_dumpall", "pg_restore", "psql"];

/// What a scratch server needs beside them.
const SERVER: [&str; 2] = ["initdb", "postgres"];

/// Server settings for every connection of ours: messages in English, nothing an owner set may stop a backup.
const OPTIONS: &str = "-c lc_messages=C -c statement_timeout=0 -c idle_in_transaction_session_timeout=0 \
                       -c default_transaction_read_only=off";

/// The same for roles that may not choose the language of messages.
const ORDINARY_OPTIONS: &str = "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0 \
                                -c default_transaction_read_only=off";

/// The programs and the connection they use.
pub(super) struct Programs {
    settings: PostgresqlSettings,
    directory: RwLock<PathBuf>,
    scratch: PathBuf,
    /// Held while leftovers are looked for and removed.
    recovering: Mutex<()>,
    /// Databases of somebody else that were last reported to have reserved names.
    strangers: Mutex<Vec<String>>,
}

impl Programs {
    /// Finds the programs.
    pub(super) fn find(settings: PostgresqlSettings, scratch: &Path) -> Result<Self, DriverError> {
        require_setpriv()?;
        let directory = match &settings.bin_directory {
            Some(directory) => Some(directory.clone()).filter(|d| is_complete(d)),
            None => newest_of_debian(Path::new(DEBIAN)).or_else(first_in_path),
        };
        let directory = directory.ok_or_else(|| {
            let place = match &settings.bin_directory {
                Some(directory) => directory.display().to_string(),
                None => format!("{DEBIAN}/*/bin and PATH"),
            };
            let message = format!("not all of {} are in {place}", NEEDED.join(", "));
            DriverError::of(Trouble::ProgramMissing, message)
        })?;
        Ok(Self {
            settings,
            directory: RwLock::new(directory),
            scratch: scratch.to_owned(),
            recovering: Mutex::default(),
            strangers: Mutex::default(),
        })
    }

    pub(super) fn settings(&self) -> &PostgresqlSettings {
        &self.settings
    }

    /// Whether a restore must leave this role alone.
    pub(super) fn keeps_role(&self, role: &str) -> bool {
        role == self.settings.user
            || role.starts_with("pg_")
            || self.settings.keep_roles.iter().any(|k| k == role)
    }

    /// The directory for temporary files.
    pub(super) fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// One of the programs, connected to `database`.
    pub(super) fn program(&self, name: &str, database: &str) -> Result<Program, DriverError> {
        self.program_as(name, database, None)
    }

    /// The same with another role than the agent's own.
    pub(super) fn program_as(
        &self,
        name: &str,
        database: &str,
        login: Option<&Login>,
    ) -> Result<Program, DriverError> {
        let settings = &self.settings;
        let (user, options) = match login {
            None => (&settings.user, OPTIONS),
            Some(login) => (&login.role, ORDINARY_OPTIONS),
        };
        let mut program = Program::new(&self.path(name), &self.scratch)?
            .env("PGHOST", &settings.host)
            .env("PGPORT", settings.port.to_string())
            .env("PGUSER", user)
            .env("PGDATABASE", database)
            .env("PGCONNECT_TIMEOUT", "10")
            .env("PGAPPNAME", "backup-agent")
            .env("PGOPTIONS", options);
        if let Some(mode) = &settings.ssl_mode {
            program = program.env("PGSSLMODE", mode);
        }
        let own = || settings.password.as_ref().map(|password| password.expose_secret());
        if let Some(password) = login.map_or_else(own, |login| Some(login.password.as_str())) {
            program = program.secret_env("PGPASSWORD", password);
        }
        Ok(program.arg("--no-password"))
    }

    /// Runs SQL statements one after the other up to the first error; returns the rows, unaligned.
    pub(super) fn sql(&self, session: &Session, database: &str, sql: String) -> Result<String, DriverError> {
        self.psql(database)?.answer(session, sql)
    }

    /// As [`Self::sql`], for a restore: a killed agent's next start ends this connection.
    pub(super) fn restore_sql(
        &self,
        session: &Session,
        database: &str,
        sql: String,
    ) -> Result<String, DriverError> {
        self.psql(database)?.env("PGAPPNAME", names::APPLICATION).answer(session, sql)
    }

    pub(super) fn psql(&self, database: &str) -> Result<Program, DriverError> {
        let options = format!("{OPTIONS} -c lock_timeout=60s -c search_path=pg_catalog -c datestyle=ISO");
        Ok(self
            .program("psql", database)?
            .env("PGOPTIONS", options)
            .env("PGCLIENTENCODING", "UTF8")
            .arg("--no-psqlrc")
            .arg("--quiet")
            .arg("--tuples-only")
            .arg("--no-align")
            .arg("--set=ON_ERROR_STOP=1")
            .arg("--set=VERBOSITY=terse")
            .arg("--file=-"))
    }

    /// A database that accepts our connection: the configured one, or another when that is just being exchanged.
    pub(super) fn open_database(&self, session: &Session) -> Result<String, DriverError> {
        let configured = self.settings.maintenance_database.as_str();
        let mut first_error = None;
        for database in [configured, "postgres", "template1", names::CONTROL] {
            match self.sql(session, database, "SELECT 1;".to_owned()) {
                Ok(_) => return Ok(database.to_owned()),
                Err(DriverError::Stopped) => return Err(DriverError::Stopped),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or(DriverError::Stopped))
    }

    /// Waits until nobody else recovers; two at once would drop the same databases and end each other's connections.
    pub(super) fn recover_alone(&self, session: &Session) -> Result<MutexGuard<'_, ()>, DriverError> {
        loop {
            session.check()?;
            match self.recovering.try_lock() {
                Ok(alone) => return Ok(alone),
                Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Logs that databases have reserved names and are not the agent's own, once for the same ones.
    pub(super) fn report_strangers(&self, names: Vec<String>) {
        let mut reported = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        if *reported != names && !names.is_empty() {
            let names = names.join(", ");
            tracing::warn!(
                names,
                "databases have reserved names, but the agent did not make them; it leaves them alone"
            );
        }
        *reported = names;
    }

    /// Prefers the programs of the server's own major version and makes sure that those in use fit it; returns the
    /// line `pg_dump --version` prints.
    pub(super) fn fitting(&self, session: &Session, server: u32) -> Result<String, DriverError> {
        let own = Path::new(DEBIAN).join(server.to_string()).join("bin");
        if self.settings.bin_directory.is_none() && is_complete(&own) {
            *self.directory.write().unwrap_or_else(PoisonError::into_inner) = own;
        }
        let program = Program::new(&self.path("pg_dump"), &self.scratch)?;
        let line = program.arg("--version").answer(session, String::new())?.trim().to_owned();
        let number = line.split_once(") ").map_or("", |(_, number)| number);
        let major = number.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok());
        let unclear = || DriverError::data_service(format!("pg_dump has an unclear version: {line}"));
        fit(server, major.ok_or_else(unclear)?).map_err(|reason| {
            let message = format!("{reason}; install the client programs of version {server}");
            DriverError::of(Trouble::WrongVersion, message)
        })?;
        Ok(line)
    }

    /// The directory that also has the programs of a server, of the running server's version if that can be asked.
    pub(super) fn server_programs(&self, session: &Session) -> Result<PathBuf, DriverError> {
        let asked = self.open_database(session).and_then(|open| {
            self.sql(session, &open, "SELECT current_setting('server_version_num')::int / 10000;".to_owned())
        });
        session.check()?;
        let major = asked.ok().map(|answer| answer.trim().to_owned());
        let own = major.as_ref().map(|major| Path::new(DEBIAN).join(major).join("bin"));
        let in_use = self.path("");
        let places: Vec<PathBuf> = match &self.settings.bin_directory {
            Some(configured) => vec![configured.clone()],
            None => own.into_iter().chain([in_use]).collect(),
        };
        let found = places.iter().find(|place| is_complete(place) && has_server(place)).cloned();
        found.ok_or_else(|| {
            let looked: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
            let version = major.map_or_else(String::new, |major| format!(" of version {major}"));
            let message = format!(
                "the server programs{version} ({}) are not in {}; install the package of the server",
                SERVER.join(", "),
                looked.join(" or "),
            );
            DriverError::of(Trouble::ProgramMissing, message)
        })
    }

    /// One of the programs of a major version, with no connection; as the given account, if any.
    pub(super) fn of_version(
        &self,
        name: &str,
        major: &str,
        account: Option<(u32, u32)>,
    ) -> Result<Program, DriverError> {
        let own = Path::new(DEBIAN).join(major).join("bin").join(name);
        let path = match self.settings.bin_directory {
            None if own.is_file() => own,
            _ => self.path(name),
        };
        if !path.is_file() {
            let message = format!("{name} of PostgreSQL {major} is not installed");
            return Err(DriverError::of(Trouble::ProgramMissing, message));
        }
        Program::new_as(&path, &self.scratch, account)
    }

    pub(super) fn path(&self, program: &str) -> PathBuf {
        self.directory.read().unwrap_or_else(PoisonError::into_inner).join(program)
    }
}

/// Whether programs of one major version can dump and restore a server of another.
fn fit(server: u32, programs: u32) -> Result<(), String> {
    if server > programs {
        return Err(format!(
            "the server has version {server}, newer than the programs of version {programs}"
        ));
    }
    // From 17 on pg_restore sets transaction_timeout, which earlier servers do not know.
    if programs >= 17 && server <= 16 {
        return Err(format!("pg_restore of version {programs} cannot restore a server of version {server}"));
    }
    Ok(())
}

fn is_complete(directory: &Path) -> bool {
    NEEDED.iter().all(|name| directory.join(name).is_file())
}

fn has_server(directory: &Path) -> bool {
    SERVER.iter().all(|name| directory.join(name).is_file())
}

fn newest_of_debian(versions: &Path) -> Option<PathBuf> {
    let versions = std::fs::read_dir(versions).ok()?.flatten();
    let found = versions.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let directory = entry.path().join("bin");
        is_complete(&directory).then_some((version, directory))
    });
    found.max().map(|(_, directory)| directory)
}

fn first_in_path() -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).find(|directory| is_complete(directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_must_fit_the_server_in_both_directions() {
        for (server, programs, fits) in
            [(15, 15, true), (13, 15, true), (16, 15, false), (16, 17, false), (17, 17, true), (17, 18, true)]
        {
            assert_eq!(fit(server, programs).is_ok(), fits, "server {server}, programs {programs}");
        }
    }

    #[test]
    fn one_recovery_waits_for_another_and_can_be_stopped_meanwhile() {
        let programs = Programs {
            settings: serde_json::from_str("{}").unwrap(),
            directory: RwLock::default(),
            scratch: PathBuf::new(),
            recovering: Mutex::default(),
            strangers: Mutex::default(),
        };
        let session = Session::default();
        let alone = programs.recover_alone(&session).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| programs.recover_alone(&session).is_err());
            session.stop(crate::session::Stop::Cancelled);
            assert!(waiting.join().unwrap(), "stopped while waiting");
        });
        drop(alone);
        assert!(programs.recover_alone(&Session::default()).is_ok());
    }
}
