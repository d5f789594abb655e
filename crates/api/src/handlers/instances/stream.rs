//! Instance objects of the first generation, with everything that belongs to them, however much that is.

use backup_core::Manager;
use backup_core::actions::inspect;
use backup_core::domain::instance::ServiceInstance;

use crate::error::ApiError;
use crate::handlers::json_array::JsonWriter;
use crate::views::instance::{InstanceBackup, InstanceFrame, InstanceRestore, InstanceView};

/// Writes the objects of these instances: several at once while they are small, a large one piece by piece.
pub(crate) async fn write_instances(
    core: &Manager,
    out: &mut JsonWriter,
    instances: &[ServiceInstance],
) -> Result<(), ApiError> {
    let mut left = instances;
    while let Some((first, others)) = left.split_first() {
        let details = out.piece(async || Ok(inspect::first_details(core, left).await?)).await?;
        if details.is_empty() {
            write_large(core, out, first).await?;
            left = others;
        } else {
            left = left.get(details.len()..).unwrap_or_default();
        }
        for details in details {
            out.element(&InstanceView::new(core, details)).await?;
        }
    }
    Ok(())
}

async fn write_large(
    core: &Manager,
    out: &mut JsonWriter,
    instance: &ServiceInstance,
) -> Result<(), ApiError> {
    let frame = InstanceFrame::new(core, instance).ok_or_else(|| {
        tracing::error!("the frame of an instance object cannot be written");
        ApiError::for_status(actix_web::http::StatusCode::INTERNAL_SERVER_ERROR)
    })?;
    out.begin(&frame.opening);
    let mut before = None;
    loop {
        let backups =
            out.piece(async || Ok(inspect::summaries_before(core, instance.id, before).await?)).await?;
        let Some(last) = backups.last() else { break };
        before = Some(last.id);
        for backup in backups {
            out.element(&InstanceBackup::new(core, backup)).await?;
        }
    }
    out.go_on(frame.between);
    let mut before = None;
    loop {
        let restores =
            out.piece(async || Ok(inspect::restores_before(core, instance.id, before).await?)).await?;
        let Some(last) = restores.last() else { break };
        before = Some(last.id);
        for restore in restores {
            out.element(&InstanceRestore::new(restore)).await?;
        }
    }
    out.end(&frame.ending);
    Ok(())
}
