//! A stored backup as a plain stream, for people without a manager: the same checks and the same filters as a restore,
//! and no driver.

use std::io::{self, BufRead, Write};
use std::sync::Arc;

use backup_objects::{BackupFolder, Metadata, Store};
use backup_protocol::{Encryption, EncryptionScheme};

use super::decode::check_length;
use super::failure::Failure;
use super::filters::Chain;
use super::pieces::{self, PieceReader, Receiver};
use super::progress::Progress;
use super::stages::Stages;
use super::verify::{Fingerprint, Stored};

/// A backup whose stored bytes were checked and whose key fits.
pub(crate) struct Checked {
    store: Store,
    folder: BackupFolder,
    progress: Arc<Progress>,
    metadata: Metadata,
    chain: Chain,
    fingerprint: Fingerprint,
}

impl Checked {
    /// Reads the metadata, tries the key, and reads all stored bytes to compare their hashes.
    ///
    /// # Errors
    /// As a restore reports them.
    pub(crate) async fn open(
        store: Store,
        folder: BackupFolder,
        backup_id: &str,
        key: &str,
        progress: Arc<Progress>,
    ) -> Result<Self, Failure> {
        let stored = Stored { store: &store, folder: &folder, progress: &progress };
        let metadata = stored.metadata(backup_id).await?;
        let chain = chain(&metadata, key)?;
        // All bytes are read twice: once to check, once to undo.
        progress.set_estimate(metadata.size.saturating_mul(2));
        stored.key(&metadata, &chain).await?;
        let fingerprint = stored.bytes(&metadata).await?;
        Ok(Self { store, folder, progress, metadata, chain, fingerprint })
    }

    /// Describes parts that have no metadata: hashes them, and undoes everything to see that the key fits and to learn the
    /// length of the stream. `draft` says what cannot be read from them. Stores nothing.
    ///
    /// # Errors
    /// When there are no parts, or the key does not undo them.
    pub(crate) async fn describe(
        store: Store,
        folder: BackupFolder,
        draft: Metadata,
        key: &str,
        progress: Arc<Progress>,
    ) -> Result<Metadata, Failure> {
        let chain = chain(&draft, key)?;
        let stored = Stored { store: &store, folder: &folder, progress: &progress };
        let (parts, checksum, fingerprint) = stored.hashed().await?;
        let mut described = Self { store, folder, progress, metadata: draft, chain, fingerprint };
        let metadata = &mut described.metadata;
        metadata.size = parts.iter().map(|part| part.size).sum();
        (metadata.parts, metadata.checksum) = (parts, checksum);
        described.progress.set_estimate(described.metadata.size.saturating_mul(2));
        described.stored().key(&described.metadata, &described.chain).await?;
        described.metadata.plain_size = described.undo(io::sink()).await?;
        Ok(described.metadata)
    }

    fn stored(&self) -> Stored<'_> {
        Stored { store: &self.store, folder: &self.folder, progress: &self.progress }
    }

    /// What `metadata.json` says.
    pub(crate) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Writes the driver's stream. After an error, what was written must not be used.
    ///
    /// # Errors
    /// When the store fails, the stream breaks, or the output takes no more.
    pub(crate) async fn write_to(self, output: impl Write + Send + 'static) -> Result<(), Failure> {
        let length = self.undo(output).await?;
        check_length(length, self.metadata.plain_size)
    }

    async fn undo(&self, output: impl Write + Send + 'static) -> Result<u64, Failure> {
        let (sender, stored) = pieces::queue_from_store();
        let (stages, plain) = Stages::undo(&self.chain, stored);
        let writing = tokio::task::spawn_blocking(move || write(plain, output));
        let feeding = async {
            let fed = self.stored().feed(&self.metadata, &self.fingerprint, &sender).await;
            // Closes the queue: without an end mark the other side knows that the stream is broken.
            drop(sender);
            fed
        };
        let (written, trouble, fed) = tokio::join!(writing, stages.trouble(), feeding);
        match (written?, fed, trouble) {
            (Ok(length), ..) => Ok(length),
            (Err(_), Err(store), _) => Err(store),
            (Err(_), Ok(()), Some(trouble)) => Err(Failure::broken_stream(&trouble)),
            (Err(error), Ok(()), None) => {
                Err(Failure::new("internal", format!("cannot be written: {error}")))
            }
        }
    }
}

/// The filters the metadata lists, with the encryption that is among them.
fn chain(metadata: &Metadata, key: &str) -> Result<Chain, Failure> {
    let is_legacy = metadata.filter_plugins.last().is_some_and(|n| n == EncryptionScheme::OpensslEnc.name());
    let encryption = Encryption {
        scheme: if is_legacy { EncryptionScheme::OpensslEnc } else { EncryptionScheme::Age },
        key: key.to_owned(),
        key_id: metadata.key_id.clone(),
        key_envelope: None,
    };
    Chain::recorded(&metadata.filter_plugins, &encryption)
}

fn write(plain: Receiver, mut output: impl Write) -> io::Result<u64> {
    let (mut plain, mut length) = (PieceReader::new(plain), 0_u64);
    loop {
        let bytes = plain.fill_buf()?;
        if bytes.is_empty() {
            output.flush()?;
            return Ok(length);
        }
        output.write_all(bytes)?;
        let written = bytes.len();
        plain.consume(written);
        length = length.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
    }
}
