//! Extended attributes of files and directories, POSIX access lists and capabilities included, as records of the tar format
//! that GNU tar and libarchive know. A value with a line end in it is written in libarchive's form, because the tar library
//! reads records line by line.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use tar::Entry;
use xattr::FileExt;

const PLAIN: &str = "SCHILY.xattr.";
const ENCODED: &str = "LIBARCHIVE.xattr.";

/// Those only root may set.
const ROOTS: [&str; 2] = ["security.capability", "trusted."];
/// Those everybody may set on files of their own. Others say something about the machine, not about the data.
const OWNERS: [&str; 3] = ["system.posix_acl_access", "system.posix_acl_default", USERS];
/// Who may not write to a file may not set these.
const USERS: &str = "user.";

/// Name and value of each.
pub(super) type Attributes = Vec<(String, Vec<u8>)>;

/// Reads those of an open file or directory that belong into a backup.
pub(super) fn of(file: &File) -> io::Result<Attributes> {
    let names = match file.list_xattr() {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(Vec::new()),
        names => names?,
    };
    let mut attributes = Vec::new();
    for name in names {
        let text = name.to_str().filter(|name| !name.contains(['=', '%', '\n']));
        let Some(text) = text else {
            let message = format!("the extended attribute {} has an unusable name", name.display());
            return Err(io::Error::other(message));
        };
        // It may be gone by now.
        if let Some(value) = is_wanted(text).then(|| file.get_xattr(text)).transpose()?.flatten() {
            attributes.push((text.to_owned(), value));
        }
    }
    attributes.sort();
    Ok(attributes)
}

fn is_wanted(name: &str) -> bool {
    ROOTS.iter().chain(&OWNERS).any(|known| name.starts_with(known))
}

/// The records for the archive.
pub(super) fn records(attributes: Attributes) -> Attributes {
    let record = |(name, value): (String, Vec<u8>)| match value.contains(&b'\n') {
        true => (format!("{ENCODED}{name}"), STANDARD_NO_PAD.encode(value).into_bytes()),
        false => (format!("{PLAIN}{name}"), value),
    };
    attributes.into_iter().map(record).collect()
}

/// Takes them from an entry of the archive.
pub(super) fn read(entry: &mut Entry<'_, impl Read>) -> io::Result<Attributes> {
    let mut attributes = Vec::new();
    for record in entry.pax_extensions()?.into_iter().flatten() {
        let record = record?;
        let Ok(key) = record.key() else { continue };
        if let Some(name) = key.strip_prefix(PLAIN) {
            attributes.push((name.to_owned(), record.value_bytes().to_vec()));
        } else if let Some(name) = key.strip_prefix(ENCODED) {
            let value = STANDARD_NO_PAD.decode(record.value_bytes()).map_err(io::Error::other)?;
            attributes.push((name.to_owned(), value));
        }
    }
    attributes.retain(|(name, _)| is_wanted(name));
    Ok(attributes)
}

/// Whether any of them is one that [`set_users`] sets.
pub(super) fn has_users(attributes: &Attributes) -> bool {
    attributes.iter().any(|(name, _)| name.starts_with(USERS))
}

/// Sets those that need the right to write, before the mode takes it away.
pub(super) fn set_users(path: &Path, attributes: &Attributes) -> io::Result<()> {
    attributes.iter().filter(|(name, _)| name.starts_with(USERS)).try_for_each(|one| set(path, one))
}

/// Sets the others, after owner and mode, which would take some of them away.
pub(super) fn set_others(path: &Path, attributes: &Attributes, as_root: bool) -> io::Result<()> {
    let may = |name: &str| as_root || OWNERS.iter().any(|known| name.starts_with(known));
    let others = attributes.iter().filter(|(name, _)| !name.starts_with(USERS) && may(name));
    others.into_iter().try_for_each(|one| set(path, one))
}

fn set(path: &Path, (name, value): &(String, Vec<u8>)) -> io::Result<()> {
    let told = |e| io::Error::new(io::Error::kind(&e), format!("extended attribute {name}: {e}"));
    xattr::set(path, name, value).map_err(told)
}
