//! A rehearsal of a directory: it is unpacked elsewhere, then everything is read and compared with what the stream says.
//! The stream is read twice at the same time, by the driver that unpacks and by one that only counts and hashes.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use backup_protocol::Check;
use sha2::{Digest, Sha256};
use tar::{Archive, EntryType};

use super::place::failed;
use super::walk::{Found, walk};
use super::{Files, Place};
use crate::drivers::{Driver, DriverError, Loaded, Scratch};
use crate::session::Session;

/// Pieces of the stream that may wait for whoever counts.
const QUEUE: usize = 4;

/// A directory to restore into.
pub(super) struct ScratchFiles {
    driver: ScratchDriver,
}

impl ScratchFiles {
    pub(super) fn new(directory: &Path) -> Result<Self, DriverError> {
        let inner = Files { place: Place::parse(&directory.join("data"))? };
        Ok(Self { driver: ScratchDriver { inner, stream: Mutex::default() } })
    }
}

impl Scratch for ScratchFiles {
    fn driver(&self) -> &dyn Driver {
        &self.driver
    }

    fn check(&self, session: &Session) -> Result<Vec<Check>, DriverError> {
        let stream = self.driver.stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        let stream = stream.ok_or_else(|| DriverError::data_service("nothing was loaded"))?;
        let found = Tally::of_directory(self.driver.inner.place.directory(), session)?;
        let (entries, bytes, of_entries, of_bytes) = (stream.entries, stream.bytes, found.entries, found.bytes);
        let names = match entries == of_entries {
            true => Check::passed("entries", format!("{entries} were restored")),
            false => Check::failed("entries", format!("{of_entries} were restored of {entries}")),
        };
        let content = match stream.digest.finalize() == found.digest.finalize() {
            true => Check::passed("content", format!("{bytes} bytes were read; they are those of the backup")),
            false => Check::failed(
                "content",
                format!("names, links or bytes are not those of the backup ({of_bytes} bytes of {bytes})"),
            ),
        };
        Ok(vec![names, content])
    }
}

/// The driver itself, which remembers what the stream held.
struct ScratchDriver {
    inner: Files,
    stream: Mutex<Option<Tally>>,
}

impl Driver for ScratchDriver {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn stream_version(&self) -> u32 {
        self.inner.stream_version()
    }

    fn version(&self, session: &Session) -> Result<Option<String>, DriverError> {
        self.inner.version(session)
    }

    fn estimate(&self, session: &Session) -> Result<Option<u64>, DriverError> {
        self.inner.estimate(session)
    }

    fn backup(&self, session: &Session, out: &mut dyn Write) -> Result<(), DriverError> {
        self.inner.backup(session, out)
    }

    fn load(
        &self,
        session: &Session,
        operation: &str,
        input: &mut dyn Read,
    ) -> Result<Box<dyn Loaded>, DriverError> {
        let (sender, receiver) = sync_channel(QUEUE);
        let counting = std::thread::spawn(move || Tally::of_stream(Pieces { receiver, piece: io::Cursor::default() }));
        let loaded = self.inner.load(session, operation, &mut Forked { inner: input, copy: Some(sender) });
        let counted = counting.join().map_err(|_| DriverError::data_service("the counting thread ended"))?;
        let loaded = loaded?;
        match counted {
            Ok(tally) => {
                *self.stream.lock().unwrap_or_else(PoisonError::into_inner) = Some(tally);
                Ok(loaded)
            }
            Err(error) => {
                loaded.discard();
                Err(DriverError::Stream(error))
            }
        }
    }

    fn recover(&self, session: &Session) -> Result<(), DriverError> {
        self.inner.recover(session)
    }
}

/// Everything about names, kinds, links and content, as one number; in the order of the stream, which is that of [`walk`].
#[derive(Debug, Default)]
struct Tally {
    entries: u64,
    bytes: u64,
    digest: Sha256,
}

impl Tally {
    fn of_stream(stream: impl Read) -> io::Result<Self> {
        let mut tally = Self::default();
        let mut archive = Archive::new(stream);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let name = entry.path()?.into_owned();
            let target = entry.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default();
            match entry.header().entry_type() {
                EntryType::Directory => tally.add(&name, "directory", b""),
                EntryType::Symlink => tally.add(&name, "symlink", &target),
                // Where it points to is a matter of which name came first, and that is the same on both sides.
                EntryType::Link => tally.add(&name, "link", b""),
                EntryType::Fifo => tally.add(&name, "fifo", b""),
                _ => {
                    tally.add(&name, "file", b"");
                    tally.read(&mut entry)?;
                }
            }
        }
        Ok(tally)
    }

    fn of_directory(root: &Path, session: &Session) -> Result<Self, DriverError> {
        let mut tally = Self::default();
        let mut several_names = HashSet::new();
        walk(root, session, &mut |found| {
            let name = found.path.strip_prefix(root).unwrap_or(&found.path).to_owned();
            let is_known = found.metadata.is_file()
                && found.metadata.nlink() > 1
                && !several_names.insert((found.metadata.dev(), found.metadata.ino()));
            tally.visit(&name, found, is_known).map_err(failed("read", &found.path))
        })?;
        Ok(tally)
    }

    fn visit(&mut self, name: &Path, found: &Found, is_known: bool) -> io::Result<()> {
        let kind = found.metadata.file_type();
        if kind.is_dir() {
            self.add(name, "directory", b"");
        } else if kind.is_symlink() {
            self.add(name, "symlink", found.link_target()?.as_bytes());
        } else if kind.is_fifo() {
            self.add(name, "fifo", b"");
        } else if is_known {
            self.add(name, "link", b"");
        } else {
            self.add(name, "file", b"");
            self.read(&mut found.open()?)?;
        }
        Ok(())
    }

    fn add(&mut self, name: &Path, kind: &str, target: &[u8]) {
        self.entries = self.entries.saturating_add(1);
        let name: PathBuf = name.components().filter(|part| *part != Component::CurDir).collect();
        // Lengths in front, so that no two different trees look the same.
        for part in [name.as_os_str().as_bytes(), kind.as_bytes(), target] {
            self.digest.update(part.len().to_le_bytes());
            self.digest.update(part);
        }
    }

    fn read(&mut self, content: &mut dyn Read) -> io::Result<()> {
        let length = io::copy(content, &mut self.digest)?;
        self.digest.update(length.to_le_bytes());
        self.bytes = self.bytes.saturating_add(length);
        Ok(())
    }
}

/// Hands a copy of all that is read to somebody else, as long as they want it.
struct Forked<'a> {
    inner: &'a mut dyn Read,
    copy: Option<SyncSender<Vec<u8>>>,
}

impl Read for Forked<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(target)?;
        let piece = target.get(..read).unwrap_or_default();
        if self.copy.as_ref().is_some_and(|copy| copy.send(piece.to_vec()).is_err()) {
            self.copy = None;
        }
        Ok(read)
    }
}

/// The other end.
struct Pieces {
    receiver: Receiver<Vec<u8>>,
    piece: io::Cursor<Vec<u8>>,
}

impl Read for Pieces {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.piece.read(target)?;
            if read > 0 || target.is_empty() {
                return Ok(read);
            }
            match self.receiver.recv() {
                Ok(piece) => self.piece = io::Cursor::new(piece),
                Err(_) => return Ok(0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::drivers::files::pack;

    fn tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("sub")).unwrap();
        fs::write(root.path().join("sub/file"), vec![7_u8; 300_000]).unwrap();
        fs::hard_link(root.path().join("sub/file"), root.path().join("sub/other name")).unwrap();
        symlink("./file", root.path().join("sub/link")).unwrap();
        let sparse = fs::File::create(root.path().join("sparse")).unwrap();
        sparse.set_len(3_000_000).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&sparse, b"end", 2_000_000).unwrap();
        root
    }

    fn both(root: &Path) -> (Tally, Tally) {
        let mut stream = Vec::new();
        pack::pack(root, &Session::default(), &mut stream).unwrap();
        let of_stream = Tally::of_stream(stream.as_slice()).unwrap();
        (of_stream, Tally::of_directory(root, &Session::default()).unwrap())
    }

    #[test]
    fn a_directory_and_its_stream_have_the_same_tally() {
        let root = tree();
        let (stream, directory) = both(root.path());
        assert_eq!((stream.entries, stream.bytes), (6, 3_300_000));
        assert_eq!((directory.entries, directory.bytes), (6, 3_300_000));
        assert_eq!(stream.digest.finalize(), directory.digest.finalize());
    }

    #[test]
    fn every_difference_shows() {
        let differences: [&dyn Fn(&Path); 5] = [
            &|root| fs::write(root.join("sub/file"), vec![8_u8; 300_000]).unwrap(),
            &|root| fs::rename(root.join("sparse"), root.join("sparse2")).unwrap(),
            &|root| fs::remove_file(root.join("sub/link")).unwrap(),
            &|root| {
                fs::remove_file(root.join("sub/link")).unwrap();
                symlink("file", root.join("sub/link")).unwrap();
            },
            &|root| {
                fs::remove_file(root.join("sub/other name")).unwrap();
                fs::copy(root.join("sub/file"), root.join("sub/other name")).unwrap();
            },
        ];
        for (number, differ) in differences.iter().enumerate() {
            let root = tree();
            let (stream, _) = both(root.path());
            differ(root.path());
            let directory = Tally::of_directory(root.path(), &Session::default()).unwrap();
            assert_ne!(stream.digest.finalize(), directory.digest.finalize(), "{number}");
        }
    }
}
