//! A migrated database per test, and short ways to look into it. The clock is moved by shifting all timestamps.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use backup_queue::claim::{Claimer, claim};
use backup_queue::{Backoff, ClaimedJob, JobId, NewJob, Registry, Runner, RunnerConfig, enqueue};
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, Pool};
use diesel::sql_types::{BigInt, Nullable, Text};
use private_postgres::Server;
use serde_json::json;

const TABLES: &str = include_str!("../../../../migrations/2026-11-22-000001_queue/up.sql");

static SERVER: Mutex<Weak<Server>> = Mutex::new(Weak::new());
static NAMES: AtomicU32 = AtomicU32::new(0);

pub const LEASE: Duration = Duration::from_secs(60);

/// A database with the queue's tables.
pub struct Database {
    url: String,
    _server: Option<Arc<Server>>,
}

impl Database {
    /// Makes one on the shared server, which ends with the last test that uses it.
    pub fn create() -> Self {
        let mut shared = SERVER.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let server = shared.upgrade().unwrap_or_else(|| Arc::new(Server::start().unwrap()));
        *shared = Arc::downgrade(&server);
        drop(shared);
        Self { _server: Some(Arc::clone(&server)), ..Self::create_on(&server) }
    }

    /// Makes one on a server of the test's own, which it may stop.
    pub fn create_on(server: &Server) -> Self {
        let name = format!("queue_{}", NAMES.fetch_add(1, Ordering::Relaxed));
        server.create_database(&name).unwrap();
        let database = Self { url: server.url(&name), _server: None };
        database.connection().batch_execute_all(TABLES);
        database
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn connection(&self) -> PgConnection {
        PgConnection::establish(&self.url).unwrap()
    }

    pub fn pool(&self) -> Pool<ConnectionManager<PgConnection>> {
        Pool::builder()
            .max_size(4)
            .min_idle(Some(1))
            .connection_timeout(Duration::from_secs(5))
            .build(ConnectionManager::new(&self.url))
            .unwrap()
    }

    pub fn runner(&self, registry: Registry, change: impl FnOnce(&mut RunnerConfig)) -> Runner {
        let mut config = RunnerConfig::new("tester", ["letters"]);
        config.concurrency = 4;
        config.poll_interval = Duration::from_millis(200);
        config.backoff = no_wait();
        change(&mut config);
        Runner::new(self.pool(), self.url.clone(), registry, config)
    }
}

/// What tests ask of a connection.
pub trait Look {
    fn batch_execute_all(&mut self, sql: &str);
    /// The single number a query answers with, as column `value`.
    fn number(&mut self, sql: &str) -> i64;
    /// The single text a query answers with, as column `value`.
    fn text(&mut self, sql: &str) -> Option<String>;
    /// The lines of a plan.
    fn lines(&mut self, explain: &str) -> Vec<String>;
    /// Lets time pass, by shifting all timestamps into the past.
    fn advance(&mut self, by: Duration);
}

impl Look for PgConnection {
    fn batch_execute_all(&mut self, sql: &str) {
        diesel::connection::SimpleConnection::batch_execute(self, sql).unwrap();
    }

    fn number(&mut self, sql: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Number {
            #[diesel(sql_type = BigInt)]
            value: i64,
        }
        diesel::sql_query(sql).get_result::<Number>(self).unwrap().value
    }

    fn text(&mut self, sql: &str) -> Option<String> {
        #[derive(QueryableByName)]
        struct Word {
            #[diesel(sql_type = Nullable<Text>)]
            value: Option<String>,
        }
        diesel::sql_query(sql).get_result::<Word>(self).unwrap().value
    }

    fn lines(&mut self, explain: &str) -> Vec<String> {
        #[derive(QueryableByName)]
        struct Line {
            #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
            line: String,
        }
        let lines: Vec<Line> = diesel::sql_query(explain).load(self).unwrap();
        lines.into_iter().map(|line| line.line).collect()
    }

    fn advance(&mut self, by: Duration) {
        let columns = [
            ("jobs", "run_at"),
            ("jobs", "put_off_at"),
            ("jobs", "claimed_at"),
            ("jobs", "lease_expires_at"),
            ("job_claims", "look_at"),
            ("schedules", "next_run_at"),
            ("schedules", "last_run_at"),
            ("finished_jobs", "finished_at"),
            ("job_attempts", "finished_at"),
            ("job_workers", "live_until"),
        ];
        for (table, column) in columns {
            let seconds = by.as_secs_f64();
            self.batch_execute_all(&format!(
                "update {table} set {column} = {column} - make_interval(secs => {seconds})"
            ));
        }
    }
}

pub fn no_wait() -> Backoff {
    Backoff { first: Duration::ZERO, cap: Duration::ZERO, factor: 2 }
}

/// A job of kind `letter` in the queue `letters`.
pub fn letter(text: &str) -> NewJob {
    NewJob::new("letters", "letter", json!({ "text": text }))
}

pub fn add(conn: &mut PgConnection, job: &NewJob) -> JobId {
    enqueue(conn, job).unwrap().id()
}

pub fn take(conn: &mut PgConnection, worker: &str, queues: &[&str], limit: usize) -> Vec<ClaimedJob> {
    let queues: Vec<String> = queues.iter().map(|&queue| queue.to_owned()).collect();
    claim(conn, &Claimer { worker, queues: &queues, lease: LEASE }, limit).unwrap()
}

pub fn take_letter(conn: &mut PgConnection) -> ClaimedJob {
    take(conn, "tester", &["letters"], 1).pop().expect("a job to claim")
}

pub fn texts(jobs: &[ClaimedJob]) -> Vec<&str> {
    jobs.iter().map(|job| job.arguments["text"].as_str().unwrap()).collect()
}
