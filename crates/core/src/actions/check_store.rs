//! Tries everything with a configured store and says in words what does not work. Writes nothing but a folder of the
//! doctor's own, which it removes again.

use backup_objects::Examination;

use crate::manager::Manager;

/// What the doctor found; none when no store has this name.
pub async fn check_store(manager: &Manager, name: &str) -> Option<Examination> {
    let store = manager.store(name).ok()?;
    Some(store.examine().await)
}
