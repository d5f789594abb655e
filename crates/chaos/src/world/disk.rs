//! The disk under the store: a file system in memory of its own where we may mount one (as root), so that it can be filled to
//! the last byte without harm to anybody else.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

const SIZE: &str = "2g";
/// More than any disk of ours has left.
const PIECE: [u8; 1 << 16] = [0; 1 << 16];

/// A directory, mounted if possible; unmounted when dropped.
#[derive(Debug)]
pub struct Disk {
    directory: PathBuf,
    is_mounted: bool,
}

impl Disk {
    /// Makes the directory, and mounts a file system on it if that is allowed.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn of(directory: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir(directory)?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={SIZE},mode=0755"), "backup-chaos"])
            .arg(directory)
            .output();
        let is_mounted = mounted.is_ok_and(|output| output.status.success());
        Ok(Self { directory: directory.to_owned(), is_mounted })
    }

    /// Where it is.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether it can be filled.
    #[must_use]
    pub fn is_mounted(&self) -> bool {
        self.is_mounted
    }

    /// Leaves no room for anything; without a file system of its own it does nothing.
    ///
    /// # Errors
    /// When the file that fills it cannot be written for another reason than that.
    pub fn fill(&self) -> anyhow::Result<()> {
        if !self.is_mounted {
            return Ok(());
        }
        let mut file = File::create(self.filler()).context("the disk cannot be filled")?;
        // Smaller and smaller pieces, to the last byte.
        for size in [PIECE.len(), 4096, 1] {
            while let Some(piece) = PIECE.get(..size) {
                match file.write_all(piece) {
                    Ok(()) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                    Err(error) => bail!("the disk cannot be filled: {error}"),
                }
            }
        }
        Ok(())
    }

    /// Gives the room back.
    ///
    /// # Errors
    /// When the file that fills it cannot be removed.
    pub fn free(&self) -> anyhow::Result<()> {
        match std::fs::remove_file(self.filler()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn filler(&self) -> PathBuf {
        self.directory.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_mounted {
            // Lazily: a process that has not quite ended may still hold a file.
            drop(Command::new("umount").arg("--lazy").arg(&self.directory).output());
        }
    }
}
