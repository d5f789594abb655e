//! What the archive remembers over restarts: whose log it follows, the folders that take segments, and the windows that
//! have ended. One file, replaced as a whole and synced; the segments on their way lie beside it.

use std::fs::{self, DirBuilder, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use backup_protocol::{PitrReport, PitrWindow, PitrWindowState};
use serde::{Deserialize, Serialize};

use super::target::Target;
use crate::drivers::physical::{Position, segment_number};
use crate::drivers::{DriverError, Trouble};

const FILE: &str = "archive.json";
const SEGMENTS: &str = "segments";
/// Windows that have ended and are still told.
const KEPT: usize = 200;

/// The record.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// The cluster whose log is followed.
    system: String,
    timeline: u32,
    segment_size: u64,
    /// Folders that take segments.
    pub(super) targets: Vec<Target>,
    /// Windows that have ended, the oldest first.
    ended: Vec<PitrWindow>,
    /// The slot is dropped and nothing is received.
    pub(super) is_resting: bool,
    /// Bytes the server keeps for the agent, when it was last asked.
    #[serde(skip)]
    pub(super) behind: Option<u64>,
    #[serde(skip)]
    directory: PathBuf,
    #[serde(skip)]
    saved: Vec<u8>,
}

impl State {
    /// Reads the record, or makes the directory.
    pub(super) fn open(directory: &Path) -> Result<Self, DriverError> {
        let segments = directory.join(SEGMENTS);
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(&segments).map_err(|e| unusable(&segments, &e))?;
        let path = directory.join(FILE);
        let state = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Self::default(),
            read => serde_json::from_slice(&read.map_err(|e| unusable(&path, &e))?)
                .map_err(|e| unusable(&path, &e))?,
        };
        Ok(Self { directory: directory.to_owned(), ..state })
    }

    /// Writes the record, durably, if it has changed.
    pub(super) fn save(&mut self) -> Result<(), DriverError> {
        let (path, fresh) = (self.directory.join(FILE), self.directory.join("archive.new"));
        let bytes = serde_json::to_vec_pretty(self).map_err(|e| unusable(&path, &e))?;
        if bytes == self.saved {
            return Ok(());
        }
        let written = File::create(&fresh).and_then(|mut file| {
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            File::open(&self.directory)?.sync_all()
        });
        written.map_err(|e| unusable(&path, &e))?;
        self.saved = bytes;
        Ok(())
    }

    /// Follows this server's log from now on.
    pub(super) fn begin(&mut self, now: &Position) -> Result<(), DriverError> {
        self.forget_segments()?;
        self.system.clone_from(&now.at.system);
        (self.timeline, self.segment_size) = (now.at.timeline, now.at.segment_size);
        self.is_resting = false;
        Ok(())
    }

    /// Whether this is the log that is followed, without a gap.
    pub(super) fn fits(&self, now: &Position) -> bool {
        !self.targets.is_empty() && self.misfit(now).is_none()
    }

    /// Why this log cannot be followed any longer.
    pub(super) fn misfit(&self, now: &Position) -> Option<String> {
        if now.at.system != self.system {
            return Some("another server is there".to_owned());
        }
        if now.at.timeline != self.timeline {
            let (found, known) = (now.at.timeline, self.timeline);
            return Some(format!("the server was restored or promoted (timeline {found} after {known})"));
        }
        match &now.at.slot {
            None => Some("the replication slot is gone".to_owned()),
            Some(slot) if slot.status == "lost" => Some(
                "the server has removed log that was not archived yet (max_slot_wal_keep_size)".to_owned(),
            ),
            Some(_) => None,
        }
    }

    /// Ends all windows.
    pub(super) fn close_all(&mut self, reason: &str) {
        for target in std::mem::take(&mut self.targets) {
            self.end(&target, Some(reason.to_owned()));
        }
    }

    /// Ends the window of one folder.
    pub(super) fn close(&mut self, backup_id: &str, reason: &str) {
        if let Some(target) = self.take(backup_id) {
            self.end(&target, Some(reason.to_owned()));
        }
    }

    /// Forgets a base backup that failed. Whoever it had taken over from goes on.
    pub(super) fn abandon(&mut self, backup_id: &str) {
        self.ended.retain(|window| window.backup_id != backup_id);
        if self.take(backup_id).is_some_and(|target| target.start_time.is_some())
            && let Some(before) = self.targets.last_mut()
        {
            before.last = None;
        }
    }

    /// Ends the windows that are complete.
    pub(super) fn close_complete(&mut self) {
        while let Some(at) = self.targets.iter().position(Target::is_complete) {
            let target = self.targets.remove(at);
            self.end(&target, None);
        }
    }

    fn take(&mut self, backup_id: &str) -> Option<Target> {
        let at = self.targets.iter().position(|target| target.backup_id == backup_id)?;
        Some(self.targets.remove(at))
    }

    fn end(&mut self, target: &Target, reason: Option<String>) {
        if reason.is_none() || self.targets.is_empty() {
            tracing::info!(
                backup.id = target.backup_id,
                reason,
                "no more of the log goes to this base backup"
            );
        }
        let state = if reason.is_some() { PitrWindowState::Broken } else { PitrWindowState::Continued };
        self.ended.extend(target.window(self.timeline, self.segment_size, state, reason));
        let surplus = self.ended.len().saturating_sub(KEPT);
        self.ended.drain(..surplus);
    }

    /// What is told of it.
    pub(super) fn report(&self) -> PitrReport {
        let open = self.targets.iter().filter_map(|target| {
            target.window(self.timeline, self.segment_size, PitrWindowState::Open, None)
        });
        PitrReport {
            windows: self.ended.iter().cloned().chain(open).collect(),
            bytes_behind: self.behind,
            segments_waiting: self.waiting(),
            trouble: None,
        }
    }

    fn waiting(&self) -> u64 {
        let wanted = |number: u64| self.targets.iter().any(|target| target.wants(number));
        let all = self.whole_segments().unwrap_or_default();
        u64::try_from(all.iter().filter(|(number, _)| wanted(*number)).count()).unwrap_or(u64::MAX)
    }

    /// Whole segments in the directory, in order.
    pub(super) fn whole_segments(&self) -> Result<Vec<(u64, PathBuf)>, DriverError> {
        let directory = Self::segments_below(&self.directory);
        let entries = fs::read_dir(&directory).map_err(|e| unusable(&directory, &e))?;
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| unusable(&directory, &e))?;
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| segment_number(name, self.segment_size));
            if let Some((_, number)) = number.filter(|(timeline, _)| *timeline == self.timeline) {
                found.push((number, entry.path()));
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Removes whole segments that no folder wants. The newest stays, because it tells `pg_receivewal` where to go on.
    pub(super) fn drop_stored(&self) -> Result<(), DriverError> {
        let mut segments = self.whole_segments()?;
        segments.pop();
        for (number, path) in segments {
            if !self.targets.iter().any(|target| target.wants(number)) {
                fs::remove_file(&path).map_err(|e| unusable(&path, &e))?;
            }
        }
        Ok(())
    }

    /// Empties the directory.
    pub(super) fn forget_segments(&self) -> Result<(), DriverError> {
        let directory = Self::segments_below(&self.directory);
        for entry in fs::read_dir(&directory).map_err(|e| unusable(&directory, &e))? {
            let path = entry.map_err(|e| unusable(&directory, &e))?.path();
            fs::remove_file(&path).map_err(|e| unusable(&path, &e))?;
        }
        Ok(())
    }

    /// Where segments lie until they are stored.
    pub(super) fn segments_below(directory: &Path) -> PathBuf {
        directory.join(SEGMENTS)
    }
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> DriverError {
    let message = format!("the archive of the log cannot use {}: {error}", path.display());
    match message.contains("No space left") {
        true => DriverError::of(Trouble::DiskFull, message),
        false => DriverError::data_service(message),
    }
}
