//! What the measurement tells the simulation, and asks it.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use serde::{Deserialize, Serialize};

use super::world::World;

/// How the agents behave from now on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(in crate::fleet) struct Behaviour {
    /// Mean duration of the operations that begin.
    pub(in crate::fleet) mean_seconds: f64,
    /// The broker whose agents take requests and never answer.
    pub(in crate::fleet) hanging_broker: Option<u32>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self { mean_seconds: 1.0, hanging_broker: None }
    }
}

/// When an agent was asked for a backup; microseconds since the epoch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::fleet) struct Start {
    /// The name of the backup.
    pub(in crate::fleet) id: String,
    /// Whose instance it is.
    pub(in crate::fleet) broker: u32,
    /// The first request, whatever became of it.
    pub(in crate::fleet) asked: i64,
    /// The first request that was accepted.
    pub(in crate::fleet) accepted: Option<i64>,
    /// A request was answered late, as busy or not at all, as the dice fell.
    pub(in crate::fleet) is_disturbed: bool,
}

/// One look at a running operation, but for the first.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(in crate::fleet) struct Look {
    /// When, in microseconds since the epoch.
    pub(in crate::fleet) at: i64,
    /// How much later than the interval behind the end of the last answer, in microseconds.
    pub(in crate::fleet) late: i64,
    /// Whose instance it is.
    pub(in crate::fleet) broker: u32,
}

pub(super) async fn behave(world: Data<World>, behaviour: Json<Behaviour>) -> HttpResponse {
    world.state().behaviour = behaviour.into_inner();
    HttpResponse::NoContent().finish()
}

pub(super) async fn starts(world: Data<World>) -> HttpResponse {
    HttpResponse::Ok().json(world.state().recording.starts())
}

pub(super) async fn looks(world: Data<World>) -> HttpResponse {
    HttpResponse::Ok().json(world.state().recording.take_looks())
}
