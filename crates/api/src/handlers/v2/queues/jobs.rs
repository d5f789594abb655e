//! `GET /v2/queues/jobs?queue=&state=&limit=`

use actix_web::HttpResponse;
use backup_queue::overview::{self, JobState};

use crate::error::ApiError;
use crate::handlers::query::Query;
use crate::handlers::{Answer, Core};
use crate::views::queue::JobView;

/// Lists jobs of one state, of one queue or of all.
pub(crate) async fn list(core: Core, query: Query) -> Answer {
    let limit = query.number("limit", 1..=1000)?.unwrap_or(100);
    let queue = query.text("queue").map(str::to_owned);
    if queue.as_ref().is_some_and(|queue| queue.contains('\0')) {
        return Err(ApiError::bad_request("queue has characters that no name has."));
    }
    let state = query.text("state").unwrap_or("running");
    let state = JobState::parse(state)
        .ok_or_else(|| ApiError::bad_request("state must be ready, scheduled, running or failed."))?;
    let jobs = core
        .database
        .transaction(move |conn| Ok(overview::jobs(conn, queue.as_deref(), state, limit)?))
        .await?;
    let views: Vec<JobView> = jobs.into_iter().map(Into::into).collect();
    Ok(HttpResponse::Ok().json(views))
}
