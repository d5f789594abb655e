//! `GET /livez`: the process answers. `GET /readyz`: it can serve requests. Neither needs credentials, so whoever asks
//! often shares one question to the database with everybody who asks meanwhile; see [`Checkup`].

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use actix_web::web::Data;
use backup_core::Manager;
use backup_core::actions::inspect::{self, Health, Problem};
use tokio::sync::Mutex;

use super::{Answer, Core};
use crate::error::ApiError;
use crate::views::health::{Alive, Ready};
use crate::word::Word;

/// How long an answer about the health may take, whatever the database does.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the health of this process is known from.
#[derive(Debug, Default)]
pub(crate) struct Checkup {
    is_stopping: AtomicBool,
    last: Mutex<Option<(Instant, Health)>>,
}

impl Checkup {
    /// From now on `/readyz` says no.
    pub(crate) fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Whether the process is about to end.
    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// How the database is now. One question is under way at a time; its answer is everybody's who came before it was
    /// there. So nobody waits for a second one, however slow the database is.
    async fn health(&self, ask: impl Future<Output = Health>) -> Health {
        let came = Instant::now();
        let ask = async {
            let mut last = self.last.lock().await;
            if let Some((answered, health)) = &*last
                && *answered >= came
            {
                return health.clone();
            }
            let health = ask.await;
            *last = Some((Instant::now(), health.clone()));
            health
        };
        let late = |_| Health { problems: vec![Problem::DatabaseUnreachable], ..Health::default() };
        tokio::time::timeout(PATIENCE, ask).await.unwrap_or_else(late)
    }
}

/// Says that the process answers; asks nobody else.
pub(crate) async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(Alive { status: "alive" })
}

/// Says that the database answers, takes writes and has the schema of this program, and that the process does not stop.
pub(crate) async fn readyz(core: Core, checkup: Data<Checkup>) -> Answer {
    if checkup.is_stopping() {
        return Err(unhealthy("This daemon is stopping.".to_owned()));
    }
    let health = checkup.health(inspect::health(&core)).await;
    match health.problems.iter().find(|problem| problem.concerns_requests()) {
        Some(problem) => Err(unhealthy(sentence(problem))),
        None => Ok(HttpResponse::Ok().json(Ready { status: "ready" })),
    }
}

/// How everything is; an error says in words what is wrong.
pub(crate) async fn healthy(core: &Manager, checkup: &Checkup) -> Result<Health, ApiError> {
    let health = checkup.health(inspect::health(core)).await;
    if health.problems.is_empty() {
        return Ok(health);
    }
    let sentences: Vec<_> = health.problems.iter().map(sentence).collect();
    Err(unhealthy(sentences.join(" ")))
}

fn sentence(problem: &Problem) -> String {
    match problem {
        Problem::DatabaseUnreachable => "The database does not answer.".to_owned(),
        Problem::DatabaseInRecovery => "The database is in recovery and takes no writes.".to_owned(),
        Problem::DatabaseReadOnly => "The database is read-only.".to_owned(),
        Problem::MigrationsPending => "The database's schema is older than this program.".to_owned(),
        Problem::QueuesUnserved(queues) => format!("No running worker serves: {}.", queues.join(", ")),
    }
}

/// 503 with what is wrong.
fn unhealthy(description: String) -> ApiError {
    ApiError::new(Word::Unhealthy, description)
}

#[cfg(test)]
mod tests {
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn an_answer_is_everybodys_who_came_while_it_was_sought_and_nobody_elses() {
        let (checkup, begun, end) = (Checkup::default(), Notify::new(), Notify::new());
        let slow = checkup.health(async {
            begun.notify_one();
            end.notified().await;
            Health { problems: vec![Problem::DatabaseReadOnly], ..Health::default() }
        });
        let later = async {
            begun.notified().await;
            let meanwhile = checkup.health(async { Health::default() });
            tokio::join!(meanwhile, async { end.notify_one() }).0
        };
        let (slow, meanwhile) = tokio::join!(slow, later);
        assert_eq!(slow.problems, [Problem::DatabaseReadOnly]);
        assert_eq!(meanwhile.problems, slow.problems);
        assert!(checkup.health(async { Health::default() }).await.problems.is_empty());
    }
}
