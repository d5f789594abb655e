//! A MariaDB server.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;

use crate::place::{Place, answer};
use crate::programs::find_or_install;

/// A running MariaDB server whose `root` needs no password; stopped and removed when dropped.
#[derive(Debug)]
pub struct Mariadb {
    program: PathBuf,
    settings: Vec<String>,
    place: Place,
}

impl Mariadb {
    /// Starts a server on a free port of 127.0.0.1, as tests want it: fast, not durable.
    ///
    /// # Errors
    /// When the programs are missing and cannot be installed, or the server does not come up.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(&[])
    }

    /// As [`Mariadb::start`], with further options of `mariadbd`, for example `--max-connections=20`.
    ///
    /// # Errors
    /// As [`Mariadb::start`].
    pub fn start_with(settings: &[&str]) -> anyhow::Result<Self> {
        let program = find_or_install("mariadb-server")?;
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut mariadb = Self { program, settings, place: Place::create("private-mariadb.")? };
        mariadb.init()?;
        mariadb.resume()?;
        Ok(mariadb)
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.place.port
    }

    /// The path of the Unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.place.path("mariadb.sock")
    }

    /// The file the server logs to.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.place.log_file()
    }

    /// The client program, connected as `root`.
    #[must_use]
    pub fn client(&self) -> Command {
        client(&self.socket())
    }

    /// Runs SQL statements in a database (none: `""`); the rows, with tabs between columns.
    ///
    /// # Errors
    /// With the server's first error.
    pub fn sql(&self, database: &str, sql: &str) -> anyhow::Result<String> {
        let mut command = self.client();
        if !database.is_empty() {
            command.arg(format!("--database={database}"));
        }
        answer(command, sql)
    }

    /// The process id of the server, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.place.id()
    }

    /// Ends the server cleanly.
    ///
    /// # Errors
    /// When the process cannot be signalled.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.place.stop()
    }

    /// Ends the server as a power cut would.
    ///
    /// # Errors
    /// When the process cannot be signalled.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.place.kill()
    }

    /// Starts the server again on the same port with the same data.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn resume(&mut self) -> anyhow::Result<()> {
        if self.place.is_running() {
            return Ok(());
        }
        let mut command = self.place.command(&self.program, true);
        let path = |name: &str| self.place.path(name).display().to_string();
        command.args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-log-bin", "--loose-skip-ssl"]);
        command.args(["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M"]);
        command.args(["--innodb-log-file-size=16M", "--aria-pagecache-buffer-size=8M"]);
        command.arg(format!("--datadir={}", path("data"))).arg(format!("--port={}", self.port()));
        command.arg(format!("--socket={}", path("mariadb.sock")));
        command.arg(format!("--pid-file={}", path("mariadb.pid")));
        command.arg(format!("--tmpdir={}", path("tmp")));
        command.args(&self.settings);
        let socket = self.socket();
        self.place.launch(command, || answer(client(&socket), "SELECT 1;").is_ok())
    }

    fn init(&self) -> anyhow::Result<()> {
        self.place.make_directory("tmp")?;
        let data = self.place.make_directory("data")?;
        let mut command = self.place.command(Path::new("/usr/bin/mariadb-install-db"), false);
        command.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        command.args(["--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0"]);
        // Cannot be changed later.
        command.args(self.settings.iter().filter(|setting| setting.starts_with("--innodb-page-size=")));
        command.arg(format!("--datadir={}", data.display()));
        command.arg(format!("--tmpdir={}", self.place.path("tmp").display()));
        let output = command.output()?;
        if !output.status.success() {
            bail!("mariadb-install-db failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

fn client(socket: &Path) -> Command {
    let mut command = Command::new("mariadb");
    command.args(["--no-defaults", "--user=root", "--batch", "--skip-column-names", "--raw"]);
    command.arg("--default-character-set=utf8mb4").arg(format!("--socket={}", socket.display()));
    command
}
