//! gzip, as the program `gzip` reads and writes it; several members one after the other are one stream.

use std::io::{self, BufRead, Write};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

use super::{Filter, copy, pump, refuse_empty};

/// What every such stream begins with.
pub(super) const MAGIC: &[u8] = &[0x1f, 0x8b, 0x08];

pub(super) struct Gzip {
    pub(super) level: i32,
}

impl Filter for Gzip {
    fn apply(&self, input: &mut dyn BufRead, output: &mut dyn Write) -> io::Result<()> {
        let level = u32::try_from(self.level.clamp(1, 9)).unwrap_or_default();
        let mut encoder = GzEncoder::new(output, Compression::new(level));
        pump(input, &mut encoder)?;
        encoder.finish().map(drop)
    }

    fn undo(&self, input: &mut dyn BufRead, output: &mut dyn Write) -> io::Result<()> {
        refuse_empty(input)?;
        copy(MultiGzDecoder::new(input), output)
    }
}
