//! A database per test, cloned from a migrated template. The server is the one `BACKUP_TEST_POSTGRES_URL` names, else a
//! private one that lives as long as some database of this process does.

mod clock;
mod seed;
mod server;
mod template;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use diesel::pg::PgConnection;
use diesel::r2d2::{ConnectionManager, Pool};
use diesel::{Connection, RunQueryDsl};

pub use seed::{SeededBackup, SeededInstance};

use server::SharedServer;

/// A database that exists as long as this value.
#[derive(Debug)]
pub struct Database {
    name: String,
    server: Arc<SharedServer>,
}

impl Database {
    /// A database with all migrations applied and no rows.
    ///
    /// # Errors
    /// When there is no server, or a migration fails.
    pub fn create() -> anyhow::Result<Self> {
        let server = SharedServer::get()?;
        let template = template::prepare(&server)?;
        Self::new(server, &format!(" TEMPLATE \"{template}\""))
    }

    /// A database without any table, for tests of the migrations themselves.
    ///
    /// # Errors
    /// When there is no server.
    pub fn empty() -> anyhow::Result<Self> {
        Self::new(SharedServer::get()?, "")
    }

    fn new(server: Arc<SharedServer>, options: &str) -> anyhow::Result<Self> {
        let name = format!("test_{}", uuid::Uuid::new_v4().simple());
        let mut admin = server.connect("postgres")?;
        diesel::sql_query(format!("CREATE DATABASE {name}{options}"))
            .execute(&mut admin)
            .context("the test's database cannot be created")?;
        Ok(Self { name, server })
    }

    /// The connection URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// The name of the database on its server.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A new connection.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn connection(&self) -> anyhow::Result<PgConnection> {
        self.server.connect(&self.name)
    }

    /// A pool of at most five connections, opened when first used.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn pool(&self) -> anyhow::Result<Pool<ConnectionManager<PgConnection>>> {
        Pool::builder()
            .max_size(5)
            .min_idle(Some(0))
            .connection_timeout(Duration::from_secs(10))
            .build(ConnectionManager::new(self.url()))
            .context("the test's pool cannot be built")
    }

    /// Runs statements in one batch, for arranging what no action of the product would do.
    ///
    /// # Errors
    /// When the server refuses one.
    pub fn execute(&self, sql: &str) -> anyhow::Result<()> {
        use diesel::connection::SimpleConnection;
        self.connection()?.batch_execute(sql).with_context(|| format!("in the test's database: {sql}"))
    }

    /// The one value of a query as text (`SELECT count(*) …`); none for NULL or no row.
    ///
    /// # Errors
    /// When the server refuses the query.
    pub fn value(&self, sql: &str) -> anyhow::Result<Option<String>> {
        use diesel::OptionalExtension;
        #[derive(diesel::QueryableByName)]
        struct Row {
            #[diesel(sql_type = diesel::sql_types::Nullable<diesel::sql_types::Text>)]
            value: Option<String>,
        }
        let wrapped = format!("SELECT q.value::text AS value FROM ({sql}) AS q (value) LIMIT 1");
        let row: Option<Row> = diesel::sql_query(wrapped).get_result(&mut self.connection()?).optional()?;
        Ok(row.and_then(|row| row.value))
    }

    /// Cuts every connection to this database, as a failover would.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn cut_connections(&self) -> anyhow::Result<()> {
        let sql =
            format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'", self.name);
        diesel::sql_query(sql).execute(&mut self.server.connect("postgres")?)?;
        Ok(())
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Ok(mut admin) = self.server.connect("postgres") {
            let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
            // A leftover on a private server goes with the server; on a shared one it only takes space.
            drop(diesel::sql_query(sql).execute(&mut admin));
        }
    }
}

impl SharedServer {
    fn connect(&self, database: &str) -> anyhow::Result<PgConnection> {
        PgConnection::establish(&self.url(database)).context("the test server cannot be reached")
    }
}
