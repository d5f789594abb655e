//! A RabbitMQ server with its management plugin.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::bail;
use private_postgres::process::{ChildProcess, free_port, tethered};

use crate::place::{Place, answer};
use crate::programs::find_or_install;

/// A running RabbitMQ server with the user `guest` and its password `guest`; stopped and removed when dropped.
#[derive(Debug)]
pub struct Rabbitmq {
    program: PathBuf,
    management_port: u16,
    epmd_port: u16,
    distribution_port: u16,
    plugins: String,
    place: Place,
    /// Erlang's name server; ours, so that none stays on the machine.
    _epmd: ChildProcess,
}

impl Rabbitmq {
    /// Starts a server on free ports of 127.0.0.1.
    ///
    /// # Errors
    /// When the programs are missing and cannot be installed, or the server does not come up.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with_plugins("rabbitmq_management")
    }

    /// As [`Rabbitmq::start`], with other plugins (names with commas between them).
    ///
    /// # Errors
    /// As [`Rabbitmq::start`].
    pub fn start_with_plugins(plugins: &str) -> anyhow::Result<Self> {
        let program = find_or_install("rabbitmq-server")?;
        let place = Place::create("private-rabbitmq.")?;
        let epmd_port = free_port()?;
        let mut epmd = tethered(Path::new("epmd"));
        epmd.args(["-address", "127.0.0.1", "-port"]).arg(epmd_port.to_string());
        let epmd = ChildProcess::spawn(epmd)?;
        let mut rabbitmq = Self {
            program,
            management_port: free_port()?,
            epmd_port,
            distribution_port: free_port()?,
            plugins: plugins.to_owned(),
            place,
            _epmd: epmd,
        };
        rabbitmq.resume()?;
        Ok(rabbitmq)
    }

    /// The port of the management API on 127.0.0.1.
    #[must_use]
    pub fn management_port(&self) -> u16 {
        self.management_port
    }

    /// The file the server logs to.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.place.log_file()
    }

    /// Runs `rabbitmqctl`.
    ///
    /// # Errors
    /// With what it printed.
    pub fn ctl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = self.command(Path::new("/usr/lib/rabbitmq/bin/rabbitmqctl"), false);
        command.arg("--quiet").args(arguments);
        answer(command, "")
    }

    /// Ends the server as a power cut would.
    ///
    /// # Errors
    /// When the process cannot be signalled.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.place.kill()
    }

    /// Starts the server again on the same ports with the same data.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn resume(&mut self) -> anyhow::Result<()> {
        if self.place.is_running() {
            return Ok(());
        }
        self.place.make_directory("data")?;
        self.place.make_directory("log")?;
        self.place.write("plugins", &format!("[{}].\n", self.plugins))?;
        let configuration = format!(
            "listeners.tcp.1 = 127.0.0.1:{}\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {}\n\
             log.console = true\nlog.file = false\nvm_memory_high_watermark.absolute = 1GB\n\
             disk_free_limit.absolute = 10MB\n",
            self.place.port, self.management_port
        );
        let has_management = self.plugins.contains("management");
        let lines = configuration.lines().filter(|line| has_management || !line.starts_with("management"));
        let configuration: String = lines.flat_map(|line| [line, "\n"]).collect();
        self.place.write("rabbitmq.conf", &configuration)?;
        let command = self.command(&self.program, true);
        let probe = |place: &Place| std::fs::read_to_string(place.log_file()).unwrap_or_default();
        let already = probe(&self.place).matches("Server startup complete").count();
        let log = self.place.log_file();
        self.place.launch(command, || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            text.matches("Server startup complete").count() > already
        })?;
        self.wait_for_listener()
    }

    fn wait_for_listener(&self) -> anyhow::Result<()> {
        let patience = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", self.place.port)).is_err() {
            if Instant::now() > patience {
                bail!("RabbitMQ does not listen");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn command(&self, program: &Path, is_server: bool) -> Command {
        let mut command = self.place.command(program, is_server);
        let path = |name: &str| self.place.path(name);
        command
            .env("RABBITMQ_NODENAME", format!("test{}@localhost", self.place.port))
            .env("RABBITMQ_MNESIA_BASE", path("data"))
            .env("RABBITMQ_LOG_BASE", path("log"))
            .env("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf"))
            .env("RABBITMQ_CONF_ENV_FILE", path("none"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("plugins"))
            .env("RABBITMQ_DIST_PORT", self.distribution_port.to_string())
            .env("ERL_EPMD_PORT", self.epmd_port.to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            // The script becomes the server instead of waiting for it, so that the server dies with us.
            .env("RABBITMQ_ALLOW_INPUT", "1")
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-noinput +S 2:2")
            .env("LC_ALL", "C.UTF-8");
        command
    }
}
