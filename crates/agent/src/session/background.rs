//! Reading what a program prints without waiting for ever: a daemon it has started may have inherited the pipe, and
//! keep it open long after the program has ended.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a pipe may stay open after the end of the program it belongs to.
pub(super) const INHERITED: Duration = Duration::from_secs(3);

/// Something that is read by a thread of its own.
pub(super) struct Background<T> {
    content: Arc<Mutex<T>>,
    thread: JoinHandle<io::Result<()>>,
}

impl<T: Default + Send + 'static> Background<T> {
    /// Starts reading; `read` must not hold the lock while it waits for more.
    pub(super) fn start(content: T, read: impl FnOnce(&Mutex<T>) -> io::Result<()> + Send + 'static) -> Self {
        let content = Arc::new(Mutex::new(content));
        let shared = Arc::clone(&content);
        Self { content, thread: std::thread::spawn(move || read(&shared)) }
    }

    /// What was read, for a program that has ended.
    pub(super) fn end(self) -> io::Result<T> {
        let begin = Instant::now();
        while !self.thread.is_finished() && begin.elapsed() < INHERITED {
            std::thread::sleep(Duration::from_millis(1));
        }
        match self.thread.is_finished() {
            true => self.thread.join().unwrap_or(Ok(()))?,
            false => {
                tracing::warn!("a program has ended, but a process it has started keeps its output open")
            }
        }
        Ok(std::mem::take(&mut *lock(&self.content)))
    }
}

/// What is locked stays usable whatever happened to a thread.
pub(super) fn lock<T>(content: &Mutex<T>) -> MutexGuard<'_, T> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}
