//! A restore of PostgreSQL runs code of the databases' owners, and lends it nobody's rights but their own.

use backup_protocol::OperationState;
use private_postgres::{Options, Server};
use serde_json::json;

use super::postgresql::site;
use crate::harness::Agent;

const ROLES: &str = "
CREATE ROLE mallory LOGIN PASSWORD 'm'; CREATE ROLE alice LOGIN PASSWORD 'a'; CREATE ROLE admin SUPERUSER;
CREATE DATABASE shop OWNER mallory;
";

/// Mallory's code does harm only while it is restored; it writes down where it ran and what it could do.
const MALLORY: &str = r"
CREATE SCHEMA m AUTHORIZATION mallory; CREATE SCHEMA a AUTHORIZATION alice; CREATE SCHEMA s AUTHORIZATION admin;
SET ROLE alice;
CREATE TABLE a.secret (v text); INSERT INTO a.secret VALUES ('alice''s');
CREATE FUNCTION a.helper() RETURNS text LANGUAGE sql AS $$ SELECT 'alice''s' $$;
CREATE MATERIALIZED VIEW a.seen AS SELECT * FROM a.secret;
SET ROLE admin;
CREATE TABLE s.audit (v text); INSERT INTO s.audit VALUES ('admin''s');
CREATE FUNCTION s.nightly() RETURNS text LANGUAGE sql AS $$ SELECT 'admin''s' $$;
SET ROLE mallory;
CREATE TABLE m.ran (place text, session text, role text, super text, done text);
CREATE FUNCTION m.try(place text, sql text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
  EXECUTE sql;
  -- What could not be noted was done all the same, and is to be seen in what it did.
  BEGIN INSERT INTO m.ran VALUES (place, session_user, current_user, current_setting('is_superuser'), sql);
  EXCEPTION WHEN OTHERS THEN NULL; END;
EXCEPTION WHEN OTHERS THEN NULL; END $$;
CREATE FUNCTION m.attack(place text) RETURNS void LANGUAGE plpgsql AS $$ DECLARE way text; BEGIN
  PERFORM m.try(place, 'SELECT 1');
  FOREACH way IN ARRAY ARRAY['SELECT 2', 'RESET ROLE', 'RESET SESSION AUTHORIZATION', 'SET ROLE postgres', 'SET ROLE admin',
      'SET ROLE alice', 'SET SESSION AUTHORIZATION postgres', 'SET SESSION AUTHORIZATION alice',
      'RESET SESSION AUTHORIZATION'] LOOP
    BEGIN EXECUTE way; EXCEPTION WHEN OTHERS THEN NULL; END;
    PERFORM m.try(place, 'ALTER ROLE mallory SUPERUSER');
    PERFORM m.try(place, 'CREATE ROLE mallorys_own SUPERUSER');
    PERFORM m.try(place, 'GRANT alice TO mallory');
    PERFORM m.try(place, 'ALTER ROLE alice PASSWORD ''stolen''');
    PERFORM m.try(place, 'COPY (SELECT 1) TO PROGRAM ''true''');
    PERFORM m.try(place, 'INSERT INTO a.secret VALUES (''forged'')');
    PERFORM m.try(place, 'SELECT v FROM a.secret');
    PERFORM m.try(place, 'SELECT v FROM s.audit');
    PERFORM m.try(place, 'INSERT INTO s.audit VALUES (''forged'')');
    PERFORM m.try(place, 'CREATE OR REPLACE FUNCTION a.helper() RETURNS text LANGUAGE sql AS ''SELECT 1::text''');
    PERFORM m.try(place, 'CREATE OR REPLACE FUNCTION s.nightly() RETURNS text LANGUAGE sql AS ''SELECT 1::text''');
    PERFORM m.try(place, 'CREATE FUNCTION a.trojan() RETURNS text LANGUAGE sql AS ''SELECT 1::text''');
    PERFORM m.try(place, 'CREATE TRIGGER t AFTER INSERT ON s.audit EXECUTE FUNCTION m.fires()');
    PERFORM m.try(place, 'UPDATE pg_authid SET rolsuper = true');
  END LOOP;
END $$;
CREATE FUNCTION m.evil(place text, v text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
  IF current_database() LIKE 'backup_agent_%' THEN PERFORM m.attack(place); END IF; RETURN true; END $$;
CREATE FUNCTION m.same(place text, v text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
  PERFORM m.evil(place, v); RETURN v; END $$;
CREATE FUNCTION m.fires() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM m.evil('trigger', ''); RETURN NEW; END $$;
CREATE FUNCTION m.sees() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM m.evil('event', ''); END $$;
CREATE DOMAIN m.guarded AS text CHECK (m.evil('domain', VALUE));
CREATE TABLE m.checked (v text CHECK (m.evil('check', v)), w m.guarded, x m.guarded[] DEFAULT '{one}',
  y text GENERATED ALWAYS AS (m.same('generated', v)) STORED);
INSERT INTO m.checked (v, w) VALUES ('v', 'w');
CREATE INDEX ON m.checked (m.same('index', v)); CREATE INDEX ON m.checked (v) WHERE m.evil('predicate', v);
CREATE TABLE m.parts (v text) PARTITION BY LIST (m.same('partition', v));
CREATE TABLE m.part PARTITION OF m.parts (CHECK (m.evil('attach', 'constant'))) FOR VALUES IN ('v');
INSERT INTO m.parts VALUES ('v');
CREATE TRIGGER fires BEFORE INSERT ON m.checked FOR EACH ROW EXECUTE FUNCTION m.fires();
CREATE MATERIALIZED VIEW m.counted AS SELECT m.same('view', v) FROM m.checked;
GRANT USAGE ON SCHEMA m TO PUBLIC; GRANT SELECT ON m.checked TO alice; GRANT INSERT ON m.ran TO PUBLIC;
RESET ROLE; GRANT USAGE ON SCHEMA m, a TO admin;
SET ROLE admin;
CREATE TABLE s.guarded (v text CHECK (m.evil('superuser''s check', v))); INSERT INTO s.guarded VALUES ('v');
CREATE INDEX ON s.guarded (m.same('superuser''s index', v));
CREATE MATERIALIZED VIEW s.counted AS SELECT m.same('superuser''s view', v) AS v FROM s.guarded;
CREATE EVENT TRIGGER sees ON ddl_command_start EXECUTE FUNCTION m.sees();
";

/// What must be the same afterwards.
const UNHARMED: &str = "
SELECT rolname, rolsuper, rolcreaterole, rolpassword FROM pg_authid WHERE rolname !~ '^pg_' ORDER BY 1;
SELECT pg_get_userbyid(roleid), pg_get_userbyid(member) FROM pg_auth_members ORDER BY 1, 2;
SELECT * FROM a.secret; SELECT a.helper(); SELECT * FROM a.seen; SELECT * FROM s.audit; SELECT s.nightly();
SELECT count(*) FROM m.checked; SELECT * FROM m.counted; SELECT * FROM s.guarded; SELECT * FROM s.counted;
SELECT n.nspname, nspacl, pg_get_userbyid(nspowner) FROM pg_namespace n WHERE nspname !~ '^pg_' ORDER BY 1;
SELECT oid::regclass::text, relkind, relacl, pg_get_userbyid(relowner) FROM pg_class
  WHERE oid >= 16384 AND relnamespace <> 99 ORDER BY 1;
SELECT oid::regprocedure::text, proacl, pg_get_userbyid(proowner) FROM pg_proc WHERE oid >= 16384 ORDER BY 1;
SELECT tgrelid::regclass::text, tgname FROM pg_trigger ORDER BY 1, 2; SELECT evtname FROM pg_event_trigger;
";

#[tokio::test(flavor = "multi_thread")]
async fn code_of_an_owner_runs_at_a_restore_without_anybody_elses_rights() {
    let server = Server::start_with(Options::default().password("secret")).unwrap();
    server.psql("postgres", ROLES).unwrap();
    server.psql("shop", MALLORY).unwrap();
    let before = server.psql("shop", UNHARMED).unwrap();
    let mut site = site(&server);
    site.config["driver"]["postgresql"]["password"] = json!("secret");
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    agent.restore("r", &backup).await;

    let ran = "SELECT DISTINCT place FROM m.ran WHERE done = 'SELECT 1' ORDER BY 1";
    let places = [
        "attach",
        "check",
        "domain",
        "generated",
        "index",
        "partition",
        "predicate",
        "superuser's view",
        "view",
    ];
    assert_eq!(server.psql("shop", ran).unwrap().lines().collect::<Vec<_>>(), places, "the code did run");
    // Who stands in for a superuser may read when its views are filled, and could not write down where else it ran.
    let rights =
        "SELECT DISTINCT place, session, role, super, done FROM m.ran WHERE session !~ '^backup_agent_load_'
        OR (role !~ '^backup_agent_load_' AND place <> 'view') OR super = 'on'
        OR (done <> 'SELECT 1' AND NOT (place = 'superuser''s view' AND done LIKE 'SELECT v FROM %'))";
    assert_eq!(server.psql("shop", rights).unwrap(), "", "rights it should not have had");
    assert_eq!(server.psql("shop", UNHARMED).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn views_are_filled_where_superusers_own_everything() {
    let server = Server::start().unwrap();
    server.psql("postgres", "CREATE ROLE admin SUPERUSER; CREATE DATABASE shop OWNER admin").unwrap();
    let content =
        "SET ROLE admin; CREATE TABLE t AS SELECT 7 AS k; CREATE MATERIALIZED VIEW v AS SELECT k FROM t;";
    server.psql("shop", content).unwrap();
    let site = site(&server);
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    agent.restore("r", &backup).await;
    assert_eq!(server.psql("shop", "SELECT k FROM v").unwrap(), "7");
}

/// Code of an owner that notes with whose rights it runs.
const WATCHER: &str = "SET ROLE mallory; CREATE SCHEMA m; CREATE TABLE m.ran (super text, could text);
CREATE FUNCTION m.attack() RETURNS void LANGUAGE plpgsql AS $$ DECLARE could text := 'yes'; BEGIN
  BEGIN ALTER ROLE mallory CREATEDB; EXCEPTION WHEN insufficient_privilege THEN could := 'no'; END;
  INSERT INTO m.ran VALUES (current_setting('is_superuser'), could); END $$;
CREATE FUNCTION m.evil(v int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
  IF current_database() LIKE 'backup_agent_%' THEN PERFORM m.attack(); END IF; RETURN true; END $$;
CREATE TABLE m.checked (v int CHECK (m.evil(v))); INSERT INTO m.checked VALUES (1);";

#[tokio::test(flavor = "multi_thread")]
async fn owners_are_trusted_with_the_server_only_when_the_operator_says_so() {
    let server = Server::start().unwrap();
    server.psql("postgres", ROLES).unwrap();
    server.psql("shop", &format!("GRANT CREATE ON DATABASE shop TO mallory; {WATCHER}")).unwrap();
    let mut site = site(&server);
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    agent.stop().await;
    for (trust, could) in [(false, "off|no"), (true, "on|yes")] {
        site.config["driver"]["postgresql"]["trust_owners"] = json!(trust);
        let agent = Agent::start(&site).await;
        agent.restore(&format!("r-{trust}"), &backup).await;
        assert_eq!(server.psql("shop", "SELECT * FROM m.ran").unwrap(), could);
        agent.stop().await;
    }
}

/// Only a superuser can make functions in this language; an owner may have been given one.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_owner_could_not_make_fails_clearly_and_is_restored_when_owners_are_trusted() {
    let server = Server::start().unwrap();
    server.psql("postgres", ROLES).unwrap();
    let given = "CREATE FUNCTION raw(float8) RETURNS float8 LANGUAGE internal AS 'dsqrt';
        ALTER FUNCTION raw OWNER TO mallory";
    server.psql("shop", given).unwrap();
    let mut site = site(&server);
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    let failed = agent.restore_with("r", &backup, json!({})).await;
    let error = failed.error.unwrap();
    assert_eq!((failed.state, error.code.as_str()), (OperationState::Failed, "data_service_access_denied"));
    let told = ["database shop", "permission denied for language internal", "trust_owners"];
    assert!(told.iter().all(|words| error.message.contains(words)), "{}", error.message);
    let left = "SELECT count(*) FROM pg_roles WHERE rolname ~ 'backup_agent'";
    assert_eq!(server.psql("shop", left).unwrap(), "0");
    agent.stop().await;
    site.config["driver"]["postgresql"]["trust_owners"] = json!(true);
    Agent::start(&site).await.restore("r2", &backup).await;
    assert_eq!(server.psql("shop", "SELECT raw(49)").unwrap(), "7");
}

/// Rights that cross owners: schemas of others, foreign keys, parents and partitions, statistics, views.
const MIXED: &str = "
CREATE SCHEMA m AUTHORIZATION mallory; CREATE SCHEMA a AUTHORIZATION alice;
CREATE TABLE a.parent (k int PRIMARY KEY, v text); INSERT INTO a.parent VALUES (1, 'one');
CREATE TABLE m.child (k int REFERENCES a.parent, e text); INSERT INTO m.child VALUES (1, 'x');
CREATE TABLE m.heir (z int) INHERITS (a.parent); INSERT INTO m.heir VALUES (7, 'seven', 8);
CREATE TABLE a.parts (k int) PARTITION BY RANGE (k); CREATE INDEX ON a.parts (k);
CREATE TABLE m.part PARTITION OF a.parts FOR VALUES FROM (0) TO (9); INSERT INTO a.parts VALUES (3);
CREATE TABLE public.plain (k int GENERATED ALWAYS AS IDENTITY, m json); INSERT INTO plain (m) VALUES ('{}');
CREATE TYPE a.mood AS ENUM ('good'); CREATE TYPE a.pair AS (one int, two a.mood);
CREATE TABLE m.typed (p a.pair, r int4range); INSERT INTO m.typed VALUES ((1, 'good'), '[1,2)');
CREATE TABLE public.moods (k serial PRIMARY KEY, m a.mood, o int REFERENCES a.parent); CREATE INDEX ON moods (m);
INSERT INTO moods (m, o) VALUES ('good', 1);
CREATE VIEW m.both AS SELECT c.e, p.v FROM m.child c JOIN a.parent p USING (k);
CREATE MATERIALIZED VIEW m.stored AS SELECT * FROM m.both; CREATE UNIQUE INDEX ON m.stored (e);
CREATE MATERIALIZED VIEW public.kept AS SELECT * FROM m.stored WITH NO DATA;
CREATE STATISTICS public.stats ON k, v FROM a.parent;
CREATE FUNCTION m.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER f BEFORE INSERT ON a.parent FOR EACH ROW EXECUTE FUNCTION m.f();
CREATE TRIGGER f BEFORE INSERT ON moods FOR EACH ROW EXECUTE FUNCTION m.f();
CREATE AGGREGATE m.total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
CREATE FUNCTION public.plus(a.pair, a.pair) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE OPERATOR public.+ (FUNCTION = public.plus, LEFTARG = a.pair, RIGHTARG = a.pair);
CREATE FUNCTION public.of(a.mood) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE CAST (a.mood AS int) WITH FUNCTION public.of(a.mood);
CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw;
CREATE FOREIGN TABLE m.far (v text) SERVER far OPTIONS (table_name 't');
CREATE USER MAPPING FOR mallory SERVER far OPTIONS (user 'm');
CREATE PUBLICATION everything FOR ALL TABLES; CREATE PUBLICATION one FOR TABLE a.parent WHERE (k > 0);
ALTER PUBLICATION one OWNER TO mallory; CREATE TEXT SEARCH CONFIGURATION a.words (COPY = english);
CREATE SEQUENCE a.counter; SELECT setval('a.counter', 42); CREATE UNLOGGED TABLE a.fleeting (k int);
SELECT lo_from_bytea(4711, 'large'), lo_from_bytea(4712, 'other'); ALTER LARGE OBJECT 4711 OWNER TO alice;
ALTER TABLE a.parent OWNER TO alice; ALTER TABLE a.parts OWNER TO alice; ALTER TABLE m.child OWNER TO mallory;
ALTER TABLE m.heir OWNER TO mallory; ALTER TABLE m.part OWNER TO mallory; ALTER TYPE a.mood OWNER TO alice;
ALTER TYPE a.pair OWNER TO alice; ALTER TABLE m.typed OWNER TO mallory; ALTER VIEW m.both OWNER TO mallory;
ALTER MATERIALIZED VIEW m.stored OWNER TO mallory; ALTER FUNCTION m.f OWNER TO mallory;
ALTER AGGREGATE m.total(int) OWNER TO mallory; ALTER TABLE plain OWNER TO alice;
ALTER SEQUENCE a.counter OWNER TO alice; ALTER FOREIGN TABLE m.far OWNER TO mallory;
ALTER TABLE a.fleeting OWNER TO alice; ALTER TEXT SEARCH CONFIGURATION a.words OWNER TO alice;
GRANT USAGE ON SCHEMA a TO mallory; GRANT SELECT, INSERT ON a.parent TO mallory WITH GRANT OPTION;
GRANT SELECT (k) ON m.child TO alice; SET ROLE mallory; GRANT SELECT ON a.parent TO PUBLIC; RESET ROLE;
ALTER DEFAULT PRIVILEGES FOR ROLE alice IN SCHEMA a GRANT SELECT ON TABLES TO mallory;
ALTER TABLE m.child ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON m.child TO alice USING (k < 100);
ALTER TABLE m.typed ENABLE ROW LEVEL SECURITY; ALTER TABLE m.typed FORCE ROW LEVEL SECURITY;
COMMENT ON TABLE a.parent IS 'a parent'; COMMENT ON COLUMN m.child.e IS 'a column';
REVOKE ALL ON SCHEMA public FROM PUBLIC;
CREATE FUNCTION public.watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''watched''; END';
CREATE EVENT TRIGGER watch ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION public.watch();
COMMENT ON EVENT TRIGGER watch IS 'last';
";

const ROWS: &str = "
SELECT * FROM a.parent; SELECT * FROM m.child; SELECT tableoid::regclass, * FROM a.parts; SELECT * FROM public.plain;
SELECT * FROM m.typed; SELECT * FROM moods; SELECT * FROM m.stored;
SELECT relispopulated FROM pg_class WHERE relname = 'kept'; SELECT last_value FROM a.counter;
SELECT oid, lomowner::regrole, lo_get(oid) FROM pg_largeobject_metadata ORDER BY 1;
SELECT oid::regclass::text, relkind, relacl, pg_get_userbyid(relowner), relpersistence FROM pg_class
  WHERE oid >= 16384 AND relnamespace <> 99 ORDER BY 1;
SELECT nspname, nspacl, nspowner::regrole FROM pg_namespace WHERE nspname !~ '^pg_' ORDER BY 1;
SELECT datname, datacl, datdba::regrole FROM pg_database ORDER BY 1; SELECT srvname, srvacl FROM pg_foreign_server;
SELECT typname, typowner::regrole FROM pg_type WHERE oid >= 16384 AND typnamespace <> 99 ORDER BY 1;
SELECT pubname, pubowner::regrole FROM pg_publication ORDER BY 1; SELECT proname, proowner::regrole FROM pg_proc
  WHERE oid >= 16384 ORDER BY 1;
";

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_cross_owners_come_back_equal_to_the_last_line_of_a_dump() {
    let server = Server::start().unwrap();
    server.psql("postgres", ROLES).unwrap();
    server.psql("shop", MIXED).unwrap();
    let dump = || {
        let dumped = server.client("pg_dump", "shop").output().unwrap();
        assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
        let text = String::from_utf8(dumped.stdout).unwrap();
        // A random word against injected commands.
        text.lines().filter(|line| !line.starts_with("\\")).collect::<Vec<_>>().join("\n")
    };
    let (rows, text) = (server.psql("shop", ROWS).unwrap(), dump());
    let site = site(&server);
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    server.psql("postgres", "DROP DATABASE shop").unwrap();
    agent.restore("r", &backup).await;
    assert_eq!(server.psql("shop", ROWS).unwrap(), rows);
    assert_eq!(dump(), text);
}
