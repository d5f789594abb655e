//! Runs the filters of a chain, each on a thread of its own with a short queue on either side, so that compression and
//! encryption use as many processors as there are.

use std::io::{self, BufRead};
use std::sync::Arc;

use tokio::task::{JoinHandle, spawn_blocking};

use super::filters::{Chain, Filter};
use super::pieces::{self, PieceReader, PieceWriter, Receiver};

/// The running filters of one stream.
pub(super) struct Stages {
    threads: Vec<JoinHandle<io::Result<()>>>,
}

type Work = fn(&dyn Filter, &mut PieceReader, &mut PieceWriter) -> io::Result<()>;

impl Stages {
    /// Applies the filters to what comes from a queue; what they make of it comes from the other queue.
    pub(super) fn apply(chain: &Chain, input: Receiver) -> (Self, Receiver) {
        Self::start(chain.filters(), input, |filter, input, output| filter.apply(input, output))
    }

    /// Undoes the filters, the last one first.
    pub(super) fn undo(chain: &Chain, input: Receiver) -> (Self, Receiver) {
        Self::start(chain.filters().rev(), input, |filter, input, output| filter.undo(input, output))
    }

    fn start(
        filters: impl Iterator<Item = Arc<dyn Filter>>,
        input: Receiver,
        work: Work,
    ) -> (Self, Receiver) {
        let (mut threads, mut from) = (Vec::new(), input);
        for filter in filters {
            let (sender, next) = pieces::queue();
            let input = std::mem::replace(&mut from, next);
            threads.push(spawn_blocking(move || {
                let (mut input, mut output) = (PieceReader::new(input), PieceWriter::new(sender));
                work(filter.as_ref(), &mut input, &mut output)?;
                // Only a stream that was read to its end is known to be whole.
                match input.fill_buf()?.is_empty() {
                    true => output.finish(),
                    false => Err(io::Error::new(io::ErrorKind::InvalidData, "bytes follow after the end")),
                }
            }));
        }
        (Self { threads }, from)
    }

    /// Waits until all have ended; the first trouble of their own, if there was any.
    pub(super) async fn trouble(self) -> Option<io::Error> {
        let mut trouble = None;
        for thread in self.threads {
            match thread.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
                Err(error) if !pieces::is_echo(&error) => trouble = trouble.or(Some(error)),
                _ => {}
            }
        }
        trouble
    }
}
