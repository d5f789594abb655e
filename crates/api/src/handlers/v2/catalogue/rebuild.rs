//! `POST /v2/catalogue/rebuild`: begins a search for backups without a row.

use actix_web::HttpResponse;
use backup_core::actions::request_rebuild::request_rebuild;

use crate::auth::Caller;
use crate::body::Fields;
use crate::handlers::{Answer, Core};
use crate::views::catalogue::RebuildBegun;

/// Records the wish. A misspelt `dry_run` would adopt in earnest, so unknown fields are refused.
pub(crate) async fn create(core: Core, caller: Caller, fields: Fields) -> Answer {
    fields.only(&["store", "dry_run"])?;
    let is_dry_run = fields.boolean("dry_run")?.unwrap_or(false);
    let id = request_rebuild(&core, &caller.0, fields.text("store")?, is_dry_run).await?;
    Ok(HttpResponse::Accepted()
        .json(RebuildBegun { id: id.0, message: "rebuild of the catalogue is queued" }))
}
