//! `/instances` and `/instances/{instance_id}`.

pub(crate) mod backups;
pub(crate) mod config;
pub(crate) mod explain;
pub(crate) mod rehearsals;
pub(crate) mod restores;
mod stream;

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use backup_core::actions::configure_instance::configure_instance;
use backup_core::actions::inspect;
use backup_core::domain::identifiers::ServiceInstanceId;
use backup_core::domain::instance::InstanceChanges;
use backup_core::domain::scope::Scope;

use self::stream::write_instances;
use super::json_array::{JsonWriter, stream_json};
use super::query::Query;
use super::{Answer, Core};
use crate::auth::Caller;
use crate::body::Fields;
use crate::path::OfInstance;
use crate::views::message::Message;

/// Instances fetched at once, without what belongs to them.
const CHUNK: i64 = 100;
/// The last page that can be asked for.
pub(crate) const LARGEST_PAGE: i64 = 1_000_000_000;
/// Most instances per page.
pub(crate) const LARGEST_PER_PAGE: i64 = 1000;
/// Instances per page when only `page` is given.
const PER_PAGE: i64 = 100;

/// What an owner may change.
const CHANGEABLE: [&str; 6] = [
    "encryption_key",
    "exclude_from_auto_backup",
    "credentials_updated_by_user",
    "min_backup_count",
    "retention_time",
    "backup_type",
];

/// Lists every instance that exists for the caller as a stream, or one page with `Link` when `page` or `per_page` is given.
pub(crate) async fn list(core: Core, caller: Caller, request: HttpRequest, query: Query) -> Answer {
    let scope = caller.0.scope;
    let page = query.number("page", 1..=LARGEST_PAGE)?;
    let per_page = query.number("per_page", 1..=LARGEST_PER_PAGE)?;
    if page.is_some() || per_page.is_some() {
        return one_page(core, &scope, request.path(), page.unwrap_or(1), per_page.unwrap_or(PER_PAGE)).await;
    }
    stream_json(async move |out: &mut JsonWriter| {
        out.begin("[");
        let mut after = ServiceInstanceId(0);
        loop {
            let instances =
                out.piece(async || Ok(inspect::instances_after(&core, &scope, after, CHUNK).await?)).await?;
            let Some(last) = instances.last() else { break };
            after = last.id;
            write_instances(&core, out, &instances).await?;
        }
        out.end("]");
        Ok(())
    })
    .await
}

async fn one_page(core: Core, scope: &Scope, path: &str, page: i64, per_page: i64) -> Answer {
    let (instances, total) = inspect::instances_page(&core, scope, page.saturating_sub(1), per_page).await?;
    let last = total.saturating_add(per_page).saturating_sub(1).checked_div(per_page).unwrap_or(1).max(1);
    let mut links = vec![("first", 1)];
    links.extend((page > 1).then(|| ("prev", page.saturating_sub(1).min(last))));
    links.extend((page < last).then(|| ("next", page.saturating_add(1))));
    links.push(("last", last));
    let links: Vec<String> = links
        .into_iter()
        .map(|(name, page)| format!("<{path}?page={page}&per_page={per_page}>; rel=\"{name}\""))
        .collect();
    let links = HeaderValue::from_str(&links.join(", ")).ok();
    let mut answer = stream_json(async move |out: &mut JsonWriter| {
        out.begin("[");
        write_instances(&core, out, &instances).await?;
        out.end("]");
        Ok(())
    })
    .await?;
    if let Some(links) = links {
        answer.headers_mut().insert(header::LINK, links);
    }
    Ok(answer)
}

/// Shows one instance.
pub(crate) async fn show(core: Core, of: OfInstance) -> Answer {
    let instance = inspect::instance(&core, &of.guid).await?;
    stream_json(async move |out: &mut JsonWriter| write_instances(&core, out, &[instance]).await).await
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
        backup_type: fields.has("backup_type").then(|| fields.text("backup_type")).transpose()?,
    };
    configure_instance(&core, &caller.0, &of.guid, changes).await?;
    Ok(HttpResponse::Ok().json(Message { message: "instance updated" }))
}
