//! The stream: a tar archive in which each dump is cut into entries of at most 8 MiB, so that it can be written without
//! knowing lengths beforehand and undone with `tar` and `cat`. Entries, in order: `manifest.json`,
//! `globals.sql.000001` …, `databases/0001-NAME/dump.000001` …, `end.json`.

use std::io::{Read, Write};
use std::path::Path;

use tar::{Builder, EntryType, Header};

use super::manifest::Length;
use crate::drivers::DriverError;

/// Largest content of one entry.
pub(super) const CHUNK: usize = 8 * 1024 * 1024;

const MANIFEST: &str = "manifest.json";
const END: &str = "end.json";
const GLOBALS: &str = "globals.sql";

/// What an entry of the stream is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    Manifest,
    /// For people; a restore by the agent uses the manifest.
    Globals {
        chunk: u32,
    },
    Dump {
        number: u32,
        chunk: u32,
    },
    End,
}

impl Item {
    pub(super) fn parse(path: &Path) -> Option<Self> {
        let path = path.to_str()?;
        match path {
            MANIFEST => return Some(Self::Manifest),
            END => return Some(Self::End),
            _ => {}
        }
        if let Some(chunk) = path.strip_prefix(GLOBALS) {
            return Some(Self::Globals { chunk: chunk.strip_prefix('.')?.parse().ok()? });
        }
        let (folder, file) = path.strip_prefix("databases/")?.split_once('/')?;
        let number = folder.split_once('-')?.0.parse().ok()?;
        Some(Self::Dump { number, chunk: file.strip_prefix("dump.")?.parse().ok()? })
    }
}

/// Writes the stream.
pub(super) struct ContainerWriter<'a> {
    tar: Builder<&'a mut dyn Write>,
    buffer: Vec<u8>,
}

impl<'a> ContainerWriter<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self { tar: Builder::new(out), buffer: Vec::new() }
    }

    pub(super) fn manifest(&mut self, json: &[u8]) -> Result<(), DriverError> {
        self.entry(MANIFEST, json)
    }

    pub(super) fn globals(&mut self, source: impl Read) -> Result<Length, DriverError> {
        self.chunks(0, GLOBALS, source)
    }

    pub(super) fn dump(&mut self, number: u32, name: &str, source: impl Read) -> Result<Length, DriverError> {
        let readable: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(40).collect();
        self.chunks(number, &format!("databases/{number:04}-{readable}/dump"), source)
    }

    /// Writes the last entry and the archive's end mark.
    pub(super) fn end(mut self, json: &[u8]) -> Result<(), DriverError> {
        self.entry(END, json)?;
        self.tar.finish().map_err(DriverError::Stream)
    }

    fn chunks(&mut self, number: u32, stem: &str, mut source: impl Read) -> Result<Length, DriverError> {
        let mut length = Length { number, ..Length::default() };
        let limit = u64::try_from(CHUNK).unwrap_or(u64::MAX);
        let mut buffer = std::mem::take(&mut self.buffer);
        loop {
            buffer.clear();
            let read = (&mut source).take(limit).read_to_end(&mut buffer);
            let read = read.map_err(|e| DriverError::data_service(format!("a dump broke off: {e}")))?;
            if read == 0 {
                break;
            }
            length.chunks = length.chunks.saturating_add(1);
            length.bytes = length.bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
            self.entry(&format!("{stem}.{:06}", length.chunks), &buffer)?;
        }
        self.buffer = buffer;
        Ok(length)
    }

    fn entry(&mut self, path: &str, content: &[u8]) -> Result<(), DriverError> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_size(u64::try_from(content.len()).unwrap_or(u64::MAX));
        header.set_mtime(u64::try_from(chrono::Utc::now().timestamp()).unwrap_or(0));
        self.tar.append_data(&mut header, path, content).map_err(DriverError::Stream)
    }
}

/// Reads a JSON entry of bounded size.
pub(super) fn json<T: serde::de::DeserializeOwned>(entry: impl Read) -> Result<T, DriverError> {
    let mut bytes = Vec::new();
    let limit: u64 = 256 * 1024 * 1024;
    entry.take(limit).read_to_end(&mut bytes).map_err(DriverError::Stream)?;
    serde_json::from_slice(&bytes).map_err(|e| DriverError::Content(format!("an entry is unreadable: {e}")))
}

/// Hands an entry on piece by piece, and counts its bytes.
pub(super) fn copy(
    mut entry: impl Read,
    mut target: impl FnMut(&[u8]) -> Result<(), DriverError>,
) -> Result<u64, DriverError> {
    let mut buffer = vec![0; 128 * 1024];
    let mut copied = 0_u64;
    loop {
        let read = entry.read(&mut buffer).map_err(DriverError::Stream)?;
        if read == 0 {
            return Ok(copied);
        }
        target(buffer.get(..read).unwrap_or_default())?;
        copied = copied.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_recognised_by_its_path() {
        let item = |path: &str| Item::parse(Path::new(path));
        assert_eq!(item("manifest.json"), Some(Item::Manifest));
        assert_eq!(item("globals.sql.000002"), Some(Item::Globals { chunk: 2 }));
        assert_eq!(item("databases/0003-shop/dump.000010"), Some(Item::Dump { number: 3, chunk: 10 }));
        assert_eq!(item("end.json"), Some(Item::End));
        assert_eq!(item("databases/x/dump.000010"), None);
        assert_eq!(item("../manifest.json"), None);
    }

    #[test]
    fn long_dumps_are_cut_into_chunks() {
        let mut out = Vec::new();
        let mut writer = ContainerWriter::new(&mut out);
        let source = vec![7_u8; CHUNK + 1];
        let length = writer.dump(1, "Köche/1", source.as_slice()).unwrap();
        writer.end(b"{}").unwrap();
        assert_eq!((length.chunks, length.bytes), (2, 8_388_609));
        let mut archive = tar::Archive::new(out.as_slice());
        let paths: Vec<_> =
            archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().into_owned()).collect();
        let expected =
            ["databases/0001-K_che_1/dump.000001", "databases/0001-K_che_1/dump.000002", "end.json"];
        assert_eq!(paths, expected.map(std::path::PathBuf::from));
    }
}
