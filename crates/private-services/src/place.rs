//! What all servers have in common: a directory, an account, a port, and a process that can be ended and started again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use private_postgres::process::{ChildProcess, free_port};
use private_postgres::user::ServerUser;
use private_postgres::{OwnedDirectory, tree};

/// The place of one server.
#[derive(Debug)]
pub(crate) struct Place {
    user: ServerUser,
    pub(crate) port: u16,
    process: Option<ChildProcess>,
    // Last: removed after the process ended.
    directory: OwnedDirectory,
}

impl Place {
    /// A directory `<temporary>/<prefix>XXXXXX` and a free port.
    pub(crate) fn create(prefix: &str) -> anyhow::Result<Self> {
        let user = ServerUser::choose()?;
        let directory = OwnedDirectory::create(&user.temporary_directory(), prefix)?;
        user.own(directory.path())?;
        Ok(Self { user, port: free_port()?, process: None, directory })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Makes a directory the server may write to.
    pub(crate) fn make_directory(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.path(name);
        std::fs::create_dir_all(&path)?;
        self.user.own(&path)?;
        Ok(path)
    }

    /// Writes a file the server may read.
    pub(crate) fn write(&self, name: &str, content: &str) -> anyhow::Result<PathBuf> {
        let path = self.path(name);
        std::fs::write(&path, content)?;
        self.user.own(&path)?;
        Ok(path)
    }

    /// A command that runs as the server's account, in the server's directory.
    pub(crate) fn command(&self, program: &Path, is_server: bool) -> Command {
        let mut command = self.user.command(program, is_server);
        command.current_dir(self.directory()).stdin(Stdio::null()).env("HOME", self.directory());
        command
    }

    /// Starts the server and waits until `is_ready`.
    pub(crate) fn launch(&mut self, mut command: Command, is_ready: impl Fn() -> bool) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(self.log_file());
        let log = log.context("the server's log cannot be written")?;
        command.stdout(log.try_clone()?).stderr(log);
        let mut process = ChildProcess::spawn(command)?;
        let patience = Instant::now() + Duration::from_secs(120);
        while !is_ready() {
            if let Some(status) = process.ended()? {
                bail!("the server ended with {status} before it was ready:\n{}", self.log_tail());
            }
            if Instant::now() > patience {
                bail!("the server was not ready after two minutes:\n{}", self.log_tail());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.process = Some(process);
        Ok(())
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// The process id, while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.process.as_ref().map(ChildProcess::id)
    }

    /// Ends it with SIGTERM and waits.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        let process = self.process.take();
        process.map_or(Ok(()), |mut process| process.end(Signal::SIGTERM, Duration::from_secs(60)).map(drop))
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().map_or(Ok(()), tree::kill)
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        self.path("server.log")
    }

    fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(self.log_file()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(20)).copied().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The data go with the directory, so nothing is lost. Nobody is left to hear of an error.
        drop(self.kill());
    }
}

/// Runs a client program with a text as its input; returns what it printed, without the last newline.
pub(crate) fn answer(mut command: Command, input: &str) -> anyhow::Result<String> {
    use std::io::Write;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let name = command.get_program().to_owned();
    let mut child = command.spawn().with_context(|| format!("{} cannot be started", name.display()))?;
    let stdin = child.stdin.take();
    let output = std::thread::scope(|scope| {
        scope.spawn(|| stdin.map(|mut pipe| pipe.write_all(input.as_bytes())));
        child.wait_with_output()
    })?;
    if !output.status.success() {
        bail!(
            "{} failed: {} {}",
            name.display(),
            String::from_utf8_lossy(&output.stdout).trim(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8(output.stdout)?.trim_end_matches('\n').to_owned())
}
