//! What the health endpoints answer when all is well; when not, they answer an error.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::Schema;

use super::View;
use super::schema::word;

/// The process answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct Alive {
    #[schema(schema_with = alive)]
    pub(crate) status: &'static str,
}

/// The process can serve requests.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ready {
    #[schema(schema_with = ready)]
    pub(crate) status: &'static str,
}

/// The database answers and every queue is served.
#[derive(Serialize, ToSchema)]
pub(crate) struct Healthy {
    #[schema(schema_with = healthy)]
    pub(crate) status: &'static str,
    /// Brokers whose last listing failed; they hold up nothing.
    pub(crate) failing_service_brokers: Vec<String>,
}

fn alive() -> Schema {
    word("alive")
}

fn ready() -> Schema {
    word("ready")
}

fn healthy() -> Schema {
    word("healthy")
}

impl View for Alive {
    fn example() -> Self {
        Self { status: "alive" }
    }
}

impl View for Ready {
    fn example() -> Self {
        Self { status: "ready" }
    }
}

impl View for Healthy {
    fn example() -> Self {
        Self { status: "healthy", failing_service_brokers: vec!["mysql".to_owned()] }
    }
}
