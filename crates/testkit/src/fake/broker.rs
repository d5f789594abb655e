//! A service broker: pages of resources, basic authentication, and every way a broker can fail half-way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::answer::{Answer, Request};
use super::server::{FakeServer, lock};

/// One service instance as a broker lists it; the fields are the wire's, and any may be changed.
#[derive(Debug, Clone)]
pub struct Resource(pub Value);

impl Resource {
    /// A provisioned, available instance.
    #[must_use]
    pub fn available(id: i64, guid: &str) -> Self {
        Self(json!({
            "id": id, "plan_guid": "plan-small", "service_guid": "service-postgresql",
            "context": {"organization_guid": "org-1", "space_guid": "space-1", "parameters": {}},
            "dashboard_url": null, "state": "available", "deployment_name": format!("d-{guid}"),
            "guid_at_tenant": guid, "tenant_id": "tenant-1",
            "provisioned_at": "2024-01-01T00:00:00.000Z", "created_at": "2024-01-01T00:00:00.000Z",
            "updated_at": "2024-01-01T00:00:00.000Z", "is_locked": false, "credentials": [], "vm_details": []
        }))
    }

    /// Sets a field.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.0[field] = value.into();
        self
    }

    /// Names the instance's agent explicitly.
    #[must_use]
    pub fn agent(self, url: &str) -> Self {
        self.with("backup_agent_url", url)
    }

    /// As a broker shows an instance that was deleted at this moment.
    #[must_use]
    pub fn deleted(self, at: &str) -> Self {
        self.with("state", "deleted").with("deleted_at", at)
    }
}

/// A running fake broker.
#[derive(Debug)]
pub struct FakeBroker {
    server: FakeServer,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    resources: Vec<Value>,
    page_size: usize,
    user: String,
    password: String,
    faults: HashMap<usize, Answer>,
    claimed_total: Option<usize>,
}

impl FakeBroker {
    /// Starts with no resources, pages of 50, and the credential `broker` / `secret`.
    ///
    /// # Errors
    /// When no port is to be had.
    pub fn start() -> anyhow::Result<Self> {
        let state = Arc::new(Mutex::new(State {
            resources: Vec::new(),
            page_size: 50,
            user: "broker".into(),
            password: "secret".into(),
            faults: HashMap::new(),
            claimed_total: None,
        }));
        let shared = Arc::clone(&state);
        let server = FakeServer::start(move |request| lock(&shared).answer(request))?;
        Ok(Self { server, state })
    }

    /// The base URL for the manager's configuration.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// User and password it accepts.
    #[must_use]
    pub fn credential(&self) -> (String, String) {
        let state = lock(&self.state);
        (state.user.clone(), state.password.clone())
    }

    /// Adds an instance at the end of the list.
    pub fn add(&self, resource: Resource) {
        lock(&self.state).resources.push(resource.0);
    }

    /// Changes the instance of this GUID.
    pub fn change(&self, guid: &str, change: impl Fn(Resource) -> Resource) {
        for resource in &mut lock(&self.state).resources {
            if resource["guid_at_tenant"] == guid {
                *resource = change(Resource(resource.take())).0;
            }
        }
    }

    /// Leaves the instance out of the list, which proves nothing about its deletion.
    pub fn forget(&self, guid: &str) {
        lock(&self.state).resources.retain(|resource| resource["guid_at_tenant"] != guid);
    }

    /// How many resources make a page.
    pub fn set_page_size(&self, size: usize) {
        lock(&self.state).page_size = size.max(1);
    }

    /// Answers this page (counted from 1) wrongly from now on.
    pub fn fail_page(&self, page: usize, answer: Answer) {
        lock(&self.state).faults.insert(page, answer);
    }

    /// Claims this many results in total, whatever is listed.
    pub fn claim_total(&self, total: usize) {
        lock(&self.state).claimed_total = Some(total);
    }

    /// Behaves again.
    pub fn heal(&self) {
        let mut state = lock(&self.state);
        state.faults.clear();
        state.claimed_total = None;
    }

    /// Accepts only this credential from now on.
    pub fn set_credential(&self, user: &str, password: &str) {
        let mut state = lock(&self.state);
        state.user = user.into();
        state.password = password.into();
    }

    /// Every request so far, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }

    /// Refuses connections until [`FakeBroker::up`].
    pub fn down(&mut self) {
        self.server.down();
    }

    /// Listens again on the same port.
    ///
    /// # Errors
    /// When somebody else took the port.
    pub fn up(&mut self) -> anyhow::Result<()> {
        self.server.up()
    }
}

impl State {
    fn answer(&self, request: &Request) -> Answer {
        if request.basic_auth() != Some((self.user.clone(), self.password.clone())) {
            return Answer::Json(401, json!({"description": "wrong credentials"}));
        }
        if request.method != "GET" || request.path != "/instances" {
            return Answer::Json(404, json!({"description": "no such resource"}));
        }
        let page: usize = request.parameter("page").and_then(|text| text.parse().ok()).unwrap_or(1).max(1);
        self.faults.get(&page).cloned().unwrap_or_else(|| Answer::Json(200, self.page(page)))
    }

    fn page(&self, page: usize) -> Value {
        let total = self.claimed_total.unwrap_or(self.resources.len());
        let pages = total.div_ceil(self.page_size).max(1);
        let url = |number: usize| json!(format!("/instances?page={number}"));
        let resources: Vec<&Value> =
            self.resources.iter().skip((page - 1) * self.page_size).take(self.page_size).collect();
        json!({
            "total_results": total, "total_pages": pages, "current_page": page,
            "prev_url": if page > 1 { url(page - 1) } else { Value::Null },
            "next_url": if page < pages { url(page + 1) } else { Value::Null },
            "resources": resources
        })
    }
}
