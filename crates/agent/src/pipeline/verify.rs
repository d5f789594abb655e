//! What is checked before a restore touches the data service: the metadata, every part's size and hash, the checksum
//! of the request, and that the key opens the backup.

use std::io;

use age::secrecy::SecretString;
use age::{DecryptError, Decryptor, scrypt};
use backup_objects::{Metadata, ObjectStream};
use backup_protocol::Encryption;
use sha2::{Digest, Sha256};

use super::failure::Failure;
use super::{FILTERS, Run};

const LARGEST_METADATA: u64 = 64 * 1024 * 1024;
/// The longest header of a passphrase-encrypted age file is far shorter.
const HEADER: u64 = 4096;
/// 2^20 means 1 GiB of memory and seconds of work; a backup of ours never asks for that much.
const LARGEST_WORK_FACTOR: u8 = 20;

/// Reads `metadata.json` and checks it against the request and this agent's driver.
pub(super) async fn metadata(run: &Run, backup_id: &str, checksum: &str) -> Result<Metadata, Failure> {
    let bytes = run.store.get_bytes(&run.folder.metadata(), LARGEST_METADATA).await?;
    let metadata = Metadata::parse(&bytes)?;
    if metadata.backup_id != backup_id {
        return Err(Failure::mismatch(format!("metadata.json belongs to backup {}", metadata.backup_id)));
    }
    if !metadata.checksum.eq_ignore_ascii_case(checksum) {
        return Err(Failure::mismatch("metadata.json has another checksum than the request"));
    }
    if metadata.filter_plugins != FILTERS {
        let found = metadata.filter_plugins.join(", ");
        return Err(Failure::new("bad_request", format!("this agent cannot undo the filters {found}")));
    }
    let (name, found) = (&metadata.driver.name, metadata.driver.stream_version);
    if run.driver_of(name).is_none_or(|driver| found > driver.stream_version()) {
        let (own, version) = (run.driver.name(), run.driver.stream_version());
        let message = format!("made by driver {name} (stream version {found}), this is {own} ({version})");
        return Err(Failure::new("bad_request", message));
    }
    for part in &metadata.parts {
        let path = run.folder.part(&part.name)?;
        match run.store.size(&path).await? {
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

/// Reads all parts once and compares the hashes.
pub(super) async fn stored_bytes(run: &Run, metadata: &Metadata) -> Result<(), Failure> {
    let mut total = Sha256::new();
    for part in &metadata.parts {
        let mut hash = Sha256::new();
        let mut stream = open(run, &part.name).await?;
        while let Some(bytes) = stream.next().await? {
            hash.update(&bytes);
            total.update(&bytes);
            run.progress.add_read(bytes.len());
        }
        if !hex::encode(hash.finalize()).eq_ignore_ascii_case(&part.sha256) {
            return Err(Failure::mismatch(format!("the stored bytes of part {} have changed", part.name)));
        }
    }
    match hex::encode(total.finalize()).eq_ignore_ascii_case(&metadata.checksum) {
        true => Ok(()),
        false => Err(Failure::mismatch("the checksum over all stored bytes differs")),
    }
}

/// Opens the first part's header with the key.
pub(super) async fn key(run: &Run, metadata: &Metadata, encryption: &Encryption) -> Result<(), Failure> {
    let first = metadata.parts.first().map(|part| part.name.clone()).unwrap_or_default();
    let mut stream = run.store.get_stream(&run.folder.part(&first)?, Some(0..HEADER)).await?;
    let header = stream.next().await?.unwrap_or_default();
    let encryption = encryption.clone();
    let opened = tokio::task::spawn_blocking(move || decrypt(io::Cursor::new(header), &encryption).map(drop));
    opened.await?
}

/// Undoes the encryption of a stream that begins at its header.
pub(super) fn decrypt<R: io::BufRead>(
    input: R,
    encryption: &Encryption,
) -> Result<age::stream::StreamReader<R>, Failure> {
    let mut identity = scrypt::Identity::new(SecretString::from(encryption.key.clone()));
    identity.set_max_work_factor(LARGEST_WORK_FACTOR);
    let identities: [&dyn age::Identity; 1] = [&identity];
    let opened = Decryptor::new_buffered(input).and_then(|d| d.decrypt(identities.into_iter()));
    opened.map_err(|error| {
        let reason = match error {
            DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
                format!("the key {} does not open this backup", encryption.key_id)
            }
            other => other.to_string(),
        };
        Failure::new("decryption_failed", reason)
    })
}

/// Opens one part for reading.
pub(super) async fn open(run: &Run, part: &str) -> Result<ObjectStream, Failure> {
    Ok(run.store.get_stream(&run.folder.part(part)?, None).await?)
}
