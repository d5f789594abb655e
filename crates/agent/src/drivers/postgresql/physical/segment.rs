//! Names of files of the write-ahead log: timeline and number, 24 hexadecimal digits.

const DIGITS: usize = 24;

/// The name of a segment: `000000010000000000000002`.
pub(crate) fn segment_name(timeline: u32, number: u64, size: u64) -> String {
    let per_file = (1_u64 << 32).checked_div(size).unwrap_or(1).max(1);
    format!("{timeline:08X}{:08X}{:08X}", number / per_file, number % per_file)
}

/// Timeline and number of a segment; none for any other name, such as `….partial` and `….history`.
pub(crate) fn segment_number(name: &str, size: u64) -> Option<(u32, u64)> {
    if name.len() != DIGITS || !name.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)) {
        return None;
    }
    let piece = |at: usize| u64::from_str_radix(name.get(at..at + 8)?, 16).ok();
    let per_file = (1_u64 << 32).checked_div(size)?;
    let number = piece(8)?.checked_mul(per_file)?.checked_add(piece(16)?)?;
    Some((u32::try_from(piece(0)?).ok()?, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_each_others_reverse() {
        for size in [1 << 20, 16 << 20, 1 << 30] {
            for number in [0, 1, 3, 255, 256, 4095, 70_000] {
                let name = segment_name(7, number, size);
                assert_eq!(segment_number(&name, size), Some((7, number)), "{name}");
            }
        }
        assert_eq!(segment_name(1, 256, 16 << 20), "000000010000000100000000");
        for other in ["000000010000000000000002.partial", "00000002.history", "00000001000000000000000g", ""] {
            assert_eq!(segment_number(other, 16 << 20), None, "{other}");
        }
    }
}
