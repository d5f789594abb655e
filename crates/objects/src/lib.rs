//! The backup store: where stored backups live, and in what form. Manager and agent both open the stores named in
//! their configuration through this crate, so that neither knows which provider is behind a name.
//! It does not compress, encrypt or decide anything. Start with [`Store`]; names are made by [`BackupFolder`].

mod bounds;
mod cause;
mod config;
mod doctor;
mod error;
mod layout;
mod metadata;
mod open;
mod owner;
mod read;
mod retry;
mod store;
mod unfinished;
mod upload;

pub use cause::Cause;
pub use config::{AzureConfig, ConfigFault, Connection, GcsConfig, S3Config, StoreConfig};
pub use doctor::{Examination, Outcome, Step};
pub use error::{StoreError, StoreErrorKind};
pub use layout::{BackupFolder, InvalidName, object_prefix};
pub use metadata::{DriverInfo, FORMAT_VERSION, METADATA_NAME, Metadata, MetadataError};
pub use read::ObjectStream;
pub use retry::Retry;
pub use store::{Object, Store};
pub use unfinished::{UnfinishedUpload, UploadRecord};
pub use upload::Upload;
