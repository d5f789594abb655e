//! The directory that is backed up: files of many sizes, compressible to about half, no two alike.

use std::io::Write;
use std::path::Path;

use anyhow::Context;

const MEBIBYTE: u64 = 1024 * 1024;

/// Sizes of files and the share of the whole they make up, in percent.
const SIZES: [(u64, u64); 4] = [(64 * MEBIBYTE, 40), (MEBIBYTE, 40), (64 * 1024, 15), (4096, 5)];

/// Fills a directory; returns how many files there are.
///
/// # Errors
/// When the disk is full.
pub(super) fn fill(directory: &Path, mebibytes: u32) -> anyhow::Result<u64> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut files = 0_u64;
    for (size, percent) in SIZES {
        let whole = u64::from(mebibytes).saturating_mul(MEBIBYTE).saturating_mul(percent) / 100;
        for number in 0..whole.div_ceil(size) {
            let folder = directory.join(format!("{size}/{:03}", number / 100));
            std::fs::create_dir_all(&folder)?;
            let path = folder.join(format!("{number:06}.dat"));
            let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
            random.write(&mut file, size).with_context(|| format!("{}", path.display()))?;
            file.flush()?;
            files = files.saturating_add(1);
        }
    }
    Ok(files)
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Lines of 64 bytes: half of each is random, half is text.
    fn write(&mut self, out: &mut impl Write, size: u64) -> std::io::Result<()> {
        for _ in 0..size / 64 {
            out.write_all(b"the quick brown fox jumps over ")?;
            for _ in 0..4 {
                out.write_all(&self.next().to_le_bytes())?;
            }
            out.write_all(b"\n")?;
        }
        Ok(())
    }
}
