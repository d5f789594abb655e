//! `/v2/reconciliations`: the database compared with the stores and the agents' journals.

pub(crate) mod latest;

use actix_web::HttpResponse;
use actix_web::web::Path;
use backup_core::actions::request_reconciliation::{
    list_remarks, request_reconciliation, show_reconciliation,
};
use backup_core::domain::identifiers::ReconciliationId;
use backup_core::domain::reconciliation::Scope;

use crate::auth::Caller;
use crate::body::Fields;
use crate::handlers::query::Query;
use crate::handlers::{Answer, Core};
use crate::path;
use crate::views::reconciliation::{ReconciliationRequested, ReconciliationView};

/// Most findings in an answer.
pub(crate) const LARGEST_LIMIT: i64 = 1000;
/// Findings in an answer when nothing is said.
pub(crate) const USUAL_LIMIT: i64 = 100;

/// Asks for one.
pub(crate) async fn create(core: Core, caller: Caller, fields: Fields) -> Answer {
    fields.only(&["repair", "deep", "instance_id"])?;
    let scope = Scope {
        is_repair: fields.boolean("repair")?.unwrap_or_default(),
        is_deep: fields.boolean("deep")?.unwrap_or_default(),
        instance: fields.text("instance_id")?.as_deref().map(path::guid).transpose()?,
    };
    let id = request_reconciliation(&core, &caller.0, scope).await?;
    Ok(HttpResponse::Accepted().json(ReconciliationRequested { id: id.0 }))
}

/// How one stands, with a page of what it has found.
pub(crate) async fn show(core: Core, id: Path<String>, query: Query) -> Answer {
    let id = ReconciliationId(path::number("reconciliation", &id)?);
    answer(core, Some(id), query).await
}

async fn answer(core: Core, id: Option<ReconciliationId>, query: Query) -> Answer {
    let after = query.number("after", 0..=i64::MAX)?.unwrap_or_default();
    let limit = query.number("limit", 1..=LARGEST_LIMIT)?.unwrap_or(USUAL_LIMIT);
    let run = show_reconciliation(&core, id).await?;
    let remarks = list_remarks(&core, run.id, after, limit).await?;
    Ok(HttpResponse::Ok().json(ReconciliationView::of(run, remarks, limit)))
}
