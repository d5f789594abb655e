//! The asynchronous half of a backup: cuts the encrypted stream into parts, hashes and uploads them.

use backup_objects::{BackupFolder, Upload};
use backup_protocol::Part;
use bytes::Bytes;

use super::Run;
use super::failure::Failure;
use super::verify::Hashes;

/// Writes `data.00001` and so on.
pub(super) struct PartWriter<'a> {
    run: &'a Run,
    limit: u64,
    chunk_size: usize,
    current: Option<Current>,
    hashes: Hashes,
    parts: Vec<Part>,
}

struct Current {
    name: String,
    upload: Upload,
    size: u64,
}

impl<'a> PartWriter<'a> {
    pub(super) fn new(run: &'a Run, limit: u64, chunk_size: usize) -> Self {
        Self {
            run,
            limit: limit.max(1),
            chunk_size,
            current: None,
            hashes: Hashes::default(),
            parts: Vec::new(),
        }
    }

    /// Adds bytes of the stream.
    pub(super) async fn write(&mut self, mut bytes: Bytes) -> Result<(), Failure> {
        while !bytes.is_empty() {
            let mut current = match self.current.take() {
                Some(current) => current,
                None => self.begin().await?,
            };
            let room = usize::try_from(self.limit.saturating_sub(current.size)).unwrap_or(usize::MAX);
            let piece = bytes.split_to(room.min(bytes.len()));
            self.hashes.update(&piece);
            current.size = current.size.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
            let length = piece.len();
            current.upload.write(piece).await?;
            self.run.progress.add_stored(length);
            match current.size >= self.limit {
                true => self.complete(current).await?,
                false => self.current = Some(current),
            }
        }
        Ok(())
    }

    /// Completes the last part; returns all parts and the SHA-256 over all stored bytes.
    pub(super) async fn finish(mut self) -> Result<(Vec<Part>, String), Failure> {
        if let Some(current) = self.current.take() {
            self.complete(current).await?;
        }
        Ok((self.parts, self.hashes.finish()))
    }

    async fn begin(&mut self) -> Result<Current, Failure> {
        let number = u32::try_from(self.parts.len()).unwrap_or(u32::MAX).saturating_add(1);
        let name = BackupFolder::part_name(number);
        let upload = self.run.store.upload(&self.run.folder.part(&name)?, self.chunk_size).await?;
        Ok(Current { name, upload, size: 0 })
    }

    async fn complete(&mut self, current: Current) -> Result<(), Failure> {
        let size = current.upload.finish().await?;
        let part = Part { name: current.name, size, sha256: self.hashes.end_of_part() };
        self.run.progress.add_part(part.clone());
        self.parts.push(part);
        Ok(())
    }
}
