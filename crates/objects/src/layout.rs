//! The names of stored objects: `<prefix>/<backup_guid>/<backup_id>/data.00001` and, beside it, `metadata.json` and
//! `owner`.
//! Every piece of a name that came from outside is checked here, so that no request can reach another backup's folder.

use crate::metadata::METADATA_NAME;

/// A name, or a piece of one, that no stored object of this product has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not allowed as {what}: {rule}")]
pub struct InvalidName {
    what: &'static str,
    name: String,
    rule: &'static str,
}

pub(crate) const OWNER_NAME: &str = "owner";
const LONGEST_PIECE: usize = 200;
const PIECE_RULE: &str = "use 1 to 200 of the characters A-Z a-z 0-9 . _ - = + @, and not only dots";

/// The folder of one backup: `<object_prefix>/<backup_id>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupFolder {
    path: String,
}

impl BackupFolder {
    /// Checks both pieces and joins them. The object prefix may have several pieces, the backup id is one.
    ///
    /// # Errors
    /// [`InvalidName`] for an empty piece, `..`, a slash in the id or a character outside the allowed set.
    pub fn parse(object_prefix: &str, backup_id: &str) -> Result<Self, InvalidName> {
        check_path("object prefix", object_prefix)?;
        check_piece("backup id", backup_id)?;
        Ok(Self { path: format!("{object_prefix}/{backup_id}") })
    }

    /// The folder itself, without a slash at the end.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The full path of the backup's metadata.
    pub fn metadata(&self) -> String {
        format!("{}/{METADATA_NAME}", self.path)
    }

    /// The full path of the object that says whose the folder is, see [`crate::Store::claim`].
    pub fn owner(&self) -> String {
        format!("{}/{OWNER_NAME}", self.path)
    }

    /// The folder, inside the backup's, of what was logged after the backup.
    pub const LOG: &str = "wal";

    /// The full path of an object below [`Self::LOG`].
    ///
    /// # Errors
    /// [`InvalidName`] when the name is not one piece of a path.
    pub fn log(&self, name: &str) -> Result<String, InvalidName> {
        check_piece("log object", name)?;
        Ok(format!("{}/{}/{name}", self.path, Self::LOG))
    }

    /// The name of the part with this number, counted from 1: `data.00001`.
    pub fn part_name(number: u32) -> String {
        format!("data.{number:05}")
    }

    /// The full path of a part from its name.
    ///
    /// # Errors
    /// [`InvalidName`] unless the name has the form of [`Self::part_name`].
    pub fn part(&self, name: &str) -> Result<String, InvalidName> {
        let number = name.strip_prefix("data.").unwrap_or_default();
        if number.len() < 5 || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidName {
                what: "part name",
                name: name.to_owned(),
                rule: "use data. and five digits",
            });
        }
        Ok(format!("{}/{name}", self.path))
    }
}

/// Joins the configured prefix and an instance's backup GUID to the object prefix sent to agents.
///
/// # Errors
/// [`InvalidName`] when either has a piece that is not allowed. An empty prefix means the root of the store.
pub fn object_prefix(prefix: &str, backup_guid: &str) -> Result<String, InvalidName> {
    check_piece("backup guid", backup_guid)?;
    let prefix = prefix.trim_matches('/');
    if prefix.is_empty() {
        return Ok(backup_guid.to_owned());
    }
    check_path("prefix", prefix)?;
    Ok(format!("{prefix}/{backup_guid}"))
}

/// Checks a path of one or more pieces.
pub(crate) fn check_path(what: &'static str, path: &str) -> Result<(), InvalidName> {
    path.split('/').try_for_each(|piece| {
        check_piece(what, piece).map_err(|error| InvalidName { name: path.to_owned(), ..error })
    })
}

/// Checks one piece of a path.
fn check_piece(what: &'static str, piece: &str) -> Result<(), InvalidName> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-=+@".contains(&b);
    let good = (1..=LONGEST_PIECE).contains(&piece.len())
        && piece.bytes().all(allowed)
        && piece.bytes().any(|b| b != b'.');
    match good {
        true => Ok(()),
        false => Err(InvalidName { what, name: piece.chars().take(80).collect(), rule: PIECE_RULE }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_has_a_folder_below_its_prefix() {
        let folder = BackupFolder::parse("p/q/guid", "id-1").unwrap();
        assert_eq!(folder.path(), "p/q/guid/id-1");
        assert_eq!(folder.metadata(), "p/q/guid/id-1/metadata.json");
        assert_eq!(folder.owner(), "p/q/guid/id-1/owner");
        assert_eq!(folder.part(&BackupFolder::part_name(1)).unwrap(), "p/q/guid/id-1/data.00001");
        assert_eq!(BackupFolder::part_name(123_456), "data.123456");
    }

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        for id in ["", ".", "..", "a/b", "../x", "a\\b", "a#1", "a%2e", "a\0", "ä", &"x".repeat(201)] {
            assert!(BackupFolder::parse("p", id).is_err(), "{id:?}");
        }
        for prefix in ["", "/", "/p", "p/", "p//q", "p/../q", "..", "p/./q"] {
            assert!(BackupFolder::parse(prefix, "id").is_err(), "{prefix:?}");
        }
        for part in ["", "data.1", "data.0000x", "../data.00001", "metadata.json", "data.00001/x"] {
            assert!(BackupFolder::parse("p", "id").unwrap().part(part).is_err(), "{part:?}");
        }
    }

    #[test]
    fn an_empty_prefix_is_the_root_of_the_store() {
        assert_eq!(object_prefix("", "g").unwrap(), "g");
        assert_eq!(object_prefix("/a/b/", "g").unwrap(), "a/b/g");
        assert!(object_prefix("a", "g/h").is_err());
    }
}
