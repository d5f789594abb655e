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

    /// Gives the file its name, durably.
    pub(super) fn complete(mut self) -> Result<(), FetchError> {
        let Self::File { file, partial, target, is_complete } = &mut self else { return Ok(()) };
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
        let renamed = file
            .sync_all()
            // A link fails where a rename would replace what somebody else has made meanwhile.
            .and_then(|()| std::fs::hard_link(&*partial, &*target))
            .and_then(|()| std::fs::remove_file(&*partial))
            .and_then(|()| File::open(folder.unwrap_or(Path::new(".")))?.sync_all());
        renamed.map_err(|source| failed(target, source))?;
        *is_complete = true;
        Ok(())
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

fn failed(path: &Path, source: io::Error) -> FetchError {
    FetchError::File { path: path.display().to_string(), source }
}

/// A line for the person, beside the stream.
pub(super) fn remark(line: &str) {
    // Nobody listens: that is no reason to fail.
    let _ = writeln!(io::stderr().lock(), "{line}");
}
