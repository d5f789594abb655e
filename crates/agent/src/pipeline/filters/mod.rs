//! What is done to a driver's stream on its way into the store, and undone on its way back. A filter is one pair of
//! functions from a reader to a writer, a line in [`Chain::of`], and knows nothing of threads; `stages.rs` gives each a
//! thread of its own.

mod age;
mod gzip;
mod openssl_enc;
mod zstd;

use std::io::{self, BufRead, Write};
use std::sync::Arc;

use backup_protocol::{Compression, Encryption, EncryptionScheme};

use super::failure::Failure;

/// Level for filters that only undo.
const ANY_LEVEL: i32 = 3;

/// One step between the driver's stream and the stored bytes.
pub(super) trait Filter: Send + Sync {
    /// Does it to the whole input.
    fn apply(&self, input: &mut dyn BufRead, output: &mut dyn Write) -> io::Result<()>;

    /// Undoes it to the whole input; an error when the input is not what [`Self::apply`] wrote, whole and with this key.
    fn undo(&self, input: &mut dyn BufRead, output: &mut dyn Write) -> io::Result<()>;
}

/// More make no sense, and each costs a thread.
const MOST_FILTERS: usize = 4;

const BUFFER: usize = 128 * 1024;

/// The filters of one backup in the order they are applied: compression, if any, and then encryption.
#[derive(Clone)]
pub(crate) struct Chain {
    names: Vec<String>,
    filters: Vec<Arc<dyn Filter>>,
    encryption: Encryption,
    /// What the decrypted stream begins with.
    inside: Option<&'static [u8]>,
}

impl Chain {
    /// The filters a backup is asked for.
    pub(crate) fn wanted(compression: Compression, encryption: &Encryption) -> Result<Self, Failure> {
        let names = [compression.scheme.name(), encryption.scheme.name()];
        Self::of(&names, encryption, compression.level)
    }

    /// The filters a `metadata.json` lists.
    ///
    /// # Errors
    /// `bad_request` for a list this agent cannot undo, or not with an encryption of this scheme.
    pub(crate) fn recorded(names: &[String], encryption: &Encryption) -> Result<Self, Failure> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        Self::of(&names, encryption, ANY_LEVEL)
    }

    fn of(names: &[&str], encryption: &Encryption, level: i32) -> Result<Self, Failure> {
        let refused = |why: &str| {
            let listed = names.join(", ");
            Failure::new("bad_request", format!("this agent cannot undo the filters {listed}: {why}"))
        };
        let (mut filters, mut inside) = (Vec::<Arc<dyn Filter>>::new(), None);
        for (place, name) in names.iter().enumerate() {
            let is_last = place.saturating_add(1) == names.len();
            match (*name, is_last) {
                ("zstd", false) => {
                    filters.push(Arc::new(zstd::Zstd { level }));
                    inside = Some(zstd::MAGIC);
                }
                ("gzip", false) => {
                    filters.push(Arc::new(gzip::Gzip { level }));
                    inside = Some(gzip::MAGIC);
                }
                ("age" | "openssl-enc", true) if *name != encryption.scheme.name() => {
                    let asked = encryption.scheme.name();
                    return Err(refused(&format!("the encryption asked for is {asked}")));
                }
                ("age", true) => filters.push(Arc::new(age::Age { key: encryption.key.clone() })),
                // Nothing but the beginning of what is inside tells a wrong key from the right one in time.
                ("openssl-enc", true) if inside.is_none() => {
                    return Err(refused("openssl-enc needs a compression before it"));
                }
                ("openssl-enc", true) => {
                    filters.push(Arc::new(openssl_enc::OpensslEnc { key: encryption.key.clone() }));
                }
                ("age" | "openssl-enc" | "zstd" | "gzip", _) => {
                    return Err(refused("encryption must be last, and nothing else"));
                }
                (unknown, _) => return Err(refused(&format!("{unknown} is unknown"))),
            }
        }
        match filters.len() {
            0 => Err(refused("the list is empty")),
            1..=MOST_FILTERS => Ok(Self {
                names: names.iter().map(|name| (*name).to_owned()).collect(),
                filters,
                encryption: encryption.clone(),
                inside,
            }),
            _ => Err(refused("the list is too long")),
        }
    }

    /// For `filter_plugins` of `metadata.json`.
    pub(crate) fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    /// The filters in the order they are applied.
    pub(super) fn filters(&self) -> impl DoubleEndedIterator<Item = Arc<dyn Filter>> + '_ {
        self.filters.iter().map(Arc::clone)
    }

    /// Tries the key on the first stored bytes, `head`.
    ///
    /// # Errors
    /// `decryption_failed`.
    pub(super) fn check_key(&self, head: &[u8]) -> Result<(), Failure> {
        let key = &self.encryption.key;
        let opened = match (self.encryption.scheme, self.inside) {
            (EncryptionScheme::Age, _) => age::open(io::Cursor::new(head), key).map(drop),
            (EncryptionScheme::OpensslEnc, inside) => {
                openssl_enc::check_key(head, key, inside.unwrap_or_default())
            }
        };
        opened.map_err(|error| match error.get_ref().is_some_and(|cause| cause.is::<WrongKey>()) {
            true => {
                let key_id = &self.encryption.key_id;
                Failure::new("decryption_failed", format!("the key {key_id} does not open this backup"))
            }
            false => Failure::new("decryption_failed", error.to_string()),
        })
    }
}

/// The key does not fit; or, where nothing is authenticated, the bytes are damaged in a way that looks like it.
#[derive(Debug, thiserror::Error)]
#[error("the key does not open it")]
struct WrongKey;

fn wrong_key() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, WrongKey)
}

/// The bytes are not what the filter writes.
fn damaged(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.to_owned())
}

/// An empty stream is not one that was compressed, but the decoders take it for one.
fn refuse_empty(input: &mut dyn BufRead) -> io::Result<()> {
    match input.fill_buf()?.is_empty() {
        true => Err(damaged("the compressed stream is empty")),
        false => Ok(()),
    }
}

/// Copies without a buffer between.
fn pump(input: &mut dyn BufRead, output: &mut dyn Write) -> io::Result<()> {
    loop {
        let bytes = input.fill_buf()?;
        if bytes.is_empty() {
            return Ok(());
        }
        output.write_all(bytes)?;
        let length = bytes.len();
        input.consume(length);
    }
}

/// Copies through a buffer big enough that its calls do not matter.
fn copy(mut input: impl io::Read, output: &mut dyn Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let bytes = match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => buffer.get(..length).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        output.write_all(bytes)?;
    }
}

#[cfg(test)]
mod tests;
