//! Who asked for something, as the audit trail records it.

use super::scope::Scope;

/// The user behind a request, or the part of the system that acts by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// User name, or `worker`.
    pub name: String,
    /// Address the request came from.
    pub address: Option<String>,
    /// The request's id, as in the logs.
    pub request_id: Option<String>,
    /// The instances that exist for them; no part of the audit trail.
    pub scope: Scope,
}

impl Actor {
    /// Whether every instance exists for them: operators, and the workers.
    pub fn sees_everything(&self) -> bool {
        self.scope.limits().is_none()
    }

    /// The worker, acting on a schedule or a job.
    pub fn worker() -> Self {
        Self { name: "worker".into(), address: None, request_id: None, scope: Scope::Everything }
    }
}
