//! `GET /v2/retention`: what retention would do now, without doing it.

use backup_core::Manager;
use backup_core::actions::inspect;
use backup_core::actions::plan_deletions::{Planned, preview_deletions};
use backup_core::domain::identifiers::ServiceInstanceId;
use backup_core::domain::instance::ServiceInstance;
use backup_core::domain::scope::Scope;

use crate::error::ApiError;
use crate::handlers::json_array::{JsonWriter, stream_json};
use crate::handlers::query::Query;
use crate::handlers::{Answer, Core};
use crate::path;
use crate::views::retention::RetentionView;

/// Instances fetched at once.
const CHUNK: i64 = 100;

/// Streams the rule's word on every backup; `instance_id` narrows it to one instance.
pub(crate) async fn list(core: Core, query: Query) -> Answer {
    let only = match query.text("instance_id").map(path::guid).transpose()? {
        Some(guid) => Some(inspect::instance(&core, &guid).await?),
        None => None,
    };
    stream_json(async move |out: &mut JsonWriter| {
        out.begin("[");
        if let Some(only) = only {
            write_preview(&core, out, &only).await?;
        } else {
            let mut after = ServiceInstanceId(0);
            loop {
                let chunk =
                    async || Ok(inspect::instances_after(&core, &Scope::Everything, after, CHUNK).await?);
                let instances = out.piece(chunk).await?;
                let Some(last) = instances.last() else { break };
                after = last.id;
                for instance in &instances {
                    write_preview(&core, out, instance).await?;
                }
            }
        }
        out.end("]");
        Ok(())
    })
    .await
}

async fn write_preview(
    core: &Manager,
    out: &mut JsonWriter,
    instance: &ServiceInstance,
) -> Result<(), ApiError> {
    let preview = out.piece(async || Ok(preview_deletions(core, instance).await?)).await?;
    let mut before = preview.newest.last().map(|last| last.backup.id);
    for planned in preview.newest {
        out.element(&RetentionView::from(planned)).await?;
    }
    while before.is_some() && !preview.decisions.is_empty() {
        let backups =
            out.piece(async || Ok(inspect::backups_before(core, instance.id, before).await?)).await?;
        before = backups.last().map(|last| last.id);
        for backup in backups {
            // Without a decision it is one that was not there when the rule was asked.
            if let Some(decision) = preview.decisions.get(&backup.id).cloned() {
                let planned = Planned { instance: instance.guid.clone(), backup, decision };
                out.element(&RetentionView::from(planned)).await?;
            }
        }
    }
    Ok(())
}
