//! Child processes that end with their owner, and free ports for them. For the server here; open to others who start
//! programs beside it (`local-installation`).
//!
//! The kernel's parent-death signal follows the *thread* that started a child, and threads come and go, so a thread
//! of its own starts each child and waits for the owner to be done with it.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::clock::Clock;

/// A running program; killed when dropped, and when its owner is killed.
#[derive(Debug)]
pub struct ChildProcess {
    child: Child,
    /// Ends the starting thread when dropped.
    _keeper: Sender<()>,
}

impl ChildProcess {
    /// Starts the command in a process group of its own, so that Ctrl-C at a terminal reaches only the owner.
    /// The command should come from [`tethered`].
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(mut command: Command) -> anyhow::Result<Self> {
        let program = command.get_program().to_owned();
        let (started, child) = channel();
        let (keeper, end) = channel::<()>();
        std::thread::Builder::new().name("child-keeper".into()).spawn(move || {
            // Both ends fail only when the other side is gone, and then there is nothing left to keep alive.
            if started.send(command.process_group(0).spawn()).is_ok() {
                end.recv().unwrap_or_default();
            }
        })?;
        let child = child.recv().context("the starting thread died")?;
        let child = child.with_context(|| format!("{} cannot be started", program.display()))?;
        Ok(Self { child, _keeper: keeper })
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The exit status, once the process ended.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Stops it (`SIGSTOP`): it does nothing until [`ChildProcess::resume`]. It can be killed nevertheless.
    ///
    /// # Errors
    /// When the process cannot be signalled.
    pub fn pause(&self) -> anyhow::Result<()> {
        send(self.id(), Signal::SIGSTOP)
    }

    /// Lets it go on (`SIGCONT`).
    ///
    /// # Errors
    /// When the process cannot be signalled.
    pub fn resume(&self) -> anyhow::Result<()> {
        send(self.id(), Signal::SIGCONT)
    }

    /// Sends the signal and waits for the end; after `patience` sends `SIGKILL`.
    ///
    /// # Errors
    /// When the process cannot be signalled.
    pub fn end(&mut self, signal: Signal, patience: Duration) -> anyhow::Result<ExitStatus> {
        if let Some(status) = self.ended()? {
            return Ok(status);
        }
        send(self.id(), signal)?;
        let until = Instant::now() + patience;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if Instant::now() > until {
                self.child.kill()?;
                return Ok(self.child.wait()?);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // Fails only when the process is gone already, which is what we want.
        drop(self.end(Signal::SIGKILL, Duration::from_secs(5)));
    }
}

/// A command for the program whose process dies with its owner, where the system has `setpriv` to arrange that.
#[must_use]
pub fn tethered(program: &Path) -> Command {
    if !has_setpriv() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.arg("--pdeathsig=KILL").arg("--").arg(program);
    command
}

/// As [`tethered`], under a clock of its own.
#[must_use]
pub fn tethered_with_clock(program: &Path, clock: &Clock) -> Command {
    let (wrapper, arguments) = clock.prefix();
    let mut command = tethered(wrapper);
    command.args(arguments).arg(program);
    command
}

/// The processes whose parent is this one, at this moment.
pub(crate) fn children_of(parent: u32) -> Vec<u32> {
    all_ids().filter(|id| stat_of(*id).is_some_and(|stat| stat.1 == parent)).collect()
}

/// The kernel's letter for what a process does: `T` stopped, `Z` dead and not yet waited for; none when it is gone.
pub(crate) fn state_of(process: u32) -> Option<char> {
    stat_of(process).map(|stat| stat.0)
}

/// Kills every stopped process that works in this directory or below it.
pub(crate) fn kill_stopped_in(directory: &Path) {
    for id in all_ids().filter(|id| state_of(*id) == Some('T')) {
        if std::fs::read_link(format!("/proc/{id}/cwd")).is_ok_and(|place| place.starts_with(directory)) {
            // Fails when it ended meanwhile, or is another user's.
            send(id, Signal::SIGKILL).unwrap_or_default();
        }
    }
}

fn all_ids() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// State and parent. The line is `id (name) state parent …`, and the name may contain anything.
fn stat_of(process: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// A port of 127.0.0.1 nobody listens on, below the range from which the kernel takes ports for outgoing connections.
///
/// # Errors
/// When no free one is found.
pub fn free_port() -> anyhow::Result<u16> {
    for _ in 0..100 {
        let random = RandomState::new().hash_one(Instant::now());
        let port = u16::try_from(15_000 + random % 17_000)?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port was found on 127.0.0.1");
}

pub(crate) fn send(process: u32, signal: Signal) -> anyhow::Result<()> {
    kill(Pid::from_raw(i32::try_from(process)?), signal)
        .with_context(|| format!("{signal} cannot be sent to process {process}"))
}

pub(crate) fn has_setpriv() -> bool {
    ["/usr/bin/setpriv", "/bin/setpriv"].iter().any(|path| Path::new(path).exists())
}
