//! Starting and stopping the server with the operator's commands. These are not tied to the agent's life: a server must
//! not end with the agent, and a stop that was begun is better ended.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Physical;
use crate::drivers::DriverError;
use crate::drivers::files::place::failed;
use crate::session::LimitedSession;

/// A server may replay much of its log when it starts, and write much when it stops.
const LIMIT: Duration = Duration::from_secs(600);
const QUESTION: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_MESSAGE: usize = 1000;

impl Physical {
    /// Runs the command that stops the server and waits until it is down.
    pub(super) fn stop_server(&self) -> Result<(), DriverError> {
        self.run("stop_command", &self.settings.stop_command)?;
        let lock = self.place.directory().join("postmaster.pid");
        let until = Instant::now() + LIMIT;
        while lock.exists() {
            if Instant::now() > until {
                return Err(DriverError::data_service("the server was told to stop, but goes on"));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Runs the command that starts the server, unless it answers, and waits until it does.
    pub(super) fn start_server(&self) -> Result<(), DriverError> {
        if self.answers().is_ok() {
            return Ok(());
        }
        self.run("start_command", &self.settings.start_command)?;
        let until = Instant::now() + LIMIT;
        loop {
            match self.answers() {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > until => return Err(error),
                // Nothing changes these by itself.
                Err(error @ DriverError::DataService { trouble: crate::drivers::Trouble::AccessDenied, .. }) => {
                    return Err(error);
                }
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }

    fn answers(&self) -> Result<(), DriverError> {
        self.programs.open_database(&LimitedSession::new(QUESTION)).map(drop)
    }

    fn run(&self, name: &str, command: &[String]) -> Result<(), DriverError> {
        let said = self.scratch.join("physical-command.log");
        let file = File::create(&said).map_err(failed("create", &said))?;
        let mut parts = command.iter();
        let program = parts.next().map_or("", String::as_str);
        let mut command = Command::new(program);
        command.args(parts).current_dir("/").process_group(0).stdin(Stdio::null());
        // A file, because a server that keeps the pipe open would never let us read to its end.
        command.stdout(Stdio::null()).stderr(file);
        let broken = |what: String| DriverError::data_service(format!("{name} ({program}) {what}"));
        let mut child = command.spawn().map_err(|e| broken(format!("did not start: {e}")))?;
        let until = Instant::now() + LIMIT;
        let status = loop {
            match child.try_wait().map_err(|e| broken(e.to_string()))? {
                Some(status) => break status,
                None if Instant::now() > until => {
                    // It is given up, not waited for.
                    let _ = child.kill();
                    return Err(broken("did not end".to_owned()));
                }
                None => std::thread::sleep(PAUSE),
            }
        };
        if status.success() {
            return Ok(());
        }
        let text = std::fs::read_to_string(&said).unwrap_or_default();
        let text: String = text.trim().chars().take(LONGEST_MESSAGE).collect();
        Err(broken(format!("failed ({status}): {}", text.replace('\n', " / "))))
    }
}
