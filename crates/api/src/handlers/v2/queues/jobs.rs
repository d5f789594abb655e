//! `GET /v2/queues/jobs?queue=&state=&limit=`

use actix_web::HttpResponse;
use backup_core::jobs::QUEUES;
use backup_queue::overview::{self, JobState};

use crate::error::ApiError;
use crate::handlers::query::Query;
use crate::handlers::{Answer, Core};
use crate::views::queue::JobView;

/// Most jobs in an answer.
pub(crate) const LARGEST_LIMIT: i64 = 1000;
/// Jobs in an answer when nothing is said.
pub(crate) const USUAL_LIMIT: i64 = 100;

/// Lists jobs of one state or of all, of one queue or of all.
pub(crate) async fn list(core: Core, query: Query) -> Answer {
    let limit = query.number("limit", 1..=LARGEST_LIMIT)?.unwrap_or(USUAL_LIMIT);
    let queue = query.text("queue").map(queue).transpose()?;
    let states = query
        .text("state")
        .map_or(Ok(JobState::ALL.to_vec()), |word| state(word).map(|state| vec![state]))?;
    let jobs = core
        .database
        .transaction(move |conn| {
            let mut jobs = Vec::new();
            for state in states {
                let left = limit.saturating_sub(i64::try_from(jobs.len()).unwrap_or(i64::MAX));
                if left > 0 {
                    jobs.extend(overview::jobs(conn, queue, state, left)?);
                }
            }
            Ok(jobs)
        })
        .await?;
    let views: Vec<JobView> = jobs.into_iter().map(Into::into).collect();
    Ok(HttpResponse::Ok().json(views))
}

fn queue(name: &str) -> Result<&'static str, ApiError> {
    QUEUES
        .into_iter()
        .find(|known| *known == name)
        .ok_or_else(|| ApiError::bad_request(format!("queue must be one of {}.", QUEUES.join(", "))))
}

fn state(word: &str) -> Result<JobState, ApiError> {
    JobState::parse(word)
        .ok_or_else(|| ApiError::bad_request("state must be running, ready, scheduled or failed."))
}
