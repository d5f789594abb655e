//! One page of `GET /instances`, as it stands on the wire. Unknown fields are ignored; whether the content is
//! believable is judged in `listing` and `instance`.

use serde::Deserialize;

/// The envelope of a page.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    pub(super) total_results: u64,
    pub(super) total_pages: u32,
    pub(super) current_page: u32,
    #[serde(default)]
    pub(super) next_url: Option<String>,
    pub(super) resources: Vec<Resource>,
}

/// One instance on a page.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Resource {
    #[serde(default)]
    pub(super) id: Option<i64>,
    #[serde(default)]
    pub(super) guid_at_tenant: Option<String>,
    #[serde(default)]
    pub(super) plan_guid: Option<String>,
    #[serde(default)]
    pub(super) service_guid: Option<String>,
    #[serde(default)]
    pub(super) tenant_id: Option<String>,
    #[serde(default)]
    pub(super) context: Option<Context>,
    #[serde(default)]
    pub(super) state: Option<String>,
    #[serde(default)]
    pub(super) deployment_name: Option<String>,
    #[serde(default)]
    pub(super) deleted_at: Option<String>,
    #[serde(default)]
    pub(super) backup_agent_url: Option<String>,
    #[serde(default)]
    pub(super) data_service: Option<String>,
}

/// Who an instance belongs to.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Context {
    #[serde(default)]
    pub(super) organization_guid: Option<String>,
    #[serde(default)]
    pub(super) space_guid: Option<String>,
}
