//! The table of contents at the front of a dump in PostgreSQL's custom format: what each entry is, whose it is and what it
//! needs. `pg_restore --list` prints most of it too, but in a form in which names can be made to look like others. Nothing
//! is restored from here; that is for `pg_restore`.

use std::io::{self, ErrorKind, Read};

use crate::drivers::DriverError;

#[cfg(test)]
mod tests;

const MAGIC: &[u8] = b"PGDMP";
/// `CUSTOM` among the formats of an archive.
const CUSTOM: u8 = 1;
/// Formats of PostgreSQL 9.5 (1.12) to 18 (1.16).
const KNOWN: std::ops::RangeInclusive<u8> = 12..=16;
/// Kinds that are no objects.
const SESSION: [&str; 3] = ["ENCODING", "STDSTRINGS", "SEARCHPATH"];
/// Longest text of an entry; PostgreSQL itself has none that is longer.
const LONGEST: u64 = 1024 * 1024 * 1024;

/// When an entry is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// Settings of the session; `pg_restore` always sends them.
    Session,
    /// What must be there before data is loaded.
    PreData,
    /// Rows, large objects, and the values of sequences.
    Data,
    /// What is quicker or only possible with the data there.
    PostData,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its number in the archive.
    pub(super) id: u32,
    /// `TABLE`, `FK CONSTRAINT` …
    pub(super) kind: String,
    /// The name of the object, for some kinds with that of its table in front.
    pub(super) name: String,
    /// The schema, unless the kind has none.
    pub(super) schema: Option<String>,
    /// The tablespace, unless it is the database's own.
    pub(super) tablespace: Option<String>,
    /// The role the object belongs to; empty for kinds without one.
    pub(super) owner: String,
    pub(super) section: Section,
    /// The entries it needs.
    pub(super) needs: Vec<u32>,
}

/// Reads the table of contents; none when the source ends before it does.
///
/// # Errors
/// When it is not an archive of a known form, or the source fails.
pub(super) fn contents(source: impl Read) -> Result<Option<Vec<Entry>>, DriverError> {
    match Contents::begin(source).and_then(Contents::entries) {
        Ok(entries) => Ok(Some(entries)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) if error.kind() == ErrorKind::InvalidData => Err(DriverError::Content(error.to_string())),
        Err(error) => Err(DriverError::data_service(format!("a dump cannot be read again: {error}"))),
    }
}

struct Contents<R> {
    source: R,
    minor: u8,
    integer: usize,
    offset: usize,
}

impl<R: Read> Contents<R> {
    fn begin(mut source: R) -> io::Result<Self> {
        let mut head = [0; 11];
        source.read_exact(&mut head)?;
        let [magic @ .., major, minor, _, integer, offset, format] = head;
        if magic != *MAGIC || format != CUSTOM {
            return Err(unknown("a dump is not in PostgreSQL's custom format"));
        }
        if major != 1 || !KNOWN.contains(&minor) || !(1..=8).contains(&integer) {
            return Err(unknown(&format!("archives of the form {major}.{minor} are not known to this agent")));
        }
        let mut contents = Self { source, minor, integer: integer.into(), offset: offset.into() };
        // How it is compressed was a level and is the number of an algorithm since 1.15.
        let _ = if minor >= 15 { i64::from(contents.byte()?) } else { contents.number()? };
        for _part_of_the_time in 0..7 {
            contents.number()?;
        }
        for _name_and_versions in 0..3 {
            contents.text()?;
        }
        Ok(contents)
    }

    fn entries(mut self) -> io::Result<Vec<Entry>> {
        let count = u64::try_from(self.number()?).map_err(|_| unknown("the number of entries is below zero"))?;
        (0..count).map(|_| self.entry()).collect()
    }

    fn entry(&mut self) -> io::Result<Entry> {
        let id = u32::try_from(self.number()?).map_err(|_| unknown("an entry has no number"))?;
        self.number()?;
        self.text()?;
        self.text()?;
        let name = self.text()?.unwrap_or_default();
        let kind = self.text()?.unwrap_or_default();
        let section = match self.number()? {
            _ if SESSION.contains(&kind.as_str()) => Section::Session,
            3 => Section::Data,
            4 => Section::PostData,
            // Access lists and comments are of no section.
            _ => Section::PreData,
        };
        for _statement in 0..3 {
            self.text()?;
        }
        let schema = self.text()?.filter(|name| !name.is_empty());
        let tablespace = self.text()?.filter(|name| !name.is_empty());
        if self.minor >= 14 {
            self.text()?;
        }
        if self.minor >= 16 {
            self.number()?;
        }
        let owner = self.text()?.unwrap_or_default();
        self.text()?;
        let mut needs = Vec::new();
        while let Some(needed) = self.text()? {
            needs.push(needed.parse().map_err(|_| unknown("an entry needs what has no number"))?);
        }
        for _byte in 0..=self.offset {
            self.byte()?;
        }
        Ok(Entry { id, kind, name, schema, tablespace, owner, section, needs })
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.source.read_exact(&mut byte)?;
        Ok(u8::from_le_bytes(byte))
    }

    /// A sign, then the bytes, lowest first.
    fn number(&mut self) -> io::Result<i64> {
        let is_negative = self.byte()? != 0;
        let mut number = 0_i64;
        for position in 0..self.integer {
            let shift = u32::try_from(position).unwrap_or_default().saturating_mul(8);
            number |= i64::from(self.byte()?).checked_shl(shift).unwrap_or_default();
        }
        Ok(if is_negative { number.saturating_neg() } else { number })
    }

    /// None is written as the length -1.
    fn text(&mut self) -> io::Result<Option<String>> {
        let Ok(length) = u64::try_from(self.number()?) else { return Ok(None) };
        if length > LONGEST {
            return Err(unknown("an entry is too long"));
        }
        let mut bytes = Vec::new();
        (&mut self.source).take(length).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()) != Ok(length) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        // Names in the encoding of their database are compared with each other only, never sent.
        Ok(Some(String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())))
    }
}

fn unknown(message: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, message.to_owned())
}
