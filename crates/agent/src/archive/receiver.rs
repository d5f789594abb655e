//! `pg_receivewal`, kept running on a thread of its own until dropped.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::drivers::Physical;
use crate::session::{Session, Stop};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_millis(100);

/// The running receiver. Dropping it ends the program and waits for that.
pub(super) struct Receiver {
    session: Session,
    trouble: Arc<Mutex<Option<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    pub(super) fn start(physical: Arc<Physical>, directory: PathBuf) -> Self {
        let (session, trouble) = (Session::default(), Arc::new(Mutex::new(None)));
        let (there, told) = (session.clone(), Arc::clone(&trouble));
        // The program ends with the thread that started it, so the thread waits for it.
        let thread = std::thread::spawn(move || {
            let mut pause = FIRST_PAUSE;
            while there.stopped().is_none() {
                let begun = std::time::Instant::now();
                let ended = physical.receive(&there, &directory);
                let why = ended.err().map_or_else(|| "pg_receivewal ended".to_owned(), |e| e.to_string());
                *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
                // What worked for a while is tried again soon.
                pause = if begun.elapsed() > LONGEST_PAUSE { FIRST_PAUSE } else { pause };
                let until = std::time::Instant::now() + pause;
                while there.stopped().is_none() && std::time::Instant::now() < until {
                    std::thread::sleep(GLANCE);
                }
                pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
            }
        });
        Self { session, trouble, thread: Some(thread) }
    }

    /// Why it ended the last time.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was wrong is over.
    pub(super) fn is_well(&self) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.session.stop(Stop::Interrupted);
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported already.
            let _ = thread.join();
        }
    }
}
