//! A wall clock of a program's own that can be moved while it runs, by `libfaketime` (Debian's package `faketime`). The
//! monotonic clock, by which programs wait, stays the machine's, and so do the times of files.
//!
//! The library reads its offset from a file, once a second. It leaves shared memory behind when its program is killed,
//! named after the process id; a later process of that id would refuse to start, so those are swept before each start.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::debian;

/// Runs a program under a preloaded library without preloading it into what runs before it (`setpriv`, as another user).
const ENV: &str = "/usr/bin/env";

const MISSING: &str = "libfaketime.so.1 is not there; on Debian: sudo apt-get install faketime";

/// The file of one clock.
#[derive(Debug, Clone)]
pub struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// Tells whether the library is there.
    #[must_use]
    pub fn is_available() -> bool {
        find_library().is_some()
    }

    /// Installs the library if it is missing and we are root on Debian.
    ///
    /// # Errors
    /// When it is not there afterwards; the message says what to do.
    pub fn install() -> anyhow::Result<()> {
        if !Self::is_available() && debian::can_install() {
            debian::install(&["faketime"])?;
        }
        find_library().map(drop).context(MISSING)
    }

    /// A clock that goes right, with this file, which the program must be able to read.
    ///
    /// # Errors
    /// When the library is missing (see [`Clock::is_available`]) or the file cannot be written.
    pub fn create(file: &Path) -> anyhow::Result<Self> {
        let library = find_library().context(MISSING)?;
        let clock = Self { library, file: file.to_owned() };
        clock.set(0)?;
        Ok(clock)
    }

    /// Sets the clock this many seconds ahead of the machine's, or behind it. Running programs see it within a second.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set(&self, seconds: i64) -> anyhow::Result<()> {
        // Renamed into place: a reader must never see half of it.
        let fresh = self.file.with_extension("new");
        std::fs::write(&fresh, format!("{seconds:+}\n"))
            .and_then(|()| std::fs::rename(&fresh, &self.file))
            .with_context(|| format!("the clock {} cannot be set", self.file.display()))
    }

    /// The program and the first arguments of a command that runs another program under this clock.
    pub(crate) fn prefix(&self) -> (&'static Path, Vec<String>) {
        sweep_shared_memory();
        let variables = vec![
            format!("LD_PRELOAD={}", self.library.display()),
            format!("FAKETIME_TIMESTAMP_FILE={}", self.file.display()),
            "FAKETIME_CACHE_DURATION=1".to_owned(),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
            "NO_FAKE_STAT=1".to_owned(),
        ];
        (Path::new(ENV), variables)
    }
}

/// In Debian's folder of this machine's architecture, or where others put it.
fn find_library() -> Option<PathBuf> {
    let architecture = std::env::consts::ARCH;
    let multiarch = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path()).filter(|path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(&format!("{architecture}-linux")))
    });
    multiarch
        .chain(["/usr/lib64", "/usr/lib", "/usr/local/lib"].map(PathBuf::from))
        .map(|folder| folder.join("faketime/libfaketime.so.1"))
        .find(|path| path.is_file())
}

/// Removes what processes that are gone have left; best effort.
fn sweep_shared_memory() {
    let Ok(entries) = std::fs::read_dir("/dev/shm") else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let owner = name.strip_prefix("faketime_shm_").or_else(|| name.strip_prefix("sem.faketime_sem_"));
        let Some(Ok(owner)) = owner.map(str::parse::<u32>) else { continue };
        if !Path::new(&format!("/proc/{owner}")).exists() {
            // Fails when it is another user's, whose affair it is.
            std::fs::remove_file(entry.path()).unwrap_or_default();
        }
    }
}
