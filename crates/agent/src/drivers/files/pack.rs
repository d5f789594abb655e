//! Directory → tar. Never follows a symbolic link, see [`super::walk`]. Every file is copied with exactly the length its
//! header promises; one whose size changes meanwhile makes the backup fail instead of storing a wrong one. One that is gone
//! before it is looked at is left out; one that is removed or replaced later is stored as it was. The holes of a
//! sparse file are found by the tar library, so such a file must not be touched at all while it is copied.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use super::attributes::{self, Attributes};
use super::place::failed;
use super::times::Modified;
use super::walk::{Found, walk};
use crate::drivers::DriverError;
use crate::session::Session;

const BLOCK: u64 = 512;
const LONGEST_LINK: usize = 100;

/// Writes the directory and everything below it, names in order.
pub(super) fn pack(directory: &Path, session: &Session, out: &mut dyn Write) -> Result<(), DriverError> {
    let mut packer = Packer { root: directory, tar: Builder::new(out), links: HashMap::new() };
    walk(directory, session, &mut |found| packer.add(found))?;
    packer.tar.finish().map_err(DriverError::Stream)
}

/// The sum of what [`pack`] would write, roughly.
pub(super) fn size(directory: &Path, session: &Session) -> Result<u64, DriverError> {
    let mut total = 2 * BLOCK;
    walk(directory, session, &mut |found| {
        let metadata = &found.metadata;
        let content =
            if metadata.is_file() { metadata.len().min(metadata.blocks().saturating_mul(BLOCK)) } else { 0 };
        let records = if Modified::of(metadata).record().is_some() { 2 * BLOCK } else { 0 };
        total = total.saturating_add(content.next_multiple_of(BLOCK)).saturating_add(BLOCK + records);
        Ok(())
    })?;
    Ok(total)
}

struct Packer<'a> {
    root: &'a Path,
    tar: Builder<&'a mut dyn Write>,
    /// First name of each file that has several.
    links: HashMap<(u64, u64), PathBuf>,
}

impl Packer<'_> {
    fn add(&mut self, found: &Found) -> Result<(), DriverError> {
        let (path, metadata) = (found.path.as_path(), &found.metadata);
        let below = path.strip_prefix(self.root).unwrap_or(path);
        let name = if below.as_os_str().is_empty() { Path::new("./") } else { below };
        let kind = metadata.file_type();
        let written = if kind.is_dir() {
            self.add_directory(found, name)
        } else if kind.is_symlink() {
            self.add_symlink(found, name)
        } else if kind.is_file() {
            self.add_file(found, name)
        } else if kind.is_fifo() {
            self.add_plain(name, metadata, EntryType::Fifo)
        } else if kind.is_socket() {
            tracing::warn!(path = %path.display(), "a socket is not part of the backup");
            Ok(())
        } else {
            Err(io::Error::other("device files cannot be backed up"))
        };
        written.map_err(failed("pack", path))
    }

    fn add_plain(&mut self, name: &Path, metadata: &Metadata, kind: EntryType) -> io::Result<()> {
        self.add_records(Attributes::new(), metadata)?;
        self.tar.append_data(&mut header(metadata, kind), name, io::empty())
    }

    fn add_directory(&mut self, found: &Found, name: &Path) -> io::Result<()> {
        let directory = match found.open_directory() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        self.add_records(attributes::of(&directory)?, &found.metadata)?;
        self.tar.append_data(&mut header(&found.metadata, EntryType::Directory), name, io::empty())
    }

    /// What the header of the next entry cannot say.
    fn add_records(&mut self, attributes: Attributes, metadata: &Metadata) -> io::Result<()> {
        let mut records = attributes::records(attributes);
        records.extend(Modified::of(metadata).record());
        let records = records.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
        self.tar.append_pax_extensions(records)
    }

    fn add_symlink(&mut self, found: &Found, name: &Path) -> io::Result<()> {
        let target = found.link_target()?;
        self.add_records(Attributes::new(), &found.metadata)?;
        let mut header = header(&found.metadata, EntryType::Symlink);
        // The literal form keeps `./x` and `a//b` as they are; only longer targets need the extension.
        if target.as_bytes().len() <= LONGEST_LINK {
            header.set_link_name_literal(target.as_bytes())?;
            return self.tar.append_data(&mut header, name, io::empty());
        }
        self.tar.append_link(&mut header, name, &target)
    }

    fn add_file(&mut self, found: &Found, name: &Path) -> io::Result<()> {
        let metadata = &found.metadata;
        let inode = (metadata.dev(), metadata.ino());
        if let Some(first) = self.links.get(&inode) {
            let mut header = header(metadata, EntryType::Link);
            return self.tar.append_link(&mut header, name, first);
        }
        let mut file = found.open()?;
        if metadata.nlink() > 1 {
            self.links.insert(inode, name.to_owned());
        }
        let before = file.metadata()?;
        self.add_records(attributes::of(&file)?, &before)?;
        // Some file systems count blocks late, so a file without any is read like every other.
        let has_holes = before.blocks() > 0 && before.blocks().saturating_mul(BLOCK) < before.len();
        if has_holes {
            self.tar.append_file(name, &mut file)?;
        } else {
            let mut header = header(&before, EntryType::Regular);
            header.set_size(before.len());
            let mut content = Exact { file: &mut file, left: before.len() };
            self.tar.append_data(&mut header, name, &mut content)?;
        }
        let after = file.metadata()?;
        if after.len() != before.len() {
            return Err(io::Error::other("its size changed while it was read"));
        }
        match has_holes && times(&after) != times(&before) {
            true => Err(io::Error::other("it has holes and changed while it was read")),
            false => Ok(()),
        }
    }
}

/// Changes with every write and every change of the size.
fn times(metadata: &Metadata) -> [i64; 4] {
    [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()]
}

fn header(metadata: &Metadata, kind: EntryType) -> Header {
    let mut header = Header::new_gnu();
    header.set_metadata(metadata);
    header.set_mtime(Modified::of(metadata).whole_seconds());
    header.set_entry_type(kind);
    header.set_size(0);
    header
}

/// Reads as many bytes as the header promises, no more and no fewer.
struct Exact<'a> {
    file: &'a mut File,
    left: u64,
}

impl Read for Exact<'_> {
    fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let read = self.file.take(self.left).read(target)?;
        if read == 0 && self.left > 0 && !target.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter while it was read"));
        }
        self.left = self.left.saturating_sub(u64::try_from(read).unwrap_or(0));
        Ok(read)
    }
}
