//! The backup store: where stored backups live, and in what form. Manager and agent both open the stores named in
//! their configuration through this crate, so that neither knows which provider is behind a name.
//! It does not compress, encrypt or decide anything. Start with [`Store`]; names are made by [`BackupFolder`].

mod bounds;
mod config;
mod error;
mod layout;
mod metadata;
mod owner;
mod read;
mod store;
mod upload;

pub use config::StoreConfig;
pub use error::{StoreError, StoreErrorKind};
pub use layout::{BackupFolder, InvalidName, object_prefix};
pub use metadata::{DriverInfo, FORMAT_VERSION, METADATA_NAME, Metadata, MetadataError};
pub use read::ObjectStream;
pub use store::{Object, Store};
pub use upload::Upload;
