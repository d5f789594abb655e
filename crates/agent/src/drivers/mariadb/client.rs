//! MariaDB's client programs: where they are and how they are started. The password reaches them in their environment and
//! appears in no argument and no message.

use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;

use super::MariadbSettings;
use super::names::quote;
use crate::drivers::{DriverError, Trouble};
use crate::session::{Program, Session, require_setpriv};

const PLACES: [&str; 4] = ["/usr/bin", "/usr/local/bin", "/opt/mariadb/bin", "/usr/local/mysql/bin"];
const NEEDED: [&str; 2] = ["mariadb", "mariadb-dump"];

/// Nothing an owner set may change what our statements mean or stop them.
const SESSION: &str = "SET SESSION sql_mode='NO_ENGINE_SUBSTITUTION', max_statement_time=0, lock_wait_timeout=60, \
                       foreign_key_checks=1, autocommit=1, sql_notes=0";

/// The programs and the connection they use.
pub(super) struct Client {
    settings: MariadbSettings,
    directory: PathBuf,
    scratch: PathBuf,
}

impl Client {
    pub(super) fn find(settings: MariadbSettings, scratch: &Path) -> Result<Self, DriverError> {
        require_setpriv()?;
        let is_complete = |place: &PathBuf| NEEDED.iter().all(|name| place.join(name).is_file());
        let found = match &settings.bin_directory {
            Some(directory) => Some(directory.clone()).filter(is_complete),
            None => PLACES.iter().map(PathBuf::from).find(is_complete),
        };
        let directory = found.ok_or_else(|| {
            let places = settings.bin_directory.as_ref().map(|place| place.display().to_string());
            let places = places.unwrap_or_else(|| PLACES.join(", "));
            let message = format!("not both of {} are in {places}", NEEDED.join(" and "));
            DriverError::of(Trouble::ProgramMissing, message)
        })?;
        Ok(Self { settings, directory, scratch: scratch.to_owned() })
    }

    pub(super) fn settings(&self) -> &MariadbSettings {
        &self.settings
    }

    /// Where the programs are.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether a restore must leave this user alone.
    pub(super) fn kept_users(&self) -> impl Iterator<Item = &str> {
        let own = [self.settings.user.as_str(), "mariadb.sys"];
        own.into_iter().chain(self.settings.keep_users.iter().map(String::as_str))
    }

    /// Runs SQL statements one after the other up to the first error; returns the rows, with tabs between columns.
    pub(super) fn sql(&self, session: &Session, sql: String) -> Result<String, DriverError> {
        self.mariadb()?.answer(session, sql)
    }

    /// `mariadb` for a script; statements apply to `database` until they say otherwise.
    pub(super) fn script(&self, database: Option<&str>) -> Result<Program, DriverError> {
        let program = self.mariadb()?;
        Ok(match database {
            Some(database) => program.arg(format!("--database={database}")),
            None => program,
        })
    }

    /// `mariadb-dump` without anything that differs from one run to the next.
    pub(super) fn dump(&self) -> Result<Program, DriverError> {
        let program = self.program("mariadb-dump")?;
        Ok(["--skip-comments", "--quick", "--single-transaction", "--skip-add-locks", "--skip-lock-tables"]
            .into_iter()
            .chain(["--skip-add-drop-table", "--default-character-set=utf8mb4"])
            .fold(program, Program::arg))
    }

    fn mariadb(&self) -> Result<Program, DriverError> {
        let program = self.program("mariadb")?;
        Ok(["--batch", "--raw", "--skip-column-names", "--default-character-set=utf8mb4"]
            .into_iter()
            .fold(program, Program::arg)
            .arg(format!("--init-command={SESSION}")))
    }

    fn program(&self, name: &str) -> Result<Program, DriverError> {
        let settings = &self.settings;
        let path = self.directory.join(name);
        if !path.is_file() {
            let message = format!("{} is no longer installed", path.display());
            return Err(DriverError::of(Trouble::ProgramMissing, message));
        }
        let mut program = Program::new(&path, &self.scratch)?.judged_by_exit_status();
        program = program.arg("--no-defaults").arg(format!("--user={}", settings.user));
        program = program.arg("--max-allowed-packet=1G");
        program = match &settings.socket {
            Some(socket) => program.arg(format!("--socket={}", socket.display())),
            None => program
                .arg("--protocol=tcp")
                .arg(format!("--host={}", settings.host))
                .arg(format!("--port={}", settings.port)),
        };
        if let Some(path) = &settings.ca_path {
            program = program.arg(format!("--ssl-ca={}", path.display())).arg("--ssl-verify-server-cert");
        }
        Ok(match &settings.password {
            Some(password) => program.secret_env("MYSQL_PWD", password.expose_secret()),
            None => program,
        })
    }
}

/// `DROP DATABASE` for those that exist.
pub(super) fn drop_database(name: &str) -> String {
    format!("DROP DATABASE IF EXISTS {};\n", quote(name))
}
