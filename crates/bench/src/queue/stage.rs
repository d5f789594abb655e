//! The stage: one durable PostgreSQL server for all, in it a database per contender and length of history.

use std::path::PathBuf;

use anyhow::Context;
use diesel::{Connection, PgConnection};
use private_postgres::{Options, Server};

/// What an operator of a busy queue would set; the rest are PostgreSQL's defaults, fsync and synchronous commits among
/// them. Checkpoints are done between measurements, not within.
const SETTINGS: [(&str, &str); 8] = [
    ("shared_buffers", "2GB"),
    ("effective_cache_size", "8GB"),
    ("work_mem", "16MB"),
    ("maintenance_work_mem", "512MB"),
    ("max_wal_size", "8GB"),
    ("checkpoint_timeout", "30min"),
    ("random_page_cost", "1.1"),
    ("autovacuum", "on"),
];

/// What makes a commit durable.
const DURABILITY: [&str; 3] = ["fsync", "synchronous_commit", "full_page_writes"];

/// The server and the logs of the adapters; removed when dropped.
pub(super) struct Stage {
    pub(super) server: Server,
    logs: tempfile::TempDir,
}

impl Stage {
    /// Starts the server. Statements are counted only while somebody asks for it ([`Stage::count_statements`]).
    pub(super) fn start() -> anyhow::Result<Self> {
        let options =
            SETTINGS.iter().fold(Options::default().durable(), |all, (name, value)| all.setting(name, value));
        let options = options
            .setting("max_connections", "400")
            .setting("shared_preload_libraries", "pg_stat_statements")
            .setting("pg_stat_statements.track", "none");
        let server = Server::start_with(options).context("pg_stat_statements comes with Debian's package")?;
        server.psql("postgres", "create extension pg_stat_statements")?;
        Ok(Self { server, logs: tempfile::tempdir()? })
    }

    /// Runs SQL and returns what it answers.
    pub(super) fn sql(&self, database: &str, sql: &str) -> anyhow::Result<String> {
        self.server.psql(database, sql)
    }

    /// A connection of the harness.
    pub(super) fn connect(&self, database: &str) -> anyhow::Result<PgConnection> {
        PgConnection::establish(&self.server.url(database)).context("the harness cannot connect")
    }

    /// Where the adapters of one contender complain.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.logs.path().join(name)
    }

    /// Begins or ends the counting of statements of later sessions in a database.
    pub(super) fn count_statements(&self, database: &str, is_wanted: bool) -> anyhow::Result<()> {
        let track = if is_wanted { "top" } else { "none" };
        let name = database.replace('"', "\"\"");
        self.sql("postgres", &format!("alter database \"{name}\" set pg_stat_statements.track = {track}"))
            .map(drop)
    }

    /// Lines of `name: value` about PostgreSQL.
    pub(super) fn settings(&self) -> anyhow::Result<Vec<(String, String)>> {
        let version = self.sql("postgres", "show server_version")?;
        let mut all = vec![("postgresql".to_owned(), version)];
        for name in DURABILITY.into_iter().chain(SETTINGS.iter().map(|(name, _)| *name)) {
            all.push((name.to_owned(), self.sql("postgres", &format!("show {name}"))?));
        }
        Ok(all)
    }
}
