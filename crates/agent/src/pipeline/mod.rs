//! From a driver's stream to stored objects and back: driver → compression → encryption → parts → store. The driver and
//! every filter run on a blocking thread each; the store is used from asynchronous code; short queues of pieces between
//! them bound the memory, whatever the size of the data.

mod backup;
mod decode;
mod drive;
mod failure;
mod fetch;
mod filters;
mod meter;
mod parts;
mod pieces;
mod progress;
mod rehearse;
mod restore;
mod stages;
mod verify;

use std::sync::Arc;

use backup_objects::{BackupFolder, Store};

use self::verify::Stored;
use crate::drivers::Driver;
use crate::session::Session;

pub(crate) use backup::{BackupOrder, run as backup};
pub(crate) use failure::Failure;
pub(crate) use fetch::Checked;
pub(crate) use progress::Progress;
pub(crate) use rehearse::run as rehearse;
pub(crate) use restore::{RestoreOrder, run as restore};

/// What every run of a pipeline needs.
#[derive(Clone)]
pub(crate) struct Run {
    /// The driver of the data service.
    pub(crate) driver: Arc<dyn Driver>,
    /// The store of the backup.
    pub(crate) store: Store,
    /// The backup's folder in it.
    pub(crate) folder: BackupFolder,
    /// The operation's right to go on.
    pub(crate) session: Session,
    /// What is shown of the operation while it runs.
    pub(crate) progress: Arc<Progress>,
}

impl Run {
    /// The driver of this name, if the agent has it for its data service.
    pub(crate) fn driver_of(&self, name: &str) -> Option<Arc<dyn Driver>> {
        let mut all = vec![Arc::clone(&self.driver)];
        if let Some(physical) = self.driver.physical() {
            all.push(physical);
        }
        all.into_iter().find(|driver| driver.name() == name)
    }

    /// The backup in the store, for reading.
    fn stored(&self) -> Stored<'_> {
        Stored { store: &self.store, folder: &self.folder, progress: &self.progress }
    }
}
