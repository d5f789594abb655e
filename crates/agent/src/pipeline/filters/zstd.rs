//! Zstandard, as the program `zstd` reads and writes it.

use std::io::{self, BufRead, Write};

use super::{Filter, copy, pump, refuse_empty};

/// What every such stream begins with.
pub(super) const MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

pub(super) struct Zstd {
    pub(super) level: i32,
}

impl Filter for Zstd {
    fn apply(&self, input: &mut dyn BufRead, output: &mut dyn Write) -> io::Result<()> {
        let mut encoder = zstd::Encoder::new(output, self.level)?;
        pump(input, &mut encoder)?;
        encoder.finish().map(drop)
    }

    fn undo(&self, input: &mut dyn BufRead, output: &mut dyn Write) -> io::Result<()> {
        refuse_empty(input)?;
        copy(zstd::Decoder::with_buffer(input)?, output)
    }
}
