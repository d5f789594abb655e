//! From a driver's stream to stored objects and back: driver → zstd → age → parts → store. Drivers, compression and
//! encryption run on one blocking thread; the store is used from asynchronous code; a short queue of pieces between them
//! bounds the memory, whatever the size of the data.

mod backup;
mod decode;
mod encode;
mod failure;
mod meter;
mod parts;
mod pieces;
mod progress;
mod restore;
mod verify;

use std::sync::Arc;

use backup_objects::{BackupFolder, Store};

use crate::drivers::Driver;
use crate::session::Session;

pub use backup::{BackupOrder, run as backup};
pub use failure::Failure;
pub use progress::Progress;
pub use restore::{RestoreOrder, run as restore};

/// The filters of the default form, in the order they are applied; see `metadata.json`.
pub const FILTERS: [&str; 2] = ["zstd", "age"];

/// What every run of a pipeline needs.
#[derive(Clone)]
pub struct Run {
    /// The driver of the data service.
    pub driver: Arc<dyn Driver>,
    /// The store of the backup.
    pub store: Store,
    /// The backup's folder in it.
    pub folder: BackupFolder,
    /// The operation's right to go on.
    pub session: Session,
    /// What is shown of the operation while it runs.
    pub progress: Arc<Progress>,
}
