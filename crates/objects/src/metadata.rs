//! `metadata.json`, the object written last: a backup without a complete one is not a backup. It holds what is needed to
//! find, check and undo the backup without any manager. It never holds a key in the clear: the one in
//! [`Metadata::key_envelope`] is sealed.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use backup_protocol::{InstanceRef, Part};

/// The version of the stored form this crate writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// The name of the metadata object below a backup's folder.
pub const METADATA_NAME: &str = "metadata.json";

/// The content of `metadata.json`. Unknown fields are ignored, so that later versions may add some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// See [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The backup's id, which is also the last piece of its folder.
    pub backup_id: String,
    /// Who was backed up.
    pub instance: InstanceRef,
    /// The parts in order.
    pub parts: Vec<Part>,
    /// SHA-256 over the stored bytes of all parts in order, lower-case hexadecimal.
    pub checksum: String,
    /// Stored bytes of all parts together.
    pub size: u64,
    /// Bytes of the driver's stream before compression and encryption.
    pub plain_size: u64,
    /// Filters in the order they were applied, for example `["zstd", "age"]`; a restore undoes them from the end.
    pub filter_plugins: Vec<String>,
    /// The manager's name of the encryption key.
    pub key_id: String,
    /// The key and what else the manager's catalogue says of the backup, sealed under the operator's keys; absent when
    /// the agent did not copy it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_envelope: Option<String>,
    /// When the agent began.
    pub started_at: DateTime<Utc>,
    /// When the last part was stored.
    pub finished_at: DateTime<Utc>,
    /// What wrote the stream.
    pub driver: DriverInfo,
}

/// Which driver made the stream, and what it read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverInfo {
    /// The driver's name, for example `postgresql`.
    pub name: String,
    /// The version of the driver's stream; a restore refuses one it does not know.
    pub stream_version: u32,
    /// Version of the agent.
    pub agent_version: String,
    /// Version of the data service, when it has one.
    #[serde(default)]
    pub data_service_version: Option<String>,
}

/// Why a `metadata.json` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// Not JSON of the right shape.
    #[error("metadata.json cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// Written in a later form.
    #[error("metadata.json has format version {0}, this program knows version {FORMAT_VERSION}")]
    UnknownVersion(u32),
    /// The numbers contradict each other.
    #[error("metadata.json contradicts itself: {0}")]
    Contradiction(&'static str),
}

impl Metadata {
    /// Reads and checks the bytes of a `metadata.json`.
    ///
    /// # Errors
    /// [`MetadataError`] when it is not complete, from the future or contradicts itself.
    pub fn parse(bytes: &[u8]) -> Result<Self, MetadataError> {
        let metadata: Self = serde_json::from_slice(bytes)?;
        if metadata.format_version != FORMAT_VERSION {
            return Err(MetadataError::UnknownVersion(metadata.format_version));
        }
        if metadata.parts.is_empty() {
            return Err(MetadataError::Contradiction("it lists no parts"));
        }
        let sum = metadata.parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(part.size));
        if sum != Some(metadata.size) {
            return Err(MetadataError::Contradiction("the sizes of the parts do not add up"));
        }
        Ok(metadata)
    }

    /// The bytes to store.
    ///
    /// # Errors
    /// [`MetadataError::Unreadable`] in theory only: every field can be written as JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>, MetadataError> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}
