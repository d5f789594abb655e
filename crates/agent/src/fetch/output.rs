//! Where the plain stream goes. A file gets its name only when everything is in it; until then it has another one.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::FetchError;

/// Standard output, or a file on its way.
pub(super) enum Output {
    Stdout,
    File { file: File, partial: PathBuf, target: PathBuf, is_complete: bool },
}

impl Output {
    /// Standard output for `-`, else a new file that only its owner may read: it holds somebody's data in the clear.
    pub(super) fn create(target: &Path) -> Result<Self, FetchError> {
        if target == Path::new("-") {
            return Ok(Self::Stdout);
        }
        if target.exists() {
            let source =
                io::Error::new(io::ErrorKind::AlreadyExists, "it exists already and is left as it is");
            return Err(failed(target, source));
        }
        let mut partial = target.as_os_str().to_owned();
        partial.push(format!(".{}.partial", std::process::id()));
        let partial = PathBuf::from(partial);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial);
        let file = file.map_err(|source| failed(&partial, source))?;
        Ok(Self::File { file, partial, target: target.to_owned(), is_complete: false })
    }

    /// Something to write to from another thread.
    pub(super) fn writer(&self) -> Result<Box<dyn Write + Send>, FetchError> {
        match self {
            Self::Stdout => Ok(Box::new(io::stdout())),
            Self::File { file, partial, .. } => {
                Ok(Box::new(file.try_clone().map_err(|source| failed(partial, source))?))
            }
        }
    }

    /// Gives the file its name, durably. It is complete and verified now, so whatever fails here, it stays.
    pub(super) fn complete(mut self) -> Result<(), FetchError> {
        let Self::File { file, partial, target, is_complete } = &mut self else { return Ok(()) };
        *is_complete = true;
        let named = file.sync_all().and_then(|()| give_name(partial, target));
        named.map_err(|source| FetchError::Unnamed {
            partial: partial.display().to_string(),
            target: target.display().to_string(),
            source,
        })?;
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
        let synced = File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all());
        synced.map_err(|source| failed(target, source))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Self::File { partial, is_complete: false, .. } = self {
            // It is of no use to anybody; when it cannot be removed, its name says what it is.
            let _ = std::fs::remove_file(partial);
        }
    }
}

/// Replaces nothing that somebody else has made meanwhile: a link fails where a rename would not.
fn give_name(partial: &Path, target: &Path) -> io::Result<()> {
    match std::fs::hard_link(partial, target) {
        Ok(()) => std::fs::remove_file(partial),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(_) => rename_to_new(partial, target),
    }
}

/// For file systems without links: an empty file that we have made ourselves takes the name, and is then replaced.
fn rename_to_new(partial: &Path, target: &Path) -> io::Result<()> {
    drop(OpenOptions::new().write(true).create_new(true).mode(0o600).open(target)?);
    std::fs::rename(partial, target).inspect_err(|_| {
        // Ours and empty; the error is about the rename.
        let _ = std::fs::remove_file(target);
    })
}

fn failed(path: &Path, source: io::Error) -> FetchError {
    FetchError::File { path: path.display().to_string(), source }
}

/// A line for the person, beside the stream.
pub(super) fn remark(line: &str) {
    // Nobody listens: that is no reason to fail.
    let _ = writeln!(io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_complete_file_that_cannot_have_its_name_is_kept_and_named() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("out.tar");
        let output = Output::create(&target).unwrap();
        output.writer().unwrap().write_all(b"all of it").unwrap();
        fs::write(&target, "somebody else's").unwrap();
        let said = output.complete().unwrap_err().to_string();
        assert_eq!(fs::read(&target).unwrap(), b"somebody else's");
        let mut names = fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().path());
        let partial = names.find(|name| *name != target).unwrap();
        assert_eq!(fs::read(&partial).unwrap(), b"all of it");
        assert!(said.contains(partial.to_str().unwrap()) && said.contains("complete"), "{said}");
    }

    #[test]
    fn an_incomplete_file_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        drop(Output::create(&directory.path().join("out.tar")).unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn without_links_the_name_is_taken_all_the_same_and_never_from_somebody_else() {
        let directory = tempfile::tempdir().unwrap();
        let (partial, target) = (directory.path().join("partial"), directory.path().join("out.tar"));
        fs::write(&partial, "all of it").unwrap();
        rename_to_new(&partial, &target).unwrap();
        assert_eq!((fs::read(&target).unwrap(), partial.exists()), (b"all of it".to_vec(), false));
        fs::write(&partial, "another").unwrap();
        let error = rename_to_new(&partial, &target).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&target).unwrap(), b"all of it");
        assert!(partial.exists());
    }
}
