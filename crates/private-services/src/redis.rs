//! A Redis server.

use std::path::PathBuf;
use std::process::Command;

use crate::place::{Place, answer};
use crate::programs::find_or_install;

/// A running Redis server; stopped and removed when dropped.
#[derive(Debug)]
pub struct Redis {
    program: PathBuf,
    settings: Vec<(String, String)>,
    place: Place,
}

impl Redis {
    /// Starts a server on a free port of 127.0.0.1 that writes to its disk only when told to.
    ///
    /// # Errors
    /// When the program is missing and cannot be installed, or the server does not come up.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(&[])
    }

    /// As [`Redis::start`], with lines of its configuration, for example `("requirepass", "secret")`.
    ///
    /// # Errors
    /// As [`Redis::start`].
    pub fn start_with(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let program = find_or_install("redis-server")?;
        let settings = settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let mut redis = Self { program, settings, place: Place::create("private-redis.")? };
        redis.resume()?;
        Ok(redis)
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.place.port
    }

    /// The file the server logs to.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.place.log_file()
    }

    /// `redis-cli` for this server, as the one who may do all.
    #[must_use]
    pub fn client(&self) -> Command {
        client(self.port(), self.password().as_deref())
    }

    /// Runs one command of Redis; the answer as `redis-cli` prints it.
    ///
    /// # Errors
    /// When the server refuses it.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = self.client();
        command.args(arguments);
        answer(command, "")
    }

    /// Runs a Lua script, which is how tests make and compare much data.
    ///
    /// # Errors
    /// When the script fails.
    pub fn script(&self, text: &str) -> anyhow::Result<String> {
        self.run(&["EVAL", text, "0"])
    }

    /// Runs many commands, one per line.
    ///
    /// # Errors
    /// When the server refuses one.
    pub fn run_all(&self, lines: &str) -> anyhow::Result<String> {
        answer(self.client(), lines)
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

    /// Starts the server again on the same port with what is on its disk.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn resume(&mut self) -> anyhow::Result<()> {
        if self.place.is_running() {
            return Ok(());
        }
        let mut command = self.place.command(&self.program, true);
        command.arg("--port").arg(self.port().to_string());
        command.args(["--bind", "127.0.0.1", "--save", "", "--daemonize", "no"]);
        command.args(["--repl-diskless-sync-delay", "0"]);
        for (name, value) in &self.settings {
            command.arg(format!("--{name}")).arg(value);
        }
        let (port, password) = (self.port(), self.password());
        let ready = || {
            let mut client = client(port, password.as_deref());
            client.arg("PING");
            answer(client, "").is_ok_and(|said| said == "PONG")
        };
        self.place.launch(command, ready)
    }

    fn password(&self) -> Option<String> {
        let found = self.settings.iter().find(|(name, _)| name == "requirepass");
        found.map(|(_, password)| password.clone())
    }
}

fn client(port: u16, password: Option<&str>) -> Command {
    let mut command = Command::new("redis-cli");
    command.args(["-h", "127.0.0.1", "-e", "-p"]).arg(port.to_string());
    if let Some(password) = password {
        command.env("REDISCLI_AUTH", password);
    }
    command
}
