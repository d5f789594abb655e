//! A stored backup, and what is checked before its first byte is used: the metadata, every part's size and hash, the
//! checksum over all, and that the key opens it.

use aws_lc_rs::digest::{Context, SHA256};
use backup_objects::{BackupFolder, Metadata, ObjectStream, Store};
use backup_protocol::Part;

use super::failure::Failure;
use super::filters::Chain;
use super::pieces::{Piece, Sender};
use super::progress::Progress;

const LARGEST_METADATA: u64 = 64 * 1024 * 1024;
/// The longest header of a passphrase-encrypted age file is far shorter.
const HEAD: u64 = 4096;

/// Where a backup is, and where the bytes read of it are counted.
#[derive(Clone, Copy)]
pub(super) struct Stored<'a> {
    pub(super) store: &'a Store,
    pub(super) folder: &'a BackupFolder,
    pub(super) progress: &'a Progress,
}

impl Stored<'_> {
    /// Reads `metadata.json`, and looks whether all parts are there with their sizes.
    pub(super) async fn metadata(&self, backup_id: &str) -> Result<Metadata, Failure> {
        let bytes = self.store.get_bytes(&self.folder.metadata(), LARGEST_METADATA).await?;
        let metadata = Metadata::parse(&bytes)?;
        if metadata.backup_id != backup_id {
            return Err(Failure::mismatch(format!("metadata.json belongs to backup {}", metadata.backup_id)));
        }
        for part in &metadata.parts {
            match self.store.size(&self.folder.part(&part.name)?).await? {
                Some(size) if size == part.size => {}
                Some(size) => {
                    let message = format!("part {} has {size} bytes instead of {}", part.name, part.size);
                    return Err(Failure::mismatch(message));
                }
                None => return Err(Failure::new("store_error", format!("part {} is missing", part.name))),
            }
        }
        Ok(metadata)
    }

    /// Tries the key on the first stored bytes. When they are damaged, it is that what is reported.
    pub(super) async fn key(&self, metadata: &Metadata, chain: &Chain) -> Result<(), Failure> {
        let Some(first) = metadata.parts.first() else { return Ok(()) };
        let mut stream = self.store.get_stream(&self.folder.part(&first.name)?, Some(0..HEAD)).await?;
        let (head, chain) = (stream.next().await?.unwrap_or_default(), chain.clone());
        let opened = tokio::task::spawn_blocking(move || chain.check_key(&head)).await?;
        if opened.is_err() {
            self.part(first, &mut Hashes::default()).await?;
        }
        opened
    }

    /// Reads all parts once and compares the hashes; returns what [`Self::feed`] compares with.
    pub(super) async fn bytes(&self, metadata: &Metadata) -> Result<Fingerprint, Failure> {
        let mut hashes = Hashes::default();
        for part in &metadata.parts {
            self.part(part, &mut hashes).await?;
        }
        hashes.compare_all(metadata)
    }

    /// Hashes the parts that are there, numbered without a gap; for a backup that has no metadata yet.
    pub(super) async fn hashed(&self) -> Result<(Vec<Part>, String, Fingerprint), Failure> {
        let (mut parts, mut hashes) = (Vec::new(), Hashes::default());
        for name in (1..).map(BackupFolder::part_name) {
            let Some(size) = self.store.size(&self.folder.part(&name)?).await? else { break };
            let mut stream = self.open(&name).await?;
            while let Some(bytes) = stream.next().await? {
                hashes.update_checked(&bytes);
                self.progress.add_read(bytes.len());
            }
            parts.push(Part { name, size, sha256: hashes.end_of_part() });
        }
        match parts.is_empty() {
            true => Err(Failure::new("store_error", "part data.00001 is missing")),
            false => {
                let fingerprint = hashes.fingerprint();
                Ok((parts, hashes.finish(), fingerprint))
            }
        }
    }

    async fn part(&self, part: &Part, hashes: &mut Hashes) -> Result<(), Failure> {
        let mut stream = self.open(&part.name).await?;
        while let Some(bytes) = stream.next().await? {
            hashes.update_checked(&bytes);
            self.progress.add_read(bytes.len());
        }
        hashes.compare_part(part)
    }

    /// Sends all parts into a queue, and then that they were all. That is said only when these bytes are those that were
    /// checked: they are read anew, and who can write to the store may have changed them since. Nothing is put in place
    /// before the end.
    pub(super) async fn feed(
        &self,
        metadata: &Metadata,
        checked: &Fingerprint,
        queue: &Sender,
    ) -> Result<(), Failure> {
        let mut found = blake3::Hasher::new();
        for part in &metadata.parts {
            let mut stream = self.open(&part.name).await?;
            if stream.size() != part.size {
                let (name, found) = (&part.name, stream.size());
                let message = format!("part {name} has {found} bytes instead of {}", part.size);
                return Err(Failure::mismatch(message));
            }
            while let Some(bytes) = stream.next().await? {
                self.progress.add_read(bytes.len());
                found.update(&bytes);
                // The other side has stopped reading and says why.
                if queue.send(Piece::Data(bytes)).await.is_err() {
                    return Ok(());
                }
            }
        }
        if found.finalize() != checked.0 {
            return Err(Failure::mismatch("the stored bytes have changed since they were checked"));
        }
        let _ = queue.send(Piece::End).await;
        Ok(())
    }

    async fn open(&self, part: &str) -> Result<ObjectStream, Failure> {
        Ok(self.store.get_stream(&self.folder.part(part)?, None).await?)
    }
}

/// Tells whether bytes are those that were checked. It lives as long as one restore, so it need not be the hash of the
/// stored form, and can be one that costs next to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint(blake3::Hash);

/// SHA-256 of each part and of all together. Most backups have one part: then both are the same, and computed once.
pub(super) struct Hashes {
    all: Context,
    /// None in the first part.
    part: Option<Context>,
    fingerprint: blake3::Hasher,
}

impl Default for Hashes {
    fn default() -> Self {
        Self { all: Context::new(&SHA256), part: None, fingerprint: blake3::Hasher::new() }
    }
}

impl Hashes {
    /// Adds bytes of the current part.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.all.update(bytes);
        if let Some(part) = &mut self.part {
            part.update(bytes);
        }
    }

    /// Adds bytes of the current part, and to the fingerprint.
    fn update_checked(&mut self, bytes: &[u8]) {
        self.update(bytes);
        self.fingerprint.update(bytes);
    }

    /// Of everything that went through [`Self::update_checked`].
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint(self.fingerprint.finalize())
    }

    /// The hash of the current part; what follows belongs to the next.
    pub(super) fn end_of_part(&mut self) -> String {
        let part = self.part.replace(Context::new(&SHA256));
        hex::encode(part.unwrap_or_else(|| self.all.clone()).finish())
    }

    fn compare_part(&mut self, part: &Part) -> Result<(), Failure> {
        match self.end_of_part().eq_ignore_ascii_case(&part.sha256) {
            true => Ok(()),
            false => Err(Failure::mismatch(format!("the stored bytes of part {} have changed", part.name))),
        }
    }

    fn compare_all(self, metadata: &Metadata) -> Result<Fingerprint, Failure> {
        let fingerprint = self.fingerprint();
        match self.finish().eq_ignore_ascii_case(&metadata.checksum) {
            true => Ok(fingerprint),
            false => Err(Failure::mismatch("the checksum over all stored bytes differs")),
        }
    }

    /// The hash over all parts.
    pub(super) fn finish(self) -> String {
        hex::encode(self.all.finish())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;
    use serde_json::json;

    use super::*;
    use crate::pipeline::pieces;

    /// What reaches the other side when the parts are others than those that were checked, and whether it is told that
    /// this was all.
    async fn fed(
        checked: [&'static str; 2],
        parts: [&'static str; 2],
    ) -> (Result<(), Failure>, Vec<u8>, bool) {
        let (metadata, progress) = (metadata(checked), Progress::default());
        let folder = BackupFolder::parse("p", "b").unwrap();
        let (before, after) = (store(&metadata, checked).await, store(&metadata, parts).await);
        let stored = |store| Stored { store, folder: &folder, progress: &progress };
        let fingerprint = stored(&before).bytes(&metadata).await.unwrap();
        let (sender, mut receiver) = pieces::queue();
        let fed = stored(&after).feed(&metadata, &fingerprint, &sender).await;
        drop(sender);
        let (mut bytes, mut is_all) = (Vec::new(), false);
        while let Some(piece) = receiver.recv().await {
            match piece {
                Piece::Data(data) => bytes.extend_from_slice(&data),
                Piece::End => is_all = true,
            }
        }
        (fed, bytes, is_all)
    }

    async fn store(metadata: &Metadata, parts: [&'static str; 2]) -> Store {
        let store = Store::over("main", Arc::new(InMemory::new()));
        let folder = BackupFolder::parse("p", "b").unwrap();
        for (part, content) in metadata.parts.iter().zip(parts) {
            store.put_bytes(&folder.part(&part.name).unwrap(), content.into()).await.unwrap();
        }
        store
    }

    fn metadata(parts: [&str; 2]) -> Metadata {
        let mut hashes = Hashes::default();
        let described: Vec<Part> = (1..)
            .zip(parts)
            .map(|(number, content)| {
                hashes.update(content.as_bytes());
                let size = u64::try_from(content.len()).unwrap();
                Part { name: BackupFolder::part_name(number), size, sha256: hashes.end_of_part() }
            })
            .collect();
        serde_json::from_value(json!({
            "format_version": 1, "backup_id": "b", "instance": {"guid": "g", "data_service": "files"},
            "parts": described, "checksum": hashes.finish(), "size": 8, "plain_size": 8,
            "filter_plugins": ["zstd", "age"], "key_id": "k",
            "started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:00:00Z",
            "driver": {"name": "files", "stream_version": 1, "agent_version": "1"},
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn bytes_that_changed_after_they_were_checked_never_come_to_an_end() {
        let checked = ["good", "fine"];
        assert_eq!(fed(checked, checked).await, (Ok(()), b"goodfine".to_vec(), true));
        for (parts, words) in [
            (["good", "evil"], "have changed"),
            (["evil", "fine"], "have changed"),
            (["good", "fine, and more"], "part data.00002 has 14 bytes"),
        ] {
            let (fed, _, is_all) = fed(checked, parts).await;
            assert!(!is_all, "{parts:?}");
            let Err(Failure::Error(error)) = fed else { panic!("{fed:?}") };
            assert!(error.code == "checksum_mismatch" && error.message.contains(words), "{error:?}");
        }
    }

    #[tokio::test]
    async fn bytes_that_are_not_those_of_the_metadata_have_no_fingerprint() {
        let (promised, progress) = (metadata(["good", "fine"]), Progress::default());
        let folder = BackupFolder::parse("p", "b").unwrap();
        let other = Metadata { checksum: "0".repeat(64), ..promised.clone() };
        for (metadata, parts, words) in [
            (&promised, ["good", "evil"], "part data.00002 have changed"),
            (&promised, ["evil", "fine"], "part data.00001 have changed"),
            (&other, ["good", "fine"], "checksum over all"),
        ] {
            let store = store(metadata, parts).await;
            let stored = Stored { store: &store, folder: &folder, progress: &progress };
            let Err(Failure::Error(error)) = stored.bytes(metadata).await else { panic!("{parts:?}") };
            assert!(error.code == "checksum_mismatch" && error.message.contains(words), "{error:?}");
        }
    }
}
