//! One program of the installation as a process: started, killed, started again, its log kept in a file.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use private_postgres::clock::Clock;
use private_postgres::process::{ChildProcess, tethered, tethered_with_clock};

/// A program with its arguments, environment and log; running or not.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    log: PathBuf,
    process: Option<ChildProcess>,
    is_paused: bool,
    clock: Option<Clock>,
}

impl Daemon {
    /// Describes a program without starting it. Its log goes to `<log folder>/<name>.log`.
    #[must_use]
    pub fn new(name: &str, program: &Path, arguments: &[&str], log_directory: &Path) -> Self {
        Self {
            name: name.to_owned(),
            program: program.to_owned(),
            arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
            environment: Vec::new(),
            log: log_directory.join(format!("{name}.log")),
            process: None,
            is_paused: false,
            clock: None,
        }
    }

    /// Sets an environment variable from the next start on.
    pub fn set_environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Gives it, from the next start on, a wall clock of its own that goes right until it is set.
    ///
    /// # Errors
    /// When there is no `libfaketime` ([`Clock::is_available`]), or the file cannot be written.
    pub fn give_clock(&mut self, file: &Path) -> anyhow::Result<()> {
        self.clock = Some(Clock::create(file)?);
        Ok(())
    }

    /// Sets its wall clock this many seconds ahead of the machine's, or behind it; it sees that within a second.
    ///
    /// # Errors
    /// When it has no clock of its own ([`Daemon::give_clock`]), or the file cannot be written.
    pub fn set_clock(&self, seconds: i64) -> anyhow::Result<()> {
        let clock = self.clock.as_ref();
        clock.with_context(|| format!("{} has no clock of its own", self.name))?.set(seconds)
    }

    /// The name it was given, for example `worker-1`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file of its log.
    #[must_use]
    pub fn log_file(&self) -> &Path {
        &self.log
    }

    /// Everything it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        all.iter().skip(all.len().saturating_sub(lines)).copied().collect::<Vec<_>>().join("\n")
    }

    /// The process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(ChildProcess::id)
    }

    /// Starts it; the log is continued. Variables of the environment that would override its configuration are removed.
    ///
    /// # Errors
    /// When it runs already or cannot be started.
    pub fn start(&mut self) -> anyhow::Result<()> {
        if self.is_running()? {
            bail!("{} is running already", self.name);
        }
        let log =
            File::options().create(true).append(true).open(&self.log).context("no log can be written")?;
        let mut command = match &self.clock {
            Some(clock) => tethered_with_clock(&self.program, clock),
            None => tethered(&self.program),
        };
        command.args(&self.arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("BACKUP_") || text.starts_with("PG") {
                command.env_remove(&name);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.process = Some(ChildProcess::spawn(command)?);
        self.is_paused = false;
        Ok(())
    }

    /// Tells whether it runs.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn is_running(&mut self) -> anyhow::Result<bool> {
        match &mut self.process {
            Some(process) => Ok(process.ended()?.is_none()),
            None => Ok(false),
        }
    }

    /// Stops it (`SIGSTOP`): it does nothing, holds what it has, and can be killed. What it started goes on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&mut self) -> anyhow::Result<()> {
        self.process.as_ref().with_context(|| format!("{} does not run", self.name))?.pause()?;
        self.is_paused = true;
        Ok(())
    }

    /// Lets it go on after [`Daemon::pause`].
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&mut self) -> anyhow::Result<()> {
        self.process.as_ref().with_context(|| format!("{} does not run", self.name))?.resume()?;
        self.is_paused = false;
        Ok(())
    }

    /// Tells whether it was paused and neither resumed nor killed since.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Kills it at once (`SIGKILL`), as a crash would; also while it is paused.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.end(Signal::SIGKILL, Duration::from_secs(5)).map(drop)
    }

    /// Asks it to stop (`SIGTERM`) and waits, having resumed it if it was paused; an error when it had to be killed after `patience`.
    ///
    /// # Errors
    /// When it does not run, or does not end in time.
    pub fn terminate(&mut self, patience: Duration) -> anyhow::Result<ExitStatus> {
        if self.is_paused {
            self.resume()?;
        }
        let status = self.end(Signal::SIGTERM, patience)?;
        if status.signal() == Some(9) {
            bail!("{} did not end within {patience:?} after SIGTERM", self.name);
        }
        Ok(status)
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// When it still runs after `patience`.
    pub fn wait(&mut self, patience: Duration) -> anyhow::Result<ExitStatus> {
        let until = Instant::now().checked_add(patience).context("too much patience")?;
        loop {
            let process = self.process.as_mut().with_context(|| format!("{} was not started", self.name))?;
            if let Some(status) = process.ended()? {
                return Ok(status);
            }
            if Instant::now() > until {
                bail!("{} still runs after {patience:?}", self.name);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the condition holds; fails as soon as the program has ended.
    ///
    /// # Errors
    /// With the last lines of the log.
    pub fn wait_until(
        &mut self,
        what: &str,
        patience: Duration,
        is_met: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<()> {
        let until = Instant::now().checked_add(patience).context("too much patience")?;
        while !is_met(self) {
            if !self.is_running()? {
                bail!("{} ended before it was {what}:\n{}", self.name, self.log_tail(20));
            }
            if Instant::now() > until {
                bail!("{} was not {what} within {patience:?}:\n{}", self.name, self.log_tail(20));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Waits until the log contains the text.
    ///
    /// # Errors
    /// With the last lines of the log.
    pub fn wait_for_log(&mut self, text: &str, patience: Duration) -> anyhow::Result<()> {
        self.wait_until(&format!("heard to say {text:?}"), patience, |daemon| daemon.log().contains(text))
    }

    fn end(&mut self, signal: Signal, patience: Duration) -> anyhow::Result<ExitStatus> {
        let mut process = self.process.take().with_context(|| format!("{} does not run", self.name))?;
        self.is_paused = false;
        process.end(signal, patience)
    }
}
