//! Starting, stopping and addressing the server.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::Signal;

use crate::binaries::Binaries;
use crate::clock::Clock;
use crate::directory::OwnedDirectory;
use crate::options::Options;
use crate::process::{ChildProcess, free_port};
use crate::ready::wait_until_ready;
use crate::tree;
use crate::user::ServerUser;

/// A longer path does not fit into a socket's address.
const LONGEST_SOCKET_DIRECTORY: usize = 85;

/// A running PostgreSQL server with the superuser `postgres`; stopped and removed when dropped.
#[derive(Debug)]
pub struct Server {
    options: Options,
    binaries: Binaries,
    user: ServerUser,
    port: u16,
    process: Option<ChildProcess>,
    is_paused: bool,
    clock: Option<Clock>,
    // Last: removed after the process ended.
    directory: OwnedDirectory,
}

impl Server {
    /// Starts a server as tests want it: fast, not durable, on a free port of 127.0.0.1, trusting everybody there.
    ///
    /// # Errors
    /// When there are no server programs (see [`Binaries::find_or_install`]) or the server does not come up.
    pub fn start() -> anyhow::Result<Self> {
        Self::start_with(Options::default())
    }

    /// Starts a server with the given options.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_with(options: Options) -> anyhow::Result<Self> {
        let mut server = Self::without_data(options)?;
        server.init()?;
        server.launch_on_free_port()?;
        Ok(server)
    }

    /// Programs, user, directory and clock of a server to be.
    pub(crate) fn without_data(options: Options) -> anyhow::Result<Self> {
        let binaries = Binaries::find_or_install()?;
        let user = ServerUser::choose()?;
        let directory = OwnedDirectory::create(&user.temporary_directory(), "private-postgres.")?;
        user.own(directory.path())?;
        let clock = match options.has_clock {
            true => Some(Clock::create(&directory.path().join("clock"))?),
            false => None,
        };
        Ok(Self { options, binaries, user, port: 0, process: None, is_paused: false, clock, directory })
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A connection URL of the superuser for this database.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let password = self.password().map(|password| format!(":{password}")).unwrap_or_default();
        format!("postgres://postgres{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// The folder of `psql`, `pg_dump`, `pg_restore` and the others, of the server's own version.
    #[must_use]
    pub fn bin_directory(&self) -> &Path {
        self.binaries.directory()
    }

    /// The file the server logs to.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.directory.path().join("server.log")
    }

    /// The folder of the Unix socket.
    #[must_use]
    pub fn socket_directory(&self) -> &Path {
        self.directory.path()
    }

    /// The process id of the postmaster, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(ChildProcess::id)
    }

    /// Ends the server cleanly (fast shutdown); the data stay until the value is dropped.
    ///
    /// # Errors
    /// When the process cannot be signalled.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.end(Signal::SIGINT)
    }

    /// Ends the server as a power cut would (`SIGKILL` to all its processes).
    ///
    /// # Errors
    /// When the process cannot be signalled.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.is_paused = false;
        self.process.take().map_or(Ok(()), tree::kill)
    }

    /// Stops all its processes (`SIGSTOP`): connections stay open and are not answered, until [`Server::unpause`].
    ///
    /// # Errors
    /// When it does not run, or cannot be signalled.
    pub fn pause(&mut self) -> anyhow::Result<()> {
        tree::pause(self.process.as_ref().context("the server does not run")?)?;
        self.is_paused = true;
        Ok(())
    }

    /// Lets all its processes go on (`SIGCONT`).
    ///
    /// # Errors
    /// When it does not run, or cannot be signalled.
    pub fn unpause(&mut self) -> anyhow::Result<()> {
        tree::resume(self.process.as_ref().context("the server does not run")?)?;
        self.is_paused = false;
        Ok(())
    }

    /// Sets the server's wall clock this many seconds ahead of the machine's, or behind it.
    ///
    /// # Errors
    /// When it has none of its own ([`Options::clock`]), or the clock's file cannot be written.
    pub fn set_clock(&self, seconds: i64) -> anyhow::Result<()> {
        self.clock.as_ref().context("the server has no clock of its own")?.set(seconds)
    }

    /// Starts the server again after [`Server::stop`] or [`Server::kill`] on the same port with the same data.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn resume(&mut self) -> anyhow::Result<()> {
        if self.process.is_none() { self.launch_patiently() } else { Ok(()) }
    }

    /// Stops the server and starts it again on the same port with the same data.
    ///
    /// # Errors
    /// When it does not stop or does not come up.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.stop()?;
        self.launch_patiently()
    }

    pub(crate) fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// The superuser's password, if one is demanded.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        self.options.password.as_deref()
    }

    fn end(&mut self, signal: Signal) -> anyhow::Result<()> {
        if self.is_paused {
            // It would not hear of any other signal.
            return self.kill();
        }
        self.process
            .take()
            .map_or(Ok(()), |mut process| process.end(signal, Duration::from_secs(30)).map(drop))
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A command that runs one of the server programs as the server's user, in its directory.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = self.user.command(&self.binaries.program(name), false);
        command.current_dir(self.directory.path()).stdin(Stdio::null());
        command
    }

    fn init(&self) -> anyhow::Result<()> {
        let mut command = self.program("initdb");
        command
            .args([
                "--no-instructions",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--username=postgres",
                "--no-sync",
            ])
            .arg("--pgdata")
            .arg(self.data());
        let password_file = self.directory.path().join("password");
        if let Some(password) = self.password() {
            std::fs::write(&password_file, password)?;
            self.user.own(&password_file)?;
            command.arg("--auth=scram-sha-256").arg("--pwfile").arg(&password_file);
        } else {
            command.arg("--auth=trust");
        }
        let output = command
            .output()
            .context("initdb cannot be started (as root, setpriv of util-linux is needed)")?;
        if !output.status.success() {
            bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        if password_file.exists() {
            std::fs::remove_file(password_file)?;
        }
        Ok(())
    }

    /// Somebody else may take the free port between our look and the server's: then another one is tried.
    pub(crate) fn launch_on_free_port(&mut self) -> anyhow::Result<()> {
        if let Some(port) = self.options.port {
            self.port = port;
            return self.launch_patiently();
        }
        let mut attempts = 0;
        loop {
            self.port = free_port()?;
            attempts += 1;
            match self.launch() {
                Err(error) if attempts < 5 && format!("{error:#}").contains("in use") => {}
                result => return result,
            }
        }
    }

    /// After a kill, orphaned children hold the shared memory for a moment; a connection may sit on our port.
    fn launch_patiently(&mut self) -> anyhow::Result<()> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match self.launch() {
                Err(error) if attempts < 40 && is_transient(&format!("{error:#}")) => {
                    std::thread::sleep(Duration::from_millis(100));
                }
                result => return result,
            }
        }
    }

    fn launch(&mut self) -> anyhow::Result<()> {
        let socket_directory = self.directory.path().to_string_lossy().into_owned();
        let socket_directory =
            if socket_directory.len() > LONGEST_SOCKET_DIRECTORY { String::new() } else { socket_directory };
        let program = self.binaries.program("postgres");
        let mut command = match &self.clock {
            Some(clock) => self.user.command_with_clock(&program, clock),
            None => self.user.command(&program, true),
        };
        command.arg("-D").arg(self.data()).arg("-p").arg(self.port.to_string());
        command.args(["-c", "listen_addresses=127.0.0.1"]);
        command.arg("-c").arg(format!("unix_socket_directories={socket_directory}"));
        for (name, value) in self.options.all_settings() {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        let log = File::options().create(true).append(true).open(self.log_file());
        let log = log.context("the server's log cannot be written")?;
        command.current_dir(self.directory.path()).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut process = ChildProcess::spawn(command)?;
        wait_until_ready(&mut process, &self.data(), &self.log_file())?;
        self.process = Some(process);
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The data go with the directory, so an immediate shutdown loses nothing. Nobody is left to hear of an error.
        drop(self.end(Signal::SIGQUIT));
    }
}

/// A port, a shared memory block or a lock file of the predecessor.
fn is_transient(message: &str) -> bool {
    message.contains("in use") || message.contains("already exists")
}
