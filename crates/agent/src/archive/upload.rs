//! Segments → the folders that want them: zstd, then age to the folder's public key. A folder that lost its owner object
//! was deleted, and takes nothing any more.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use age::secrecy::{ExposeSecret, SecretString};
use age::{Encryptor, scrypt, x25519};
use backup_objects::{BackupFolder, Store, StoreError, StoreErrorKind};
use backup_protocol::Encryption;

use super::state::State;
use super::target::Target;
use crate::pipeline::Failure;

/// The object with the secret key, encrypted with the backup's own.
pub(super) const IDENTITY: &str = "identity.age";
/// Endings of a stored segment's name: undo them from the right.
pub(super) const ENDING: &str = ".zst.age";
const LEVEL: i32 = 3;
/// As dear as guessing the key of the base itself.
const WORK_FACTOR: u8 = 17;
/// One segment takes no longer than this, or is tried again.
const PATIENCE: Duration = Duration::from_secs(120);

/// Stores what is there, in order.
pub(super) async fn upload(stores: &BTreeMap<String, Store>, state: &mut State) -> Result<(), Failure> {
    for (number, path) in state.whole_segments()? {
        let wanting: Vec<Target> = state.targets.iter().filter(|t| t.wants(number)).cloned().collect();
        for target in wanting {
            if number != target.next {
                let reason = format!("segment {} of the log was not received", target.next);
                tracing::error!(
                    backup.id = target.backup_id,
                    reason,
                    "there is a gap in the archive of the log"
                );
                state.close(&target.backup_id, &reason);
                continue;
            }
            let stored = tokio::time::timeout(PATIENCE, store_segment(stores, &target, &path)).await;
            match stored.unwrap_or_else(|_| Err(Failure::new("store_error", "the store does not answer")))? {
                true => state
                    .targets
                    .iter_mut()
                    .filter(|t| t.backup_id == target.backup_id)
                    .for_each(Target::stored),
                false => state.close(&target.backup_id, "the base backup was deleted"),
            }
        }
        state.close_complete();
        state.save()?;
    }
    state.close_complete();
    Ok(state.drop_stored()?)
}

/// False: the folder is gone.
async fn store_segment(
    stores: &BTreeMap<String, Store>,
    target: &Target,
    path: &Path,
) -> Result<bool, Failure> {
    let store = stores.get(&target.store).ok_or_else(|| {
        Failure::new("store_error", format!("the store {} is no longer configured", target.store))
    })?;
    let folder = BackupFolder::parse(&target.object_prefix, &target.backup_id)?;
    if !store.is_owner(&folder, &target.owner).await? {
        return Ok(false);
    }
    let (recipient, file) = (target.recipient.clone(), path.to_owned());
    let sealed = tokio::task::spawn_blocking(move || seal(&file, &recipient)).await??;
    let name = format!("{}{ENDING}", path.file_name().unwrap_or_default().to_string_lossy());
    let object = folder.log(&name)?;
    put_once(store, &object, sealed).await?;
    // Whoever deleted the folder meanwhile may not have seen the new object.
    if store.is_owner(&folder, &target.owner).await? {
        return Ok(true);
    }
    #[expect(clippy::disallowed_methods, reason = "an object of ours in a folder whose backup is deleted")]
    store.delete(&object).await?;
    Ok(false)
}

/// The object may be there from a try whose end was not recorded; objects are stored whole or not at all.
async fn put_once(store: &Store, path: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
    match store.put_bytes(path, bytes.into()).await {
        Err(error) if error.kind() == StoreErrorKind::AlreadyExists => Ok(()),
        stored => stored,
    }
}

fn seal(path: &Path, recipient: &str) -> Result<Vec<u8>, Failure> {
    let recipient: x25519::Recipient = recipient.parse().map_err(|e: &str| Failure::new("internal", e))?;
    let mut plain = std::fs::File::open(path).map_err(broken)?;
    let recipients: [&dyn age::Recipient; 1] = [&recipient];
    let encryptor = Encryptor::with_recipients(recipients.into_iter());
    let encryptor = encryptor.map_err(|e| Failure::new("internal", e.to_string()))?;
    let encrypted = encryptor.wrap_output(Vec::new()).map_err(broken)?;
    let mut compressed = zstd::Encoder::new(encrypted, LEVEL).map_err(broken)?;
    std::io::copy(&mut plain, &mut compressed).map_err(broken)?;
    compressed.finish().and_then(|encrypted| encrypted.finish()).map_err(broken)
}

/// Makes a key pair for a folder; stores the secret half, encrypted, and returns the public one.
pub(super) async fn store_identity(
    store: &Store,
    folder: &BackupFolder,
    encryption: &Encryption,
) -> Result<String, Failure> {
    let key = SecretString::from(encryption.key.clone());
    let made = tokio::task::spawn_blocking(move || {
        let identity = x25519::Identity::generate();
        let mut recipient = scrypt::Recipient::new(key);
        recipient.set_work_factor(WORK_FACTOR);
        let recipients: [&dyn age::Recipient; 1] = [&recipient];
        let encryptor = Encryptor::with_recipients(recipients.into_iter());
        let encryptor = encryptor.map_err(|e| Failure::new("internal", e.to_string()))?;
        let mut sealed = encryptor.wrap_output(Vec::new()).map_err(broken)?;
        let text = identity.to_string();
        sealed
            .write_all(text.expose_secret().as_bytes())
            .and_then(|()| sealed.write_all(b"\n"))
            .map_err(broken)?;
        Ok::<_, Failure>((identity.to_public().to_string(), sealed.finish().map_err(broken)?))
    });
    let (public, sealed) = made.await??;
    store.put_bytes(&folder.log(IDENTITY)?, sealed.into()).await?;
    Ok(public)
}

fn broken(error: std::io::Error) -> Failure {
    crate::drivers::DriverError::data_service(format!("a segment of the log cannot be sealed: {error}"))
        .into()
}
