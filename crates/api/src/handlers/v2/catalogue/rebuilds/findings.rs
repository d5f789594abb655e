//! `GET /v2/catalogue/rebuilds/{id}/findings`: the folders that had no row, and what became of each.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use backup_core::actions::request_rebuild::list_findings;

use crate::handlers::query::Query;
use crate::handlers::{Answer, Core};
use crate::path::OfRebuild;
use crate::views::catalogue::FindingView;

/// Most findings in an answer.
pub(crate) const LARGEST_LIMIT: i64 = 1000;
/// Findings in an answer when nothing is said.
pub(crate) const USUAL_LIMIT: i64 = 100;

/// Lists them in the order in which they were found, with a `Link` to the next page.
pub(crate) async fn list(core: Core, request: HttpRequest, path: OfRebuild, query: Query) -> Answer {
    query.only(&["after_id", "limit"])?;
    let limit = query.number("limit", 1..=LARGEST_LIMIT)?.unwrap_or(USUAL_LIMIT);
    let after = query.number("after_id", 0..=i64::MAX)?.unwrap_or(0);
    let mut findings = list_findings(&core, path.id, after, limit.saturating_add(1)).await?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut answer = HttpResponse::Ok();
    if findings.len() > wanted {
        findings.truncate(wanted);
        if let Some(last) = findings.last() {
            let parameters = query.with("after_id", &last.id.to_string())?;
            let link = format!("<{}?{parameters}>; rel=\"next\"", request.path());
            answer.insert_header((header::LINK, link));
        }
    }
    let views: Vec<FindingView> = findings.into_iter().map(Into::into).collect();
    Ok(answer.json(views))
}
