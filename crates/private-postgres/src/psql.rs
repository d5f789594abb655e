//! Talks to the server through `psql`, the one client that is always beside it.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::server::Server;

impl Server {
    /// Runs SQL (one statement or many) and returns the rows unaligned: columns divided by `|`, rows by line ends.
    ///
    /// # Errors
    /// With what `psql` printed, at the first statement that fails.
    pub fn psql(&self, database: &str, sql: &str) -> anyhow::Result<String> {
        let mut child = self
            .client("psql", database)
            .args([
                "--no-psqlrc",
                "--quiet",
                "--tuples-only",
                "--no-align",
                "--set=ON_ERROR_STOP=1",
                "--file=-",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("psql cannot be started")?;
        let mut input = child.stdin.take().context("psql has no standard input")?;
        let text = sql.to_owned();
        // From a thread of its own: psql may answer before it has read everything. A write fails when psql gave up;
        // its exit status and standard error say why.
        let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
        let output = child.wait_with_output()?;
        let written = writer.join();
        if !output.status.success() {
            bail!("psql failed in database {database}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        drop(written);
        Ok(String::from_utf8(output.stdout)
            .context("psql answered something that is not UTF-8")?
            .trim_end()
            .to_owned())
    }

    /// Creates an empty database.
    ///
    /// # Errors
    /// When it exists or the server refuses.
    pub fn create_database(&self, name: &str) -> anyhow::Result<()> {
        self.psql("postgres", &format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\""))).map(drop)
    }

    /// A command for one of the client programs (`psql`, `pg_dump`, …), its connection given through the environment.
    #[must_use]
    pub fn client(&self, program: &str, database: &str) -> Command {
        let mut command = Command::new(self.binaries().program(program));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(name);
            }
        }
        command
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.port().to_string())
            .env("PGUSER", "postgres")
            .env("PGDATABASE", database)
            .env("PGCLIENTENCODING", "UTF8");
        if let Some(password) = self.password() {
            command.env("PGPASSWORD", password);
        }
        command
    }
}
