//! The data set of the demo's service instance, and what is done to it between backup and restore.

use private_postgres::Server;

/// The database with most of the data.
pub const MAIN_DATABASE: &str = "shop";
const BIG_TABLE: &str = "public.events";
/// Rows of the largest table in the demo: somewhat more than 100 MB.
pub const DEMO_EVENTS: u32 = 280_000;

/// What was filled in.
#[derive(Debug, Clone, Copy)]
pub struct Filled {
    /// Bytes of the largest table with its indexes.
    pub big_table_bytes: u64,
    /// Bytes of all databases together.
    pub total_bytes: u64,
}

/// Fills a fresh server: several databases, roles, and most kinds of objects PostgreSQL has. `events` is the number of rows of
/// the largest table.
///
/// # Errors
/// When a statement fails.
pub fn fill(server: &Server, events: u32) -> anyhow::Result<Filled> {
    server.psql("postgres", include_str!("dataset/roles.sql"))?;
    server.psql(MAIN_DATABASE, &format!("\\set events {events}\n{}", include_str!("dataset/shop.sql")))?;
    for database in ["größe_测试", "it's \"quoted\" data", "analytics"] {
        server.psql(database, include_str!("dataset/others.sql"))?;
    }
    let big =
        server.psql(MAIN_DATABASE, &format!("SELECT pg_total_relation_size('{BIG_TABLE}')"))?.parse()?;
    let total = server.psql("postgres", "SELECT sum(pg_database_size(oid)) FROM pg_database")?.parse()?;
    Ok(Filled { big_table_bytes: big, total_bytes: total })
}

/// Drops tables, changes rows, adds a database, drops another, changes roles: what a restore has to undo.
///
/// # Errors
/// When a statement fails.
pub fn damage(server: &Server) -> anyhow::Result<()> {
    server.psql(MAIN_DATABASE, include_str!("dataset/damage.sql"))?;
    server.psql("postgres", include_str!("dataset/damage_server.sql"))?;
    server.psql("intruder", "CREATE TABLE t AS SELECT 1 AS n").map(drop)
}
