//! The short queue of byte pieces between the blocking thread and the asynchronous side, in both directions.

use std::io::{self, BufRead, Read, Write};

use bytes::{Buf, Bytes, BytesMut};
use tokio::sync::mpsc;

/// Pieces waiting in a queue at most.
pub(super) const QUEUE: usize = 4;

const PIECE: usize = 256 * 1024;

/// The blocking end that writes: collects bytes to pieces and sends them on.
pub(super) struct PieceWriter {
    queue: mpsc::Sender<Bytes>,
    buffer: BytesMut,
}

impl PieceWriter {
    pub(super) fn new(queue: mpsc::Sender<Bytes>) -> Self {
        Self { queue, buffer: BytesMut::with_capacity(PIECE) }
    }

    /// Sends the last bytes on.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.send()
    }

    fn send(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(PIECE)).freeze();
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the store takes no more bytes");
        self.queue.blocking_send(piece).map_err(gone)
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

/// What the asynchronous side sends for reading. A queue that closes without `End` is a broken stream.
pub(super) enum Piece {
    /// The next bytes.
    Data(Bytes),
    /// All bytes were sent.
    End,
}

/// The blocking end that reads.
pub(super) struct PieceReader {
    queue: mpsc::Receiver<Piece>,
    current: Bytes,
    ended: bool,
}

impl PieceReader {
    pub(super) fn new(queue: mpsc::Receiver<Piece>) -> Self {
        Self { queue, current: Bytes::new(), ended: false }
    }
}

impl BufRead for PieceReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() && !self.ended {
            match self.queue.blocking_recv() {
                Some(Piece::Data(bytes)) => self.current = bytes,
                Some(Piece::End) => self.ended = true,
                None => {
                    let message = "the store gave fewer bytes than expected";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
                }
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
