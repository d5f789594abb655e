//! Declares the schedules of spec 1.7. Every worker does so at its start; whoever comes first when one is due fires it.

use backup_config::Settings;
use backup_core::{Manager, Result, jobs};

/// Writes the configured schedules into the database; an unchanged one keeps its next firing.
pub async fn declare(manager: &Manager, settings: &Settings) -> Result<()> {
    let schedules = jobs::schedules(&settings.schedules());
    manager.database.transaction(move |conn| Ok(backup_queue::declare_schedules(conn, &schedules)?)).await
}
