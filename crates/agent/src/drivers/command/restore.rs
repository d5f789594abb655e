//! A restore by the operator's programs: the stream is written while it is read, the end of input is withheld until the
//! pipeline says that the stream was whole. How far it is stands in a [`Record`](crate::drivers::record::Record).

use std::fs::File;
use std::io::{PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::programs::{Programs, Task};
use crate::drivers::{DriverError, Loaded};
use crate::session::{LimitedSession, RunningProgram, Session};

/// How long the removal of what a restore has left may take.
const DISCARD_LIMIT: Duration = Duration::from_secs(3600);

/// How far a restore is; there is no record of one that needs neither `commit` nor `discard`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Progress {
    restore: String,
    /// The restore program has ended well, and the exchange may have begun.
    is_loaded: bool,
}

/// Feeds the restore program.
pub(super) fn load(
    programs: &Arc<Programs>,
    session: &Session,
    restore: &str,
    input: &mut dyn Read,
) -> Result<Box<dyn Loaded>, DriverError> {
    note(programs, restore, false)?;
    match feed(programs, session, restore, input) {
        Ok(feeding) => {
            Ok(Box::new(Fed { programs: Arc::clone(programs), restore: restore.to_owned(), feeding }))
        }
        Err(error) => {
            discard_or_log(programs, restore);
            Err(error)
        }
    }
}

fn feed(
    programs: &Programs,
    session: &Session,
    restore: &str,
    input: &mut dyn Read,
) -> Result<Feeding, DriverError> {
    let mut feeding = Feeding::start(programs, session, restore)?;
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let read = input.read(&mut buffer).map_err(DriverError::Stream)?;
        if read == 0 {
            return Ok(feeding);
        }
        if feeding.stdin.write_all(buffer.get(..read).unwrap_or_default()).is_err() {
            // It has closed its input; how it ended says why.
            return Err(feeding.abandoned());
        }
    }
}

/// The restore program at work. Its input ends by [`Feeding::end`] only. In every other case the program is killed before
/// the pipe is closed, so that it never takes a broken stream for a whole one: here by the order of the fields, and after
/// a kill of the agent because the pipe is held by a second process, which the kernel kills after the first.
struct Feeding {
    running: RunningProgram,
    holder: RunningProgram,
    stdin: PipeWriter,
}

impl Feeding {
    fn start(programs: &Programs, session: &Session, restore: &str) -> Result<Self, DriverError> {
        let failed = |e| DriverError::data_service(format!("a pipe cannot be made or shared: {e}"));
        let (source, stdin) = std::io::pipe().map_err(failed)?;
        let hold = || -> Result<RunningProgram, DriverError> {
            let pipe = stdin.try_clone().map_err(failed)?;
            // What it says when it is killed is of no interest, so it belongs to nobody's session.
            programs.holder()?.stdin(pipe).start(&Session::default())
        };
        // The kernel kills in the order of the starts. The first holder is there for the moment between the start of
        // the program and that of the second one.
        let first = hold()?;
        let running = programs.program(Task::Restore, Some(restore))?.stdin(source).start(session)?;
        let holder = hold()?;
        drop(first);
        Ok(Self { running, holder, stdin })
    }

    /// Closes the input and waits for the program's end, which must come after it has read everything.
    fn end(self) -> Result<(), DriverError> {
        if self.running.has_ended() {
            return Err(self.abandoned());
        }
        // A second reader, only now: before, it would hide that the program has closed its input.
        let own = format!("/proc/self/fd/{}", self.stdin.as_raw_fd());
        let left = File::open(Path::new(&own));
        let mut left = left.map_err(|e| DriverError::data_service(format!("{own} cannot be opened: {e}")))?;
        let Self { running, holder, stdin } = self;
        drop(holder);
        drop(stdin);
        running.finish()?;
        match left.read(&mut [0]) {
            Ok(0) => Ok(()),
            _ => Err(too_early()),
        }
    }

    /// The program has closed its input, or ended; how it ended says why.
    fn abandoned(self) -> DriverError {
        let Self { running, holder, stdin } = self;
        drop(holder);
        drop(stdin);
        running.finish().err().unwrap_or_else(too_early)
    }
}

fn too_early() -> DriverError {
    DriverError::data_service("the restore program ended before the end of its input")
}

/// Everything is written; the restore program waits for more, or for the end.
struct Fed {
    programs: Arc<Programs>,
    restore: String,
    feeding: Feeding,
}

impl Loaded for Fed {
    fn commit(self: Box<Self>, _: &Session) -> Result<(), DriverError> {
        let Self { programs, restore, mut feeding } = *self;
        // Nothing stops the exchange any more, so the program must not be stopped with the operation.
        let session = Session::default();
        feeding.running.hand_over(&session);
        let done = feeding.end().and_then(|()| {
            note(&programs, &restore, true)?;
            programs.run(&session, Task::Commit, &restore)
        });
        match done {
            Ok(()) => {
                if let Err(error) = programs.record.remove() {
                    tracing::warn!(%error, "commit will be run once more at the next start");
                }
                Ok(())
            }
            Err(error) => {
                discard_or_log(&programs, &restore);
                Err(error)
            }
        }
    }

    fn discard(self: Box<Self>) {
        let Self { programs, restore, feeding } = *self;
        drop(feeding);
        discard_or_log(&programs, &restore);
    }
}

/// Ends what a killed agent has begun.
pub(super) fn recover(programs: &Programs, session: &Session) -> Result<(), DriverError> {
    let _alone = programs.recovering.lock(session)?;
    let Some(progress) = programs.record.read()? else { return Ok(()) };
    if progress.is_loaded {
        match programs.run(session, Task::Commit, &progress.restore) {
            Ok(()) => return programs.record.remove(),
            Err(DriverError::Stopped) => return Err(DriverError::Stopped),
            Err(error) => tracing::warn!(%error, "an interrupted restore cannot be completed"),
        }
    }
    // What a discard has begun to remove must never be put in use by another try.
    note(programs, &progress.restore, false)?;
    programs.run(session, Task::Discard, &progress.restore)?;
    programs.record.remove()
}

fn note(programs: &Programs, restore: &str, is_loaded: bool) -> Result<(), DriverError> {
    match programs.has(Task::Commit) || programs.has(Task::Discard) {
        true => programs.record.write(&Progress { restore: restore.to_owned(), is_loaded }),
        false => Ok(()),
    }
}

/// What fails here is tried again by [`recover`]; a restore that failed must not be completed by that.
fn discard_or_log(programs: &Programs, restore: &str) {
    let discarded = note(programs, restore, false)
        .and_then(|()| programs.run(&LimitedSession::new(DISCARD_LIMIT), Task::Discard, restore))
        .and_then(|()| programs.record.remove());
    if let Err(error) = discarded {
        tracing::warn!(%error, "what a failed restore has left stays until the next try");
    }
}
