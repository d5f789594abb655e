//! The migrated template: made once per server and content of the migrations, however many test processes ask at once.

use anyhow::{Context, anyhow};
use diesel::pg::PgConnection;
use diesel::sql_types::Bool;
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::server::SharedServer;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");

/// Any number nobody else on a test server uses.
const LOCK: i64 = 7_253_190_114;

#[derive(QueryableByName)]
struct Exists {
    #[diesel(sql_type = Bool)]
    exists: bool,
}

/// Makes sure that the template exists and returns its name.
pub(super) fn prepare(server: &SharedServer) -> anyhow::Result<String> {
    let name = concat!("template_", env!("MIGRATIONS_HASH")).to_owned();
    let mut admin = server.connect("postgres")?;
    if is_complete(&mut admin, &name)? {
        return Ok(name);
    }
    sql_query(format!("SELECT pg_advisory_lock({LOCK})")).execute(&mut admin)?;
    // The lock goes with the connection, also when we fail.
    if !is_complete(&mut admin, &name)? {
        sql_query(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).execute(&mut admin)?;
        sql_query(format!("CREATE DATABASE {name}")).execute(&mut admin)?;
        migrate(&mut server.connect(&name)?)?;
        sql_query(format!("ALTER DATABASE {name} IS_TEMPLATE true ALLOW_CONNECTIONS false"))
            .execute(&mut admin)?;
    }
    Ok(name)
}

/// Only a finished template is marked as one.
fn is_complete(admin: &mut PgConnection, name: &str) -> anyhow::Result<bool> {
    let sql = format!(
        "SELECT EXISTS (SELECT FROM pg_database WHERE datname = '{name}' AND datistemplate) AS exists"
    );
    let row: Exists =
        sql_query(sql).get_result(admin).context("the test server cannot be asked for its templates")?;
    Ok(row.exists)
}

fn migrate(connection: &mut PgConnection) -> anyhow::Result<()> {
    connection
        .run_pending_migrations(MIGRATIONS)
        .map(drop)
        .map_err(|error| anyhow!("the migrations cannot be applied: {error}"))
}
