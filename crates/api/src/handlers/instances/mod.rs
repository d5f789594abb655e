//! `/instances` and `/instances/{instance_id}`.

pub(crate) mod backups;
pub(crate) mod config;
pub(crate) mod restores;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use backup_core::actions::configure_instance::configure_instance;
use backup_core::actions::inspect;
use backup_core::domain::identifiers::ServiceInstanceId;
use backup_core::domain::instance::InstanceChanges;
use backup_core::domain::scope::Scope;

use super::json_array::{Page, stream_pages};
use super::query::Query;
use super::{Answer, Core};
use crate::auth::Caller;
use crate::body::Fields;
use crate::path::OfInstance;
use crate::views::instance::InstanceView;
use crate::views::message::Message;

/// Instances fetched at once; each may have thousands of backups.
const CHUNK: i64 = 20;
/// Instances per page when only `page` is given.
const PER_PAGE: i64 = 100;

/// What an owner may change.
const CHANGEABLE: [&str; 5] = [
    "encryption_key",
    "exclude_from_auto_backup",
    "credentials_updated_by_user",
    "min_backup_count",
    "retention_time",
];

/// Lists every instance that exists for the caller as a stream, or one page with `Link` when `page` or `per_page` is given.
pub(crate) async fn list(core: Core, caller: Caller, request: HttpRequest, query: Query) -> Answer {
    let scope = caller.0.scope;
    let page = query.number("page", 1..=1_000_000_000)?;
    let per_page = query.number("per_page", 1..=1000)?;
    if page.is_some() || per_page.is_some() {
        return one_page(core, &scope, request.path(), page.unwrap_or(1), per_page.unwrap_or(PER_PAGE)).await;
    }
    stream_pages(ServiceInstanceId(0), move |after| {
        let (core, scope) = (core.clone(), scope.clone());
        async move {
            let details = inspect::instances_after(&core, &scope, after, CHUNK).await?;
            let next = details.last().map(|last| last.instance.id);
            Ok(Page { elements: details.into_iter().map(|d| InstanceView::new(&core, d)).collect(), next })
        }
    })
    .await
}

async fn one_page(core: Core, scope: &Scope, path: &str, page: i64, per_page: i64) -> Answer {
    let (details, total) = inspect::instances_page(&core, scope, page.saturating_sub(1), per_page).await?;
    let last = total.saturating_add(per_page).saturating_sub(1).checked_div(per_page).unwrap_or(1).max(1);
    let mut links = vec![("first", 1)];
    links.extend((page > 1).then(|| ("prev", page.saturating_sub(1).min(last))));
    links.extend((page < last).then(|| ("next", page.saturating_add(1))));
    links.push(("last", last));
    let links: Vec<String> = links
        .into_iter()
        .map(|(name, page)| format!("<{path}?page={page}&per_page={per_page}>; rel=\"{name}\""))
        .collect();
    let views: Vec<_> = details.into_iter().map(|details| InstanceView::new(&core, details)).collect();
    Ok(HttpResponse::Ok().insert_header((header::LINK, links.join(", "))).json(views))
}

/// Shows one instance.
pub(crate) async fn show(core: Core, of: OfInstance) -> Answer {
    let details = inspect::instance_details(&core, &of.guid).await?;
    Ok(HttpResponse::Ok().json(InstanceView::new(&core, details)))
}

/// Changes what an owner may change.
pub(crate) async fn update(core: Core, caller: Caller, of: OfInstance, fields: Fields) -> Answer {
    fields.only(&CHANGEABLE)?;
    let changes = InstanceChanges {
        encryption_key: fields.secret("encryption_key")?,
        exclude_from_auto_backup: fields.boolean("exclude_from_auto_backup")?,
        credentials_updated_by_user: fields.boolean("credentials_updated_by_user")?,
        min_backup_count: fields.integer("min_backup_count")?,
        retention_days: fields.integer("retention_time")?,
    };
    configure_instance(&core, &caller.0, &of.guid, changes).await?;
    Ok(HttpResponse::Ok().json(Message { message: "instance updated" }))
}
