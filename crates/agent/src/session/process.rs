//! Starting a program so that it cannot outlive the agent, reading its standard error, and judging how it ended.
//! Secrets go to programs through their environment or standard input, never through arguments.

use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::Session;
use super::background::{Background, INHERITED, lock};
use super::complaints::Complaints;
use crate::drivers::{DriverError, Trouble};

/// `setpriv` of util-linux: asks the kernel to kill the program when the thread that started it ends, which also
/// holds after `kill -9` of the agent.
const SETPRIV: [&str; 2] = ["/usr/bin/setpriv", "/bin/setpriv"];

/// Most bytes a program may answer when its whole output is wanted at once.
const LARGEST_ANSWER: u64 = 64 * 1024 * 1024;

const PIECE: usize = 128 * 1024;

/// Most bytes that wait between the agent and a program: what every user may have.
const PIPE: i32 = 1024 * 1024;

/// Finds `setpriv`.
///
/// # Errors
/// When util-linux is not installed.
pub(crate) fn require_setpriv() -> Result<PathBuf, DriverError> {
    let found = SETPRIV.iter().map(PathBuf::from).find(|path| path.is_file());
    found.ok_or_else(|| {
        DriverError::of(Trouble::ProgramMissing, "setpriv (package util-linux) is not installed")
    })
}

/// A program to be run for an operation. Must be started and finished on the same thread.
pub(crate) struct Program {
    name: String,
    command: Command,
    secrets: Vec<String>,
    judgement: Judgement,
}

/// What tells that a program has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judgement {
    /// Its exit status, and any line on standard error that is not marked as harmless.
    StatusAndComplaints,
    /// Its exit status alone.
    Status,
}

impl Program {
    /// Prepares the program at `path` with an empty environment but for `PATH`, an English locale and `TMPDIR`.
    ///
    /// # Errors
    /// See [`require_setpriv`].
    pub(crate) fn new(path: &Path, scratch: &Path) -> Result<Self, DriverError> {
        Self::new_as(path, scratch, None)
    }

    /// As [`Self::new`], as another account (numbers of user and group) and without further groups; only root can.
    ///
    /// # Errors
    /// See [`require_setpriv`].
    pub(crate) fn new_as(
        path: &Path,
        scratch: &Path,
        account: Option<(u32, u32)>,
    ) -> Result<Self, DriverError> {
        let mut command = Command::new(require_setpriv()?);
        command.args(["--pdeathsig", "KILL"]);
        if let Some((user, group)) = account {
            command.args(["--reuid", &user.to_string(), "--regid", &group.to_string(), "--clear-groups"]);
        }
        command.arg("--").arg(path);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.env("LC_ALL", "C.UTF-8").env("TMPDIR", scratch);
        command.current_dir("/").process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, command, secrets: Vec::new(), judgement: Judgement::StatusAndComplaints })
    }

    /// Lets only the exit status decide whether the program has failed, for programs that print what they like.
    #[must_use]
    pub(crate) fn judged_by_exit_status(mut self) -> Self {
        self.judgement = Judgement::Status;
        self
    }

    /// Runs it in a directory instead of `/`.
    #[must_use]
    pub(crate) fn current_dir(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Adds an argument.
    #[must_use]
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets an environment variable whose value must not appear in any message.
    #[must_use]
    pub(crate) fn secret_env(mut self, name: &str, value: &str) -> Self {
        self.secrets.push(value.to_owned());
        self.env(name, value)
    }

    /// Makes this its standard input.
    #[must_use]
    pub(crate) fn stdin(mut self, source: impl Into<Stdio>) -> Self {
        self.command.stdin(source);
        self
    }

    /// Makes this its standard output.
    #[must_use]
    pub(crate) fn stdout(mut self, target: impl Into<Stdio>) -> Self {
        self.command.stdout(target);
        self
    }

    /// Connects standard input to a pipe.
    #[must_use]
    pub(crate) fn piped_stdin(mut self) -> Self {
        self.command.stdin(Stdio::piped());
        self
    }

    /// Connects standard output to a pipe.
    #[must_use]
    pub(crate) fn piped_stdout(mut self) -> Self {
        self.command.stdout(Stdio::piped());
        self
    }

    /// Starts the program.
    ///
    /// # Errors
    /// When it cannot be started or the session is stopped.
    pub(crate) fn start(mut self, session: &Session) -> Result<RunningProgram, DriverError> {
        session.check()?;
        let failed =
            |e: std::io::Error| DriverError::data_service(format!("{} did not start: {e}", self.name));
        let mut child = self.command.spawn().map_err(failed)?;
        let group = i32::try_from(child.id()).unwrap_or(i32::MAX);
        session.register(group);
        if let Some(pipe) = &child.stdin {
            widen(pipe);
        }
        if let Some(pipe) = &child.stdout {
            widen(pipe);
        }
        let stderr = child.stderr.take();
        let secrets = self.secrets;
        let complaints = Background::start(Complaints::new(secrets), move |complaints| {
            stderr.map_or(Ok(()), |stderr| Complaints::read(complaints, stderr))
        });
        let (name, judgement, session) = (self.name, self.judgement, session.clone());
        Ok(RunningProgram { name, child, group, session, judgement, complaints: Some(complaints) })
    }

    /// Runs the program to its end with a text as its standard input, and returns what it printed.
    ///
    /// # Errors
    /// When it fails in any way (see [`RunningProgram::finish`]) or answers more than 64 MiB or not in UTF-8.
    pub(crate) fn answer(self, session: &Session, input: String) -> Result<String, DriverError> {
        let name = self.name.clone();
        let mut running = self.piped_stdin().piped_stdout().start(session)?;
        let stdin = running.stdin();
        // In a thread of its own: the program may answer before it has read everything. What it does not
        // read it does not want, its exit status says the rest.
        std::thread::spawn(move || stdin.map(|mut pipe| pipe.write_all(input.as_bytes())));
        let stdout = running.stdout();
        let answer = Background::start(Vec::new(), move |answer| {
            let Some(stdout) = stdout else { return Ok(()) };
            let (mut stdout, mut piece) = (stdout.take(LARGEST_ANSWER), vec![0; PIECE]);
            loop {
                match stdout.read(&mut piece) {
                    Ok(0) => return Ok(()),
                    Ok(count) => lock(answer).extend_from_slice(piece.get(..count).unwrap_or_default()),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        });
        running.finish()?;
        let unreadable = |reason: &dyn std::fmt::Display| {
            DriverError::data_service(format!("the answer of {name} is unreadable: {reason}"))
        };
        String::from_utf8(answer.end().map_err(|e| unreadable(&e))?).map_err(|e| unreadable(&e))
    }
}

/// Makes room for more than the 64 KiB of a new pipe, so that neither side waits for every turn of the other. Where a user
/// may have no more, it stays as it is.
fn widen(pipe: &impl AsFd) {
    let _ = fcntl(pipe, FcntlArg::F_SETPIPE_SZ(PIPE));
}

/// A started program. Dropping it without [`RunningProgram::finish`] kills it.
pub(crate) struct RunningProgram {
    name: String,
    child: Child,
    group: i32,
    session: Session,
    judgement: Judgement,
    complaints: Option<Background<Complaints>>,
}

impl RunningProgram {
    /// Takes the pipe to standard input. Dropping it means end of input.
    pub(crate) fn stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Takes the pipe from standard output.
    pub(crate) fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Writes its standard output to `out` up to its end.
    ///
    /// # Errors
    /// When that cannot be written, and when somebody else keeps it open after the program's end: then nobody knows
    /// whether all of it is there.
    pub(crate) fn copy_stdout(&mut self, out: &mut dyn Write) -> Result<(), DriverError> {
        let Some(mut pipe) = self.stdout() else { return Ok(()) };
        let (sender, pieces) = sync_channel(2);
        std::thread::spawn(move || {
            loop {
                let mut piece = vec![0; PIECE];
                let read = pipe.read(&mut piece).map(|count| {
                    piece.truncate(count);
                    piece
                });
                match &read {
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Ok(piece) if piece.is_empty() => return,
                    _ => {}
                }
                let is_last = read.is_err();
                if sender.send(read).is_err() || is_last {
                    return;
                }
            }
        });
        let mut quiet: Option<Instant> = None;
        loop {
            match pieces.recv_timeout(Duration::from_millis(100)) {
                Ok(piece) => {
                    quiet = None;
                    piece.and_then(|piece| out.write_all(&piece)).map_err(DriverError::Stream)?;
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) if self.has_ended() => {
                    self.session.check()?;
                    if quiet.get_or_insert_with(Instant::now).elapsed() > INHERITED {
                        let message = format!(
                            "{} has ended, but a process it has started keeps its output open",
                            self.name
                        );
                        return Err(DriverError::data_service(message));
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Asks the program to end by itself (`SIGINT`).
    pub(crate) fn interrupt(&self) {
        // It may have ended already; its exit status tells.
        let _ = kill(Pid::from_raw(self.group), Signal::SIGINT);
    }

    /// Whether it has ended; it is then still to be judged by [`Self::finish`].
    pub(crate) fn has_ended(&self) -> bool {
        let ended = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
        !matches!(waitid(Id::Pid(Pid::from_raw(self.group)), ended), Ok(WaitStatus::StillAlive))
    }

    /// Makes it a program of another session: from now on that one's end is its end.
    pub(crate) fn hand_over(&mut self, session: &Session) {
        session.register(self.group);
        self.session.forget(self.group);
        self.session = session.clone();
    }

    /// Waits for the end and judges it. The pipes must have been dropped before.
    ///
    /// # Errors
    /// An exit status other than zero, a signal, or anything on standard error that is not marked as a warning or
    /// a notice; with the last lines of standard error, secrets redacted.
    pub(crate) fn finish(mut self) -> Result<(), DriverError> {
        let status = self.reap();
        let complaints = self.complaints.take().and_then(|reader| reader.end().ok()).unwrap_or_default();
        self.session.check()?;
        let status = status.map_err(|e| DriverError::data_service(format!("{}: {e}", self.name)))?;
        let ended = match status.code() {
            Some(0) if self.judgement == Judgement::Status || complaints.is_harmless() => {
                complaints.log_warnings(&self.name);
                return Ok(());
            }
            Some(0) => "printed to standard error".to_owned(),
            Some(code) => format!("ended with exit code {code}"),
            None => format!("was ended ({status})"),
        };
        Err(DriverError::data_service(format!("{} {ended}: {}", self.name, complaints.last_lines())))
    }

    /// Ends a server that would run for ever: it is asked with `signal`, and killed when it has not ended after
    /// `patience`. How it ends tells nothing.
    pub(crate) fn quit(self, signal: Signal, patience: Duration) {
        // It may have ended by itself.
        let _ = kill(Pid::from_raw(self.group), signal);
        let begin = Instant::now();
        while !self.has_ended() && begin.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits without reaping, so that the number stays ours while the rest of the group is killed; then reaps.
    fn reap(&mut self) -> std::io::Result<ExitStatus> {
        let leader = Pid::from_raw(self.group);
        let ended = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        while waitid(Id::Pid(leader), ended) == Err(nix::errno::Errno::EINTR) {}
        self.session.release(self.group);
        self.child.wait()
    }
}

impl Drop for RunningProgram {
    fn drop(&mut self) {
        if self.complaints.is_some() {
            super::kill_group(self.group);
            // The status of a program nobody waits for tells nothing.
            drop(self.reap());
        }
    }
}
