//! One contender in one of its databases: filling, watching and clearing its tables.

use std::time::Duration;

use anyhow::Context;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::Scenario;
use super::clock::seconds_between;
use super::contender::Contender;
use super::process::Adapter;
use super::stage::Stage;

/// How long a bulk enqueue may take.
const FILLING: Duration = Duration::from_secs(180);

/// A contender in a database.
pub(super) struct Lane<'a> {
    stage: &'a Stage,
    pub(super) contender: &'a Contender,
    database: String,
    conn: PgConnection,
    has_history: bool,
    /// Divides what was there before from what the harness enqueued.
    marker: String,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

impl<'a> Lane<'a> {
    /// Makes the database and lets the contender make its tables; with a history if one is asked for.
    pub(super) fn prepare(
        stage: &'a Stage,
        contender: &'a Contender,
        scenario: Scenario,
        history: u32,
    ) -> anyhow::Result<()> {
        let database = database(contender, scenario);
        stage.server.create_database(&database)?;
        Adapter::start(
            &contender.program,
            &["migrate"],
            &stage.server.url(&database),
            &stage.log(contender.name()),
        )
        .with_context(|| format!("{} cannot make its tables", contender.name()))?;
        if scenario == Scenario::History {
            let seed = contender.kind.seed.replace("{history}", &history.to_string());
            stage.sql(&database, &format!("{seed}; vacuum (analyze); checkpoint"))?;
        }
        Ok(())
    }

    /// Opens a prepared lane.
    pub(super) fn open(
        stage: &'a Stage,
        contender: &'a Contender,
        scenario: Scenario,
    ) -> anyhow::Result<Self> {
        let database = database(contender, scenario);
        let marker = stage.sql(&database, contender.kind.marker)?;
        let conn = stage.connect(&database)?;
        let has_history = scenario == Scenario::History;
        Ok(Self { stage, contender, database, conn, has_history, marker })
    }

    /// The name of the database.
    pub(super) fn database(&self) -> &str {
        &self.database
    }

    /// Starts an adapter here.
    pub(super) fn adapter(&self, arguments: &[&str]) -> anyhow::Result<Adapter> {
        let url = self.stage.server.url(&self.database);
        Adapter::start(&self.contender.program, arguments, &url, &self.stage.log(self.contender.name()))
    }

    /// Enqueues jobs in bulk through the contender's own interface; returns how many seconds that took.
    pub(super) fn fill(&self, jobs: u32) -> anyhow::Result<f64> {
        let mut adapter = self.adapter(&["enqueue"])?;
        adapter.tell(&format!("many {jobs}"))?;
        let answer = adapter.numbers("", FILLING)?;
        adapter.end()?;
        let [before, after] = answer.as_slice() else { anyhow::bail!("two moments were expected") };
        Ok(seconds_between(*before, *after))
    }

    /// Tells whether no job that was enqueued is waiting or running any more.
    pub(super) fn is_empty(&mut self) -> anyhow::Result<bool> {
        let jobs = self.jobs();
        self.count(&format!("select exists(select {jobs})::int::bigint as count")).map(|count| count == 0)
    }

    /// How many jobs that were enqueued are waiting or running.
    pub(super) fn left(&mut self) -> anyhow::Result<u32> {
        let jobs = self.jobs();
        Ok(u32::try_from(self.count(&format!("select count(*) {jobs}"))?)?)
    }

    /// Removes everything but the history, and vacuums.
    pub(super) fn clear(&self) -> anyhow::Result<()> {
        match self.has_history {
            true => self.remove_pending()?,
            false => self.stage.sql(&self.database, self.contender.kind.clear).map(drop)?,
        }
        self.tidy()
    }

    /// Removes the jobs that were enqueued and are not over.
    pub(super) fn remove_pending(&self) -> anyhow::Result<()> {
        self.stage.sql(&self.database, &format!("delete {}", self.jobs())).map(drop)
    }

    /// Vacuums and analyses, and empties the write-ahead log's backlog, so that everybody begins alike.
    pub(super) fn tidy(&self) -> anyhow::Result<()> {
        self.stage.sql(&self.database, "vacuum (analyze); checkpoint").map(drop)
    }

    /// A transaction that sees the database as it is now and holds a transaction id, until it is dropped.
    pub(super) fn hold(&self) -> anyhow::Result<PgConnection> {
        let mut conn = self.stage.connect(&self.database)?;
        conn.batch_execute("begin isolation level repeatable read; select pg_current_xact_id()")?;
        Ok(conn)
    }

    /// The clause that finds the jobs that were enqueued and are not over.
    fn jobs(&self) -> String {
        let kind = self.contender.kind;
        format!("from {} where {}", kind.table, kind.pending.replace("{marker}", &self.marker))
    }

    fn count(&mut self, sql: &str) -> anyhow::Result<i64> {
        Ok(diesel::sql_query(sql).get_result::<Count>(&mut self.conn)?.count)
    }
}

/// The open transaction needs no history, and has the database without one.
pub(super) fn database(contender: &Contender, scenario: Scenario) -> String {
    match scenario {
        Scenario::Plain | Scenario::Open => contender.name().to_owned(),
        Scenario::History => format!("{}_history", contender.name()),
    }
}
