//! Waiting for something to arrive on a database connection. The driver does not tell its socket, so it is found among the
//! descriptors of the process: those that appeared while the connection was made. One too many, opened by another
//! thread at that moment, costs a needless look now and then; none (not on Linux) means looking by the clock.
//! Nothing is ever read from these descriptors here, and the kernel forgets those that are closed.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

/// How often to look when no socket was found.
const BY_THE_CLOCK: Duration = Duration::from_millis(10);
const STOP: Token = Token(0);
const ARRIVAL: Token = Token(1);

/// A thread's place to wait.
#[derive(Debug)]
pub(super) struct Arrivals {
    poll: Poll,
    events: Events,
    watched: Vec<RawFd>,
}

impl Arrivals {
    /// Makes a place to wait, and the means to end any wait.
    pub(super) fn new() -> io::Result<(Self, Arc<Waker>)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), STOP)?;
        Ok((Self { poll, events: Events::with_capacity(16), watched: Vec::new() }, Arc::new(waker)))
    }

    /// Makes a connection and watches it, and no other from before.
    pub(super) fn connect<C, E>(&mut self, connect: impl FnOnce() -> Result<C, E>) -> Result<C, E> {
        for descriptor in self.watched.drain(..) {
            // It is closed by now, and the kernel has seen to it.
            let _ = self.poll.registry().deregister(&mut SourceFd(&descriptor));
        }
        let before = sockets();
        let conn = connect()?;
        for (descriptor, _) in sockets().into_iter().filter(|socket| !before.contains(socket)) {
            // Not a socket any more if this fails: somebody else's.
            if self.poll.registry().register(&mut SourceFd(&descriptor), ARRIVAL, Interest::READABLE).is_ok() {
                self.watched.push(descriptor);
            }
        }
        Ok(conn)
    }

    /// Waits until something may have arrived, or until woken, at most this long. Whoever returns from here reads
    /// everything there is: only what arrives later ends the next wait.
    pub(super) fn wait(&mut self, longest: Duration) {
        let longest = if self.watched.is_empty() { longest.min(BY_THE_CLOCK) } else { longest };
        // Interrupted by a signal: then the caller looks once too often.
        let _ = self.poll.poll(&mut self.events, Some(longest));
    }

    /// Waits this long, or until woken.
    pub(super) fn rest(&mut self, pause: Duration) {
        let _ = self.poll.poll(&mut self.events, Some(pause));
    }
}

/// The sockets of this process, each with its inode, since a number is given out again.
fn sockets() -> HashSet<(RawFd, PathBuf)> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return HashSet::new() };
    let socket = |entry: fs::DirEntry| {
        let descriptor = entry.file_name().to_str()?.parse().ok()?;
        let target = fs::read_link(entry.path()).ok()?;
        target.to_str()?.starts_with("socket:").then_some((descriptor, target))
    };
    entries.flatten().filter_map(socket).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Instant;

    use super::*;

    #[test]
    fn what_arrives_on_a_new_connection_ends_the_wait() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let (mut arrivals, waker) = Arrivals::new().unwrap();
        for _ in 0..2 {
            let mut conn = arrivals.connect(|| TcpStream::connect(address)).unwrap();
            let (mut other_end, _) = server.accept().unwrap();
            assert!(!arrivals.watched.is_empty());
            other_end.write_all(b"a").unwrap();
            let started = Instant::now();
            while conn.peek(&mut [0]).is_err() {}
            arrivals.wait(Duration::from_secs(600));
            conn.read_exact(&mut [0]).unwrap();
            waker.wake().unwrap();
            arrivals.rest(Duration::from_secs(600));
            assert!(started.elapsed() < Duration::from_secs(600));
        }
    }
}
