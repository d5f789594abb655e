//! Signals for a server as a whole: the postmaster and its children, each of which leads a session of its own.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::process::{ChildProcess, children_of, send, state_of};

/// How long the kernel may take to act on `SIGSTOP` and `SIGKILL`.
const PATIENCE: Duration = Duration::from_secs(10);

/// Stops the postmaster, and then its children, which can become no more.
///
/// # Errors
/// When it cannot be signalled.
pub fn pause(postmaster: &ChildProcess) -> anyhow::Result<()> {
    postmaster.pause()?;
    // A fork that was under way is over when it has stopped.
    wait_until(|| matches!(state_of(postmaster.id()), Some('T' | 'Z') | None));
    signal_children(postmaster, Signal::SIGSTOP);
    Ok(())
}

/// Lets all go on.
///
/// # Errors
/// When it cannot be signalled.
pub fn resume(postmaster: &ChildProcess) -> anyhow::Result<()> {
    signal_children(postmaster, Signal::SIGCONT);
    postmaster.resume()
}

/// Kills the postmaster and all children, running or stopped, as a power cut would: none finishes what it does.
///
/// # Errors
/// When it cannot be signalled.
pub fn kill(mut postmaster: ChildProcess) -> anyhow::Result<()> {
    pause(&postmaster)?;
    let children = children_of(postmaster.id());
    postmaster.end(Signal::SIGKILL, PATIENCE)?;
    for child in &children {
        // Fails when it has ended already.
        send(*child, Signal::SIGKILL).unwrap_or_default();
    }
    wait_until(|| children.iter().all(|child| matches!(state_of(*child), Some('Z') | None)));
    Ok(())
}

fn signal_children(postmaster: &ChildProcess, signal: Signal) {
    for child in children_of(postmaster.id()) {
        // Fails when it has ended meanwhile.
        send(child, signal).unwrap_or_default();
    }
}

fn wait_until(is_met: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_met() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(2));
    }
}
