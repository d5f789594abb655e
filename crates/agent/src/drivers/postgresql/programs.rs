//! PostgreSQL's client programs: where they are and how they are started. The connection is given in the environment;
//! the password appears in no argument and no message.

use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;

use super::{PostgresqlSettings, names};
use crate::drivers::DriverError;
use crate::session::{Program, Session, require_setpriv};

const NEEDED: [&str; 4] = ["pg_dump", "pg_dumpall", "pg_restore", "psql"];

/// Server settings for every connection of ours: messages in English, nothing an owner set may stop a backup.
const OPTIONS: &str = "-c lc_messages=C -c statement_timeout=0 -c idle_in_transaction_session_timeout=0 \
                       -c default_transaction_read_only=off";

/// The programs and the connection they use.
pub(super) struct Programs {
    settings: PostgresqlSettings,
    directory: PathBuf,
    scratch: PathBuf,
}

impl Programs {
    /// Finds the programs.
    pub(super) fn find(settings: PostgresqlSettings, scratch: &Path) -> Result<Self, DriverError> {
        require_setpriv()?;
        let directory = match &settings.bin_directory {
            Some(directory) => Some(directory.clone()).filter(|d| is_complete(d)),
            None => newest_of_debian().or_else(first_in_path),
        };
        let directory = directory.ok_or_else(|| {
            let place = match &settings.bin_directory {
                Some(directory) => directory.display().to_string(),
                None => "/usr/lib/postgresql/*/bin and PATH".to_owned(),
            };
            DriverError::DataService(format!("not all of {} are in {place}", NEEDED.join(", ")))
        })?;
        Ok(Self { settings, directory, scratch: scratch.to_owned() })
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

    /// One of the programs, connected to `database`.
    pub(super) fn program(&self, name: &str, database: &str) -> Result<Program, DriverError> {
        let settings = &self.settings;
        let mut program = Program::new(&self.directory.join(name), &self.scratch)?
            .env("PGHOST", &settings.host)
            .env("PGPORT", settings.port.to_string())
            .env("PGUSER", &settings.user)
            .env("PGDATABASE", database)
            .env("PGCONNECT_TIMEOUT", "10")
            .env("PGAPPNAME", "backup-agent")
            .env("PGOPTIONS", OPTIONS);
        if let Some(mode) = &settings.ssl_mode {
            program = program.env("PGSSLMODE", mode);
        }
        if let Some(password) = &settings.password {
            program = program.secret_env("PGPASSWORD", password.expose_secret());
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

    fn psql(&self, database: &str) -> Result<Program, DriverError> {
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

    /// The major version of `pg_dump`, and the line it prints.
    pub(super) fn dump_version(&self, session: &Session) -> Result<(u32, String), DriverError> {
        let program = Program::new(&self.directory.join("pg_dump"), &self.scratch)?;
        let line = program.arg("--version").answer(session, String::new())?.trim().to_owned();
        let number = line.split_once(") ").map_or("", |(_, number)| number);
        let major = number.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok());
        let unclear = || DriverError::DataService(format!("pg_dump has an unclear version: {line}"));
        Ok((major.ok_or_else(unclear)?, line))
    }
}

fn is_complete(directory: &Path) -> bool {
    NEEDED.iter().all(|name| directory.join(name).is_file())
}

fn newest_of_debian() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
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
