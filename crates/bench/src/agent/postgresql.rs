//! A PostgreSQL server: the agent's driver for it, and `pg_dump | zstd | age`.

use private_postgres::{Options as ServerOptions, Server};
use serde_json::json;

use super::agent_process::Agent;
use super::measure::script;
use super::{Options, Series, Subjects, shell, tell};

/// What an operator of such a server would set; the rest are PostgreSQL's defaults, fsync among them.
const SETTINGS: [(&str, &str); 5] = [
    ("shared_buffers", "2GB"),
    ("maintenance_work_mem", "512MB"),
    ("max_wal_size", "8GB"),
    ("checkpoint_timeout", "30min"),
    ("wal_compression", "on"),
];

const TABLES: u32 = 8;
/// What a row of the tables below takes on disk, its share of the index included; measured.
const BYTES_PER_ROW: u32 = 323;

/// Measures all rounds.
///
/// # Errors
/// When something fails.
pub(super) fn measure(options: &Options) -> anyhow::Result<Subjects> {
    let folder = tempfile::Builder::new().prefix("bench-agent-").tempdir_in(&options.workspace)?;
    let root = folder.path();
    let server_options = SETTINGS
        .iter()
        .fold(ServerOptions::default().durable(), |options, (name, value)| options.setting(name, value));
    let server = Server::start_with(server_options)?;
    let driver = json!({"postgresql": {
        "host": "127.0.0.1", "port": server.port(), "user": "postgres", "bin_directory": server.bin_directory(),
    }});

    tell(&format!("a database of {} MiB, for the agent's memory", options.small_mebibytes));
    fill(&server, options.small_mebibytes)?;
    let agent = Agent::start(&root.join("agent"), &driver)?;
    let (backup, status) = agent.back_up("small")?;
    let small = (backup.peak_mib, agent.restore("small", &status)?.peak_mib);
    drop(agent);
    shell::remove(&root.join("agent"))?;

    tell(&format!("a database of {} MiB", options.mebibytes));
    fill(&server, options.mebibytes)?;
    let size = server.psql("shop", "SELECT pg_size_pretty(pg_database_size('shop'))")?;
    let recipient = shell::make_identity(root)?;
    let environment = vec![
        ("PGHOST", "127.0.0.1".to_owned()),
        ("PGPORT", server.port().to_string()),
        ("PGUSER", "postgres".to_owned()),
        (
            "PATH",
            format!("{}:{}", server.bin_directory().display(), std::env::var("PATH").unwrap_or_default()),
        ),
    ];
    let (mut ours, mut by_hand) = (Series::default(), Series::default());
    let mut bytes = 0;
    for round in 1..=options.rounds {
        tell(&format!("round {round}: the agent"));
        settle(&server)?;
        let agent = Agent::start(&root.join("agent"), &driver)?;
        let (cost, backup) = agent.back_up("backup")?;
        ours.backup.push(cost);
        bytes = Agent::plain_bytes(&backup);
        settle(&server)?;
        ours.restore.push(agent.restore("restore", &backup)?);
        drop(agent);
        shell::remove(&root.join("agent"))?;

        tell(&format!("round {round}: pg_dump | zstd | age"));
        settle(&server)?;
        let backup =
            format!("pg_dump -Fc -Z0 shop | zstd -3 -q | age -r {recipient} > by-hand && sync by-hand");
        by_hand.backup.push(script(&backup, root, &environment)?);
        settle(&server)?;
        // Into a database of its own, then in the place of the other, as the agent does.
        let restore = "createdb fresh; age -d -i identity.txt by-hand | zstd -d -q | pg_restore -d fresh; \
                       psql -qc 'ALTER DATABASE shop RENAME TO old' -c 'ALTER DATABASE fresh RENAME TO shop' \
                       -c 'DROP DATABASE old' postgres";
        by_hand.restore.push(script(restore, root, &environment)?);
        shell::remove(&root.join("by-hand"))?;
    }
    Ok(Subjects {
        name: "PostgreSQL",
        data: format!("one database of {size}, {TABLES} tables with a primary key and an index each"),
        bytes,
        ways: vec![("agent, driver `postgresql`", ours), ("`pg_dump \\| zstd -3 \\| age`", by_hand)],
        small,
    })
}

/// Makes the database `shop` anew: orders with numbers, times, words and tokens, compressible to about a third.
fn fill(server: &Server, mebibytes: u32) -> anyhow::Result<()> {
    server.psql("postgres", "DROP DATABASE IF EXISTS shop")?;
    server.create_database("shop")?;
    let rows =
        u64::from(mebibytes).saturating_mul(1024 * 1024) / u64::from(BYTES_PER_ROW) / u64::from(TABLES);
    for table in 1..=TABLES {
        server.psql(
            "shop",
            &format!(
                "CREATE TABLE orders_{table} AS
                 SELECT n AS id, (n * 7919) % 100000 AS customer, timestamptz '2026-01-01' + n * interval '1 second' AS placed_at,
                        ((n * 31) % 100000)::numeric / 100 AS total, 'ordered by post, to be sent to the address below ' || n AS note,
                        md5(n || 'a{table}') || md5(n || 'b') || md5(n || 'c') || md5(n || 'd') || md5(n || 'e') AS token
                 FROM generate_series(1::bigint, {rows}) n;
                 ALTER TABLE orders_{table} ADD PRIMARY KEY (id);
                 CREATE INDEX ON orders_{table} (customer);
                 VACUUM ANALYZE orders_{table};"
            ),
        )?;
    }
    Ok(())
}

fn settle(server: &Server) -> anyhow::Result<()> {
    server.psql("postgres", "CHECKPOINT")?;
    shell::settle();
    Ok(())
}
