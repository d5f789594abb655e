//! Declares the schedules of spec 1.7. Every worker does so at its start; whoever comes first when one is due fires it.
//! A start also asks the brokers once, so that a new installation does not know nothing for minutes.

use backup_config::Settings;
use backup_core::{Manager, Result, jobs};

/// Writes the configured schedules into the database; an unchanged one keeps its next firing. Enqueues one
/// synchronisation.
pub async fn declare(manager: &Manager, settings: &Settings) -> Result<()> {
    let schedules = jobs::schedules(&settings.schedules());
    manager
        .database
        .transaction(move |conn| {
            backup_queue::declare_schedules(conn, &schedules)?;
            backup_queue::enqueue(conn, &jobs::update_instance_state(None))?;
            Ok(())
        })
        .await
}
