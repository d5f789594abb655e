//! `GET /v2/queues`

pub(crate) mod jobs;

use actix_web::HttpResponse;
use backup_core::jobs::QUEUES;
use backup_queue::overview;

use crate::handlers::{Answer, Core};
use crate::views::queue::QueueView;

/// Describes each queue.
pub(crate) async fn list(core: Core) -> Answer {
    let queues = core.database.transaction(|conn| Ok(overview::queues(conn, &QUEUES)?)).await?;
    let views: Vec<QueueView> = queues.into_iter().map(Into::into).collect();
    Ok(HttpResponse::Ok().json(views))
}
