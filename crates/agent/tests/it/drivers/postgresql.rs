//! PostgreSQL comes back as it was, and clients see all or nothing.

use private_postgres::Server;
use serde_json::{Value, json};

use crate::harness::{Agent, Site, archive};

pub(crate) fn site(server: &Server) -> Site {
    Site::with_driver(json!({"postgresql": {
        "host": "127.0.0.1",
        "port": server.port(),
        "user": "postgres",
        "bin_directory": server.bin_directory(),
    }}))
}

/// Records a restore's state as the agent does; `databases` are those the agent made.
pub(crate) fn record(server: &Server, mut state: Value, databases: &[&str]) {
    let control = "SELECT count(*) FROM pg_database WHERE datname = 'backup_agent_control'";
    if server.psql("postgres", control).unwrap() == "0" {
        server.create_database("backup_agent_control").unwrap();
    }
    let oid = |name: &&str| {
        let sql = format!("SELECT oid FROM pg_database WHERE datname = '{name}'");
        server.psql("postgres", &sql).unwrap().parse::<u32>().unwrap()
    };
    state["databases"] = databases.iter().map(oid).collect();
    let comment = format!("COMMENT ON DATABASE backup_agent_control IS '{state}'");
    server.psql("postgres", &comment).unwrap();
}

/// Databases, without PostgreSQL's own.
pub(crate) fn databases(server: &Server) -> String {
    let sql = "SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database WHERE NOT datistemplate";
    server.psql("template1", sql).unwrap()
}

const SHOP: &str = r#"
CREATE ROLE owner LOGIN PASSWORD 'before' VALID UNTIL '2040-01-01';
CREATE ROLE "Leser ☃" NOLOGIN; CREATE ROLE staff; GRANT staff TO owner WITH ADMIN OPTION;
GRANT pg_read_all_data TO staff;
ALTER ROLE owner SET search_path TO sales, public;
COMMENT ON ROLE owner IS 'it''s the owner';
CREATE DATABASE shop OWNER owner CONNECTION LIMIT 17;
COMMENT ON DATABASE shop IS 'Größe \ 1';
ALTER DATABASE shop SET work_mem TO '7MB';
ALTER ROLE owner IN DATABASE shop SET statement_timeout TO '77s';
REVOKE ALL ON DATABASE shop FROM PUBLIC; GRANT CONNECT ON DATABASE shop TO "Leser ☃";
CREATE DATABASE "naïve ""Köche"" ☃" ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;
CREATE DATABASE gone_after;
"#;

const TABLES: &str = r"
CREATE EXTENSION IF NOT EXISTS pgcrypto;
CREATE SCHEMA sales AUTHORIZATION owner; SET search_path TO sales;
CREATE TYPE mood AS ENUM ('happy', 'sad');
CREATE TABLE item (id serial PRIMARY KEY, name text NOT NULL, mood mood, parent int REFERENCES item, at timestamptz DEFAULT now());
CREATE INDEX item_lower ON item (lower(name));
INSERT INTO item (name, mood) SELECT 'Größe ' || n, 'sad' FROM generate_series(1, 20000) n;
UPDATE item SET parent = id - 1 WHERE id > 1;
CREATE TABLE part (k int, v text) PARTITION BY RANGE (k);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100); INSERT INTO part VALUES (1, 'one');
CREATE VIEW cheerful AS SELECT * FROM item WHERE mood = 'happy';
CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM item;
CREATE FUNCTION twice(n int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 2 * n; END';
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.mood := ''happy''; RETURN NEW; END';
CREATE TRIGGER touching BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE item OWNER TO owner; GRANT SELECT ON item TO staff; ALTER TABLE item ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_rows ON item USING (true);
SELECT setval('item_id_seq', 41000);
SELECT lo_from_bytea(4711, decode(repeat('deadbeef', 100000), 'hex'));
";

/// Everything about the database that the tests compare.
const STATE: &str = "
SELECT count(*), sum(parent), md5(string_agg(name, ',' ORDER BY id)) FROM sales.item;
SELECT last_value FROM sales.item_id_seq; SELECT * FROM sales.counted; SELECT sales.twice(21);
SELECT md5(lo_get(4711)), length(lo_get(4711)); SELECT v FROM sales.part_1;
SELECT relname, relkind, pg_get_userbyid(relowner), relacl, relrowsecurity FROM pg_class
  WHERE relnamespace = 'sales'::regnamespace ORDER BY relname;
SELECT tgname FROM pg_trigger WHERE tgname = 'touching'; SELECT polname FROM pg_policy;
SELECT extname FROM pg_extension ORDER BY 1; SELECT nspname, pg_get_userbyid(nspowner) FROM pg_namespace ORDER BY 1;
";

/// Everything about roles and databases that the tests compare.
const GLOBALS: &str = "
SELECT datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, datistemplate, datallowconn,
  datconnlimit, datacl, shobj_description(oid, 'pg_database') FROM pg_database ORDER BY datname;
SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolpassword, rolvaliduntil, rolconnlimit,
  shobj_description(oid, 'pg_authid') FROM pg_authid ORDER BY rolname;
SELECT pg_get_userbyid(roleid), pg_get_userbyid(member), admin_option FROM pg_auth_members ORDER BY 1, 2;
SELECT d.datname, r.rolname, setconfig FROM pg_db_role_setting LEFT JOIN pg_database d ON d.oid = setdatabase
  LEFT JOIN pg_authid r ON r.oid = setrole ORDER BY 1, 2;
";

#[tokio::test(flavor = "multi_thread")]
async fn databases_roles_and_everything_in_them_survive_a_round_trip() {
    let server = Server::start().unwrap();
    server.psql("postgres", SHOP).unwrap();
    server.psql("shop", TABLES).unwrap();
    server.psql("naïve \"Köche\" ☃", "CREATE TABLE t AS SELECT 'Käse'::text AS v").unwrap();
    server.psql("postgres", "CREATE TABLE in_postgres AS SELECT 1").unwrap();
    server.psql("template1", "CREATE TABLE in_template AS SELECT 1").unwrap();
    let state = server.psql("shop", STATE).unwrap();
    let globals = server.psql("template1", GLOBALS).unwrap();

    let site = site(&server);
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    assert!(backup.total_bytes_estimate.unwrap() > 1_000_000);

    server
        .psql("shop", "DROP SCHEMA sales CASCADE; CREATE TABLE added_later (); SELECT lo_unlink(4711)")
        .unwrap();
    let spoil = r#"
        DROP DATABASE gone_after; CREATE DATABASE added_later; CREATE ROLE added_later LOGIN;
        CREATE ROLE owns_something; ALTER ROLE owner PASSWORD 'after' SUPERUSER NOLOGIN; ALTER ROLE owner RESET ALL;
        REVOKE staff FROM owner; GRANT "Leser ☃" TO owner;
        ALTER DATABASE shop RESET work_mem; ALTER DATABASE shop CONNECTION LIMIT 3; GRANT CREATE ON DATABASE shop TO staff;
        DROP TABLE in_postgres; REVOKE pg_read_all_data FROM staff; ALTER ROLE ALL SET work_mem TO '9MB';
    "#;
    server.psql("postgres", spoil).unwrap();
    server.psql("template1", "DROP TABLE in_template; DROP DATABASE \"naïve \"\"Köche\"\" ☃\"").unwrap();
    server.psql("postgres", "REASSIGN OWNED BY \"Leser ☃\" TO postgres; DROP OWNED BY \"Leser ☃\"").unwrap();
    server.psql("shop", "DROP OWNED BY \"Leser ☃\"; DROP ROLE \"Leser ☃\"").unwrap();
    // Clients that are connected must not be in the way.
    let mut connected: Vec<_> = ["shop", "postgres", "added_later"]
        .iter()
        .map(|name| {
            server
                .client("psql", name)
                .args(["-c", "SELECT pg_sleep(600)"])
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'";
    while server.psql("template1", waiting).unwrap() != "3" {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }

    agent.restore("r", &backup).await;

    for client in &mut connected {
        assert!(!client.wait().unwrap().success(), "open connections are ended");
    }
    assert_eq!(server.psql("shop", STATE).unwrap(), state);
    assert_eq!(server.psql("template1", GLOBALS).unwrap(), globals);
    assert_eq!(server.psql("naïve \"Köche\" ☃", "SELECT v, octet_length(v) FROM t").unwrap(), "Käse|4");
    assert_eq!(server.psql("postgres", "SELECT * FROM in_postgres").unwrap(), "1");
    assert_eq!(server.psql("template1", "SELECT * FROM in_template").unwrap(), "1");
    assert_eq!(databases(&server), "gone_after,naïve \"Köche\" ☃,postgres,shop");
    let inserted =
        server.psql("shop", "INSERT INTO sales.item (name) VALUES ('x') RETURNING id, mood").unwrap();
    assert_eq!(inserted, "41001|happy", "sequences go on and triggers work");

    // And once more, over what was just restored.
    agent.restore("r2", &backup).await;
    assert_eq!(server.psql("template1", GLOBALS).unwrap(), globals);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_can_be_restored_into_another_server() {
    let (one, other) = (Server::start().unwrap(), Server::start().unwrap());
    one.psql("postgres", "CREATE ROLE app LOGIN PASSWORD 'x'; CREATE DATABASE app OWNER app").unwrap();
    one.psql("app", "CREATE TABLE t AS SELECT 42 AS answer; ALTER TABLE t OWNER TO app").unwrap();
    other.psql("postgres", "CREATE ROLE monitor LOGIN; CREATE ROLE stray").unwrap();
    let first = site(&one);
    let backup = Agent::start(&first).await.backup("b").await;

    let mut second = site(&other);
    second.config["driver"]["postgresql"]["keep_roles"] = json!(["monitor"]);
    second.config["stores"] = first.config["stores"].clone();
    let agent = Agent::start(&second).await;
    agent.restore("r", &backup).await;
    assert_eq!(other.psql("app", "SELECT answer FROM t").unwrap(), "42");
    let roles = "SELECT string_agg(rolname, ',' ORDER BY rolname) FROM pg_roles WHERE rolname !~ '^pg_'";
    assert_eq!(other.psql("postgres", roles).unwrap(), "app,monitor,postgres");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stored_dumps_can_be_restored_by_hand() {
    let server = Server::start().unwrap();
    server.psql("postgres", "CREATE DATABASE shop").unwrap();
    server.psql("shop", "CREATE TABLE t AS SELECT n FROM generate_series(1, 1000) n").unwrap();
    let site = site(&server);
    Agent::start(&site).await.backup("b").await;

    let stored = archive(&site, "b");
    let folder = site.path("by-hand");
    tar::Archive::new(stored.as_slice()).unpack(&folder).unwrap();
    assert!(
        std::fs::read_to_string(folder.join("globals.sql.000001")).unwrap().contains("CREATE ROLE postgres")
    );
    let dump = folder.join("databases/0002-shop/dump.000001");
    server.psql("postgres", "CREATE DATABASE by_hand").unwrap();
    let restored = server.client("pg_restore", "").arg("--dbname=by_hand").arg(dump).status().unwrap();
    assert!(restored.success());
    assert_eq!(server.psql("by_hand", "SELECT sum(n) FROM t").unwrap(), "500500");
}
