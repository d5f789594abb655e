//! The service brokers: pages of a hundred, each after some thinking.

use std::time::Duration;

use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;

use super::world::World;
use crate::fleet::shape::{CREDENTIAL, Shape};

/// Resources on a page.
const PAGE: usize = 100;
/// What a broker's own database takes.
const THINKING: Duration = Duration::from_millis(10);

#[derive(Debug, Deserialize)]
pub(super) struct Page {
    page: Option<usize>,
}

pub(super) async fn instances(
    request: HttpRequest,
    world: Data<World>,
    broker: Path<u32>,
    page: Query<Page>,
) -> HttpResponse {
    if !super::agent::is_authorized(&request, CREDENTIAL) {
        return HttpResponse::Unauthorized().json(json!({"description": "wrong credentials"}));
    }
    actix_web::rt::time::sleep(THINKING).await;
    let page = page.page.unwrap_or(1).max(1);
    let all: Vec<u32> = world.shape.of_broker(*broker).collect();
    let pages = all.len().div_ceil(PAGE).max(1);
    let resources: Vec<_> = all
        .iter()
        .skip(page.saturating_sub(1).saturating_mul(PAGE))
        .take(PAGE)
        .map(|one| resource(*one))
        .collect();
    let url = |number: usize| json!(format!("/instances?page={number}"));
    HttpResponse::Ok().json(json!({
        "total_results": all.len(), "total_pages": pages, "current_page": page,
        "prev_url": if page > 1 { url(page.saturating_sub(1)) } else { json!(null) },
        "next_url": if page < pages { url(page.saturating_add(1)) } else { json!(null) },
        "resources": resources,
    }))
}

/// The deployment's name is the address of its agent, which the manager's template makes a URL of.
fn resource(instance: u32) -> serde_json::Value {
    json!({
        "id": instance, "plan_guid": "plan-small", "service_guid": "service-postgresql",
        "context": {
            "organization_guid": format!("organization-{}", instance % 97),
            "space_guid": format!("space-{}", instance % 997), "parameters": {}
        },
        "dashboard_url": null, "state": "available", "deployment_name": Shape::address(instance).to_string(),
        "guid_at_tenant": Shape::guid(instance), "tenant_id": "tenant-1",
        "provisioned_at": "2024-01-01T00:00:00.000Z", "created_at": "2024-01-01T00:00:00.000Z",
        "updated_at": "2024-01-01T00:00:00.000Z", "is_locked": false, "credentials": [], "vm_details": []
    })
}
