//! The short queues of byte pieces between the threads of a pipeline, and between them and the asynchronous side, in both
//! directions. They bound the memory, whatever the size of the data.

use std::io::{self, BufRead, Read, Write};

use bytes::{Buf, Bytes, BytesMut};
use tokio::sync::mpsc;

/// Pieces waiting in a queue at most.
const QUEUE: usize = 4;

const PIECE: usize = 256 * 1024;

/// What a queue carries. One that closes without `End` is a broken stream.
pub(super) enum Piece {
    /// The next bytes.
    Data(Bytes),
    /// All bytes were sent.
    End,
}

/// The end of a queue that takes pieces.
pub(super) type Sender = mpsc::Sender<Piece>;
/// The end of a queue that gives them.
pub(super) type Receiver = mpsc::Receiver<Piece>;

/// An empty queue.
pub(super) fn queue() -> (Sender, Receiver) {
    mpsc::channel(QUEUE)
}

/// An empty queue for pieces from the store, which are bigger: two of them wait at most.
pub(super) fn queue_from_store() -> (Sender, Receiver) {
    mpsc::channel(2)
}

/// A neighbour in the pipeline has given up, and says itself why.
#[derive(Debug, thiserror::Error)]
#[error("another part of the pipeline has ended")]
struct Echo;

fn echo() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, Echo)
}

/// Whether an error only repeats that a neighbour has given up.
pub(super) fn is_echo(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|cause| cause.is::<Echo>())
}

/// The blocking end that writes: collects bytes to pieces and sends them on.
pub(super) struct PieceWriter {
    queue: Sender,
    buffer: BytesMut,
}

impl PieceWriter {
    pub(super) fn new(queue: Sender) -> Self {
        Self { queue, buffer: BytesMut::with_capacity(PIECE) }
    }

    /// Sends the last bytes on, and that they were the last.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.send()?;
        self.queue.blocking_send(Piece::End).map_err(|_| echo())
    }

    fn send(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(PIECE)).freeze();
        self.queue.blocking_send(Piece::Data(piece)).map_err(|_| echo())
    }
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE.saturating_sub(self.buffer.len()));
        self.buffer.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        if self.buffer.len() >= PIECE {
            self.send()?;
        }
        Ok(taken)
    }

    /// Small writes stay together; [`PieceWriter::finish`] sends the rest.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The blocking end that reads.
pub(super) struct PieceReader {
    queue: Receiver,
    current: Bytes,
    ended: bool,
}

impl PieceReader {
    pub(super) fn new(queue: Receiver) -> Self {
        Self { queue, current: Bytes::new(), ended: false }
    }
}

impl BufRead for PieceReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() && !self.ended {
            match self.queue.blocking_recv() {
                Some(Piece::Data(bytes)) => self.current = bytes,
                Some(Piece::End) => self.ended = true,
                None => return Err(echo()),
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, amount: usize) {
        self.current.advance(amount.min(self.current.len()));
    }
}

impl Read for PieceReader {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let mut available = self.fill_buf()?;
        let read = available.read(target)?;
        self.consume(read);
        Ok(read)
    }
}
