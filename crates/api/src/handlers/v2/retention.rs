//! `GET /v2/retention`: what retention would do now, without doing it.

use backup_core::actions::plan_deletions::preview_deletions;
use backup_core::domain::identifiers::ServiceInstanceId;

use crate::handlers::json_array::{Page, stream_pages};
use crate::handlers::query::Query;
use crate::handlers::{Answer, Core};
use crate::path;
use crate::views::retention::RetentionView;

/// Instances looked at in one transaction.
const CHUNK: i64 = 20;

/// Streams the rule's word on every backup; `instance_id` narrows it to one instance.
pub(crate) async fn list(core: Core, query: Query) -> Answer {
    let only = query.text("instance_id").map(path::guid).transpose()?;
    stream_pages(ServiceInstanceId(0), move |after| {
        let (core, only) = (core.clone(), only.clone());
        async move {
            let (planned, next) = preview_deletions(&core, only, after, CHUNK).await?;
            Ok(Page { elements: planned.into_iter().map(RetentionView::from).collect(), next })
        }
    })
    .await
}
