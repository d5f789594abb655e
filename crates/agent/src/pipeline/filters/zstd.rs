//! Zstandard, as the program `zstd` reads and writes it.

use std::io::{self, BufRead, Write};
use std::num::NonZero;
use std::thread::available_parallelism;

use super::{Filter, copy, pump, refuse_empty};

/// What every such stream begins with.
pub(super) const MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Bytes that one thread compresses at a time. Each job has little of the one before to look back at, so small ones cost
/// compression; large ones cost memory: about eight of them are there at a time.
const JOB: u32 = 4 * 1024 * 1024;

/// Threads that compress at most. The data service wants processors, too.
const MOST_WORKERS: usize = 2;

pub(super) struct Zstd {
    pub(super) level: i32,
}

impl Filter for Zstd {
    fn apply(&self, input: &mut dyn BufRead, output: &mut dyn Write) -> io::Result<()> {
        let mut encoder = zstd::Encoder::new(output, self.level)?;
        // In jobs the library compresses from one piece of memory, which is quicker than in a stream even with one thread.
        let workers = available_parallelism().map_or(1, NonZero::get).min(MOST_WORKERS);
        encoder.multithread(u32::try_from(workers).unwrap_or(1))?;
        encoder.set_parameter(zstd::stream::raw::CParameter::JobSize(JOB))?;
        pump(input, &mut encoder)?;
        encoder.finish().map(drop)
    }

    fn undo(&self, input: &mut dyn BufRead, output: &mut dyn Write) -> io::Result<()> {
        refuse_empty(input)?;
        copy(zstd::Decoder::with_buffer(input)?, output)
    }
}
