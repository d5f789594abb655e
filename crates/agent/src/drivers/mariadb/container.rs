//! The stream: a tar archive in which each script is cut into entries of at most 8 MiB, so that it can be written without
//! knowing lengths beforehand and undone with `tar` and `cat`. Entries, in order: `manifest.json`, `users.sql.000001` …,
//! `tables.sql.000001` …, `programs.sql.000001` …, `views.sql.000001` …, `end.json`.

use std::io::{Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tar::{Builder, EntryType, Header};

use crate::drivers::DriverError;

const CHUNK: u64 = 8 * 1024 * 1024;
const LARGEST_JSON: u64 = 256 * 1024 * 1024;

pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const END: &str = "end.json";

/// The scripts, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Script {
    /// Users and privileges.
    Users,
    /// Tables, sequences and their rows.
    Tables,
    /// Routines, triggers and events.
    Programs,
    Views,
}

impl Script {
    pub(super) fn file(self) -> &'static str {
        match self {
            Self::Users => "users.sql",
            Self::Tables => "tables.sql",
            Self::Programs => "programs.sql",
            Self::Views => "views.sql",
        }
    }

    /// Script and number of the entry.
    pub(super) fn parse(path: &str) -> Option<(Self, u32)> {
        let all = [Self::Users, Self::Tables, Self::Programs, Self::Views];
        all.into_iter().find_map(|script| {
            let number = path.strip_prefix(script.file())?.strip_prefix('.')?;
            Some((script, number.parse().ok()?))
        })
    }
}

/// How long a script is, for the end of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Length {
    pub(super) script: Script,
    pub(super) chunks: u32,
    pub(super) bytes: u64,
}

/// Writes the stream.
pub(super) struct Writer<'a> {
    tar: Builder<&'a mut dyn Write>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self { tar: Builder::new(out) }
    }

    pub(super) fn json(&mut self, name: &str, value: &impl Serialize) -> Result<(), DriverError> {
        let bytes = serde_json::to_vec_pretty(value).map_err(|e| DriverError::Stream(e.into()))?;
        self.entry(name, &bytes)
    }

    pub(super) fn script(&mut self, script: Script, mut source: impl Read) -> Result<Length, DriverError> {
        let mut length = Length { script, chunks: 0, bytes: 0 };
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            let read = (&mut source).take(CHUNK).read_to_end(&mut buffer);
            let read = read.map_err(|e| DriverError::data_service(format!("a dump broke off: {e}")))?;
            if read == 0 {
                return Ok(length);
            }
            length.chunks = length.chunks.saturating_add(1);
            length.bytes = length.bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
            self.entry(&format!("{}.{:06}", script.file(), length.chunks), &buffer)?;
        }
    }

    pub(super) fn finish(mut self) -> Result<(), DriverError> {
        self.tar.finish().map_err(DriverError::Stream)
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
pub(super) fn json<T: DeserializeOwned>(entry: impl Read) -> Result<T, DriverError> {
    let mut bytes = Vec::new();
    entry.take(LARGEST_JSON).read_to_end(&mut bytes).map_err(DriverError::Stream)?;
    serde_json::from_slice(&bytes).map_err(|e| DriverError::Content(format!("an entry is unreadable: {e}")))
}
