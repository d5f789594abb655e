//! `GET /v2/audit`: who did what to which instance, from where.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use backup_core::actions::list_audit_events::list_audit_events;
use backup_core::domain::audit::{AuditAction, AuditFilter};
use backup_core::domain::identifiers::ServiceInstanceGuid;

use crate::error::ApiError;
use crate::handlers::query::Query;
use crate::handlers::{Answer, Core};
use crate::views::audit::AuditEventView;

/// What may be asked for. A misspelt filter is refused: without it, everything would seem to match.
const PARAMETERS: [&str; 7] = ["instance_id", "actor", "action", "since", "before", "before_id", "limit"];
/// Longest name of an actor: `oidc:` and a token's `sub`.
pub(crate) const LONGEST_ACTOR: usize = 260;
/// Most events in an answer.
pub(crate) const LARGEST_LIMIT: i64 = 1000;
/// Events in an answer when nothing is said.
pub(crate) const USUAL_LIMIT: i64 = 100;

/// Lists events, newest first, with a `Link` to the next page.
pub(crate) async fn list(core: Core, request: HttpRequest, query: Query) -> Answer {
    query.only(&PARAMETERS)?;
    let limit = query.number("limit", 1..=LARGEST_LIMIT)?.unwrap_or(USUAL_LIMIT);
    let page = list_audit_events(&core, filter(&query)?, usize::try_from(limit).unwrap_or(100)).await?;
    let mut answer = HttpResponse::Ok();
    if let Some(next) = page.next {
        let parameters = query.with("before_id", &next.to_string())?;
        answer.insert_header((header::LINK, format!("<{}?{parameters}>; rel=\"next\"", request.path())));
    }
    let views: Vec<AuditEventView> = page.events.into_iter().map(Into::into).collect();
    Ok(answer.json(views))
}

fn filter(query: &Query) -> Result<AuditFilter, ApiError> {
    Ok(AuditFilter {
        instance: query.text("instance_id").map(instance).transpose()?,
        actor: query.text("actor").map(actor).transpose()?,
        action: query.text("action").map(action).transpose()?,
        since: query.time("since")?,
        before: query.time("before")?,
        before_id: query.number("before_id", 1..=i64::MAX)?,
    })
}

fn instance(text: &str) -> Result<ServiceInstanceGuid, ApiError> {
    ServiceInstanceGuid::parse(text)
        .ok_or_else(|| ApiError::bad_request("instance_id must be the GUID of a service instance."))
}

fn actor(text: &str) -> Result<String, ApiError> {
    let is_fine = text.len() <= LONGEST_ACTOR && !text.chars().any(char::is_control);
    is_fine.then(|| text.to_owned()).ok_or_else(|| {
        ApiError::bad_request(format!(
            "actor must be a user's name, or worker: at most {LONGEST_ACTOR} bytes without control characters."
        ))
    })
}

fn action(text: &str) -> Result<AuditAction, ApiError> {
    AuditAction::parse(text).ok_or_else(|| {
        let known: Vec<_> = AuditAction::ALL.iter().map(|action| action.as_str()).collect();
        ApiError::bad_request(format!("action must be one of {}.", known.join(", ")))
    })
}
