//! `/v2/catalogue/…`: rebuilding the catalogue from the stores.

use actix_web::http::StatusCode;
use serde_json::json;

use crate::handlers::v2::catalogue::rebuilds::findings::{LARGEST_LIMIT, USUAL_LIMIT};
use crate::openapi::body::{Fields, boolean, name};
use crate::openapi::description::{Answer, Description, Tag};
use crate::openapi::{headers, parameters};
use crate::views::catalogue::{FindingView, RebuildBegun, RebuildView};
use crate::word::Word;

const TAG: Tag = Tag::Operators;

pub(crate) fn rebuild() -> Description {
    let body = Fields::only()
        .optional("store", name("Only this store of the configuration."))
        .optional("dry_run", boolean("Look, and adopt nothing."))
        .named("RebuildRequest", json!({"dry_run": true}));
    let text = "Looks for complete backups that lie in a store and have no row, and gives them one: after a loss of the database. It may be repeated, and touches nothing in a store.";
    Description::new("rebuildCatalogue", TAG, "Rebuild the catalogue from the stores", text)
        .body(body)
        .answers(StatusCode::ACCEPTED, Answer::one::<RebuildBegun>("The job is queued."))
        .words([Word::InvalidValue])
}

pub(crate) fn show() -> Description {
    let text =
        "How far it is, and how often it found what. The newest twenty that have ended are remembered.";
    Description::new("getRebuild", TAG, "Show a rebuild of the catalogue", text)
        .answers(StatusCode::OK, Answer::one::<RebuildView>("The rebuild."))
        .words([Word::NotFound])
}

pub(crate) fn findings() -> Description {
    let text = "The folders that had no row, in the order in which they were found, and what became of each.";
    let link = headers::sometimes(
        "`next`: more findings, when there are any.",
        None,
        "</v2/catalogue/rebuilds/1/findings?after_id=100>; rel=\"next\"",
    );
    Description::new("listRebuildFindings", TAG, "List what a rebuild found", text)
        .parameter(parameters::number("after_id", 0..=i64::MAX, None, "Only findings with greater numbers."))
        .parameter(parameters::number("limit", 1..=LARGEST_LIMIT, Some(USUAL_LIMIT), "At most so many."))
        .answers(StatusCode::OK, Answer::list::<FindingView>("The findings.").header("Link", link))
        .words([Word::NotFound])
}
