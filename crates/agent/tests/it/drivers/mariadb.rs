//! MariaDB comes back as it was, and clients see all or nothing.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use backup_protocol::{OperationState, OperationStatus};
use private_services::Mariadb;
use serde_json::json;

use crate::harness::{Agent, Client, Process, Site, merged};

pub(crate) fn site(mariadb: &Mariadb) -> Site {
    Site::with_driver(json!({"mariadb": {"socket": mariadb.socket(), "user": "root"}}))
}

pub(crate) const SHOP: &str = r#"
CREATE DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_german2_ci;
CREATE DATABASE `naïve ``Köche`` ☃`;
CREATE DATABASE gone_after;
CREATE USER owner@'%' IDENTIFIED BY 'before'; CREATE USER reader@localhost; CREATE ROLE staff;
GRANT ALL ON shop.* TO owner@'%'; GRANT staff TO reader@localhost; SET DEFAULT ROLE staff FOR reader@localhost;
USE shop;
CREATE TABLE parent (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(100) NOT NULL, raw BLOB, at TIMESTAMP DEFAULT '2020-02-02 02:02:02',
  twice INT AS (CHAR_LENGTH(name) * 2) STORED, KEY (name)) COMMENT 'it''s\na `table`;\n\nUSE `mysql`;';
CREATE TABLE child (id INT, parent_id INT, CONSTRAINT refers FOREIGN KEY (parent_id) REFERENCES parent (id) ON DELETE CASCADE);
CREATE TABLE part (k INT, v TEXT) PARTITION BY RANGE (k) (PARTITION low VALUES LESS THAN (100), PARTITION high VALUES LESS THAN MAXVALUE);
CREATE TABLE history (v INT) WITH SYSTEM VERSIONING;
CREATE TABLE old_engine (n INT) ENGINE=Aria;
CREATE SEQUENCE numbers START WITH 41000;
SELECT NEXTVAL(numbers);
INSERT INTO parent (name, raw) SELECT CONCAT('Größe ', seq), UNHEX('00ff0a27225c0d1a') FROM seq_1_to_20000;
INSERT INTO parent (name) VALUES ('line\nbreak\n\nUSE `shop`;\n');
INSERT INTO child SELECT id, id FROM parent;
INSERT INTO part VALUES (1, 'low'), (1000, 'high');
INSERT INTO history VALUES (1); UPDATE history SET v = 2;
INSERT INTO old_engine VALUES (7);
CREATE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC RETURN 2 * n;
CREATE VIEW counted AS SELECT COUNT(*) AS number, twice(21) AS answer FROM parent;
CREATE VIEW aa_needs_another AS SELECT * FROM counted;
CREATE VIEW `naïve ``Köche`` ☃`.across AS SELECT id FROM shop.parent;
CREATE TABLE `naïve ``Köche`` ☃`.`Käse ☃` (v VARCHAR(10)); INSERT INTO `naïve ``Köche`` ☃`.`Käse ☃` VALUES ('Gouda');
GRANT SELECT (id) ON shop.parent TO staff; GRANT EXECUTE ON FUNCTION shop.twice TO staff;
DELIMITER //
CREATE PROCEDURE many() BEGIN SELECT 1; SELECT 2; END//
CREATE TRIGGER touching BEFORE INSERT ON parent FOR EACH ROW BEGIN SET NEW.name = CONCAT('new ', NEW.name); END//
CREATE DEFINER=owner@'%' EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2020-01-01 00:00:00' DO BEGIN DELETE FROM child WHERE id < 0; END//
DELIMITER ;
"#;

/// Changes and removes as much of it as possible.
const SPOIL: &str = r#"
DROP DATABASE gone_after; CREATE DATABASE added_later; CREATE TABLE added_later.t (n INT); CREATE VIEW added_later.v AS SELECT 1;
CREATE TRIGGER added_later.tr BEFORE INSERT ON added_later.t FOR EACH ROW SET NEW.n = 1;
DROP DATABASE `naïve ``Köche`` ☃`; ALTER DATABASE shop CHARACTER SET latin1;
DROP TABLE shop.child; DELETE FROM shop.parent WHERE id > 10; CREATE TABLE shop.numbers2 (n INT); DROP SEQUENCE shop.numbers;
DROP VIEW shop.counted; CREATE TABLE shop.counted (now_a_table INT); DROP TABLE shop.part; CREATE VIEW shop.part AS SELECT 1 AS k;
DROP FUNCTION shop.twice; DROP EVENT shop.nightly; CREATE PROCEDURE shop.stray() SELECT 1;
DROP USER reader@localhost; DROP ROLE staff; SET PASSWORD FOR owner@'%' = PASSWORD('after'); CREATE USER stray@'%';
REVOKE ALL ON shop.* FROM owner@'%'; GRANT ALL ON *.* TO owner@'%';
"#;

/// Everything in all databases, and all users, as `mariadb-dump` tells it.
pub(crate) fn content(mariadb: &Mariadb) -> String {
    let databases = mariadb.sql("", "SHOW DATABASES").unwrap();
    let owned: Vec<&str> = databases
        .lines()
        .filter(|name| !["information_schema", "performance_schema", "sys", "mysql"].contains(name))
        .collect();
    let dump = |arguments: &[&str]| {
        let mut command = Command::new("mariadb-dump");
        command.args(["--no-defaults", "--user=root", "--skip-comments"]);
        command.arg(format!("--socket={}", mariadb.socket().display())).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let all = ["--routines", "--events", "--triggers", "--hex-blob", "--dump-history", "--databases", "--"];
    dump(&[&all, owned.as_slice()].concat()) + &dump(&["--system=users"])
}

/// Names the first difference only; the dumps are long.
pub(crate) fn assert_same(now: &str, before: &str) {
    let first = now.lines().zip(before.lines()).find(|(now, before)| now != before);
    assert_eq!((first, now.lines().count()), (None, before.lines().count()));
}

pub(crate) fn settings(mariadb: &Mariadb) -> String {
    mariadb.sql("", "SELECT @@init_connect, @@event_scheduler, @@global.max_allowed_packet").unwrap()
}

pub(super) fn ours(mariadb: &Mariadb) -> String {
    mariadb.sql("", "SHOW DATABASES LIKE 'backup\\_agent\\_%'").unwrap()
}

pub(super) fn error(status: OperationStatus) -> (String, String) {
    assert_eq!(status.state, OperationState::Failed, "{status:?}");
    let error = status.error.unwrap();
    (error.code, error.message)
}

pub(crate) fn assert_clean(mariadb: &Mariadb, site: &Site) {
    assert_eq!(ours(mariadb), "");
    assert!(!site.path("scratch/mariadb-restore.json").exists());
    assert!(!site.path("scratch/mariadb-restore").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_users_and_everything_in_them_survive_a_round_trip() {
    let mariadb = Mariadb::start_with(&["--event-scheduler=ON"]).unwrap();
    mariadb.sql("", SHOP).unwrap();
    let (before, variables) = (content(&mariadb), settings(&mariadb));
    let site = site(&mariadb);
    let agent = Agent::start(&site).await;
    let version = agent.get("/v1/info").await.body["data_service_version"].clone();
    assert!(version.as_str().unwrap().contains("MariaDB"), "{version}");
    let backup = agent.backup("b").await;
    assert!(backup.total_bytes_estimate.unwrap() > 1_000_000);

    mariadb.sql("", SPOIL).unwrap();
    // A client that is connected must not be in the way, nor one with a lock.
    let mut connected = Command::new("mariadb");
    connected.args(["--no-defaults", "--user=owner", "--password=after"]);
    connected.arg(format!("--socket={}", mariadb.socket().display()));
    connected.args(["-e", "LOCK TABLES shop.parent WRITE; SELECT SLEEP(600)"]);
    let mut connected = connected.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while mariadb
        .sql("", "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP%'")
        .unwrap()
        == "0"
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    agent.restore("r", &backup).await;
    assert!(!connected.wait().unwrap().success(), "open connections are ended");
    assert_same(&content(&mariadb), &before);
    assert_eq!(settings(&mariadb), variables);
    assert_clean(&mariadb, &site);
    let works = "INSERT INTO parent (name) VALUES ('x'); SELECT name FROM parent ORDER BY id DESC LIMIT 1;
        SELECT number, answer FROM aa_needs_another; DELETE FROM parent WHERE id = 1; SELECT COUNT(*) FROM child;
        SELECT COUNT(*) FROM history FOR SYSTEM_TIME ALL";
    assert_eq!(mariadb.sql("shop", works).unwrap(), "new x\n20002\t42\n20000\n2");
    let login = Command::new("mariadb")
        .args(["--no-defaults", "--user=owner", "--password=before", "--batch", "-e", "SELECT 1"])
        .arg(format!("--socket={}", mariadb.socket().display()))
        .output()
        .unwrap();
    assert!(login.status.success(), "{}", String::from_utf8_lossy(&login.stderr));

    // And once more, over what was just restored.
    agent.restore("r2", &backup).await;
    assert_same(&content(&mariadb), &before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_can_be_restored_into_another_server_whose_agent_keeps_its_user() {
    let (one, other) = (Mariadb::start().unwrap(), Mariadb::start().unwrap());
    one.sql("", "CREATE DATABASE app; CREATE TABLE app.t AS SELECT 42 AS answer; CREATE USER app@'%'")
        .unwrap();
    let own =
        "CREATE USER agent@'%' IDENTIFIED BY 'agent-secret'; GRANT ALL ON *.* TO agent@'%' WITH GRANT OPTION;
        CREATE USER monitor@'%'; CREATE USER stray@'%'";
    other.sql("", own).unwrap();
    let first = site(&one);
    let backup = Agent::start(&first).await.backup("b").await;
    let mut second = Site::with_driver(json!({"mariadb": {"host": "127.0.0.1", "port": other.port(),
        "user": "agent", "password": "agent-secret", "keep_users": ["monitor"]}}));
    second.config["stores"] = first.config["stores"].clone();
    let agent = Agent::start(&second).await;
    agent.restore("r", &backup).await;
    assert_eq!(other.sql("app", "SELECT answer FROM t").unwrap(), "42");
    let users = "SELECT GROUP_CONCAT(User ORDER BY User) FROM mysql.global_priv WHERE Host = '%'";
    assert_eq!(other.sql("", users).unwrap(), "agent,app,monitor");
    agent.backup("with-its-own-user").await;
}

/// Moves money between accounts of two tables without end; the sum stays the same in every moment.
fn writer(mariadb: &Mariadb) -> Child {
    let procedure =
        "CREATE DATABASE bank; USE bank; CREATE TABLE a (id INT PRIMARY KEY, v INT); CREATE TABLE z LIKE a;
        CREATE TABLE moves (n INT); INSERT INTO moves VALUES (0);
        INSERT INTO a SELECT seq, 100 FROM seq_0_to_49; INSERT INTO z SELECT * FROM a;
        CREATE TABLE between_them (v VARCHAR(200));
        INSERT INTO between_them SELECT REPEAT(MD5(RAND()), 6) FROM seq_1_to_20000;
        DELIMITER //
        CREATE PROCEDURE busy() BEGIN DECLARE n INT DEFAULT 0; WHILE TRUE DO SET n = n + 1; START TRANSACTION;
          UPDATE a SET v = v - n WHERE id = n % 50; UPDATE z SET v = v + n WHERE id = (n * 7) % 50;
          UPDATE moves SET n = n + 1; COMMIT; END WHILE; END//";
    mariadb
        .sql("", &procedure.replace("SET n = n + 1; COMMIT", "SET moves.n = moves.n + 1; COMMIT"))
        .unwrap();
    let mut client = mariadb.client();
    client.args(["-e", "CALL bank.busy()"]).stdout(Stdio::null()).stderr(Stdio::null());
    client.spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_one_moment_while_a_writer_is_busy() {
    let mariadb = Mariadb::start().unwrap();
    let mut busy = writer(&mariadb);
    let moves = || mariadb.sql("bank", "SELECT n FROM moves").unwrap().parse::<u64>().unwrap();
    while moves() < 100 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let site = site(&mariadb);
    let agent = Agent::start(&site).await;
    let before = moves();
    let backup = agent.backup_with("b", json!({"rate_limit_bytes_per_second": 2_000_000})).await;
    assert_eq!(backup.state, OperationState::Done, "{backup:?}");
    let after = moves();
    assert!(after > before, "the writer goes on during the backup");
    // It is still connected and writing: the restore ends it.
    agent.restore("r", &backup).await;
    assert!(!busy.wait().unwrap().success());
    let sum = "SELECT (SELECT SUM(v) FROM a) + (SELECT SUM(v) FROM z)";
    assert_eq!(mariadb.sql("bank", sum).unwrap(), "10000");
    assert!((100..=after).contains(&moves()), "{} of {after}", moves());
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_and_too_few_rights_are_told_without_the_password() {
    let mariadb = Mariadb::start().unwrap();
    mariadb.sql("", "CREATE DATABASE shop; CREATE TABLE shop.t (n INT); CREATE USER agent@'%' IDENTIFIED BY 'right-secret'").unwrap();
    for (user, password) in
        [("agent", "wrong-secret"), ("nobody-known", "x-secret"), ("agent", "right-secret")]
    {
        let site = Site::with_driver(json!({"mariadb": {"host": "127.0.0.1", "port": mariadb.port(),
            "user": user, "password": password}}));
        let agent = Agent::start(&site).await;
        let (code, message) = error(agent.backup_with("b", json!({})).await);
        assert_eq!(code, "data_service_access_denied", "{user}: {message}");
        assert!(!message.contains("-secret"), "{message}");
        assert!(site.stored().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_or_dies_half_way_is_unreachable_and_nothing_is_stored() {
    let mut mariadb = Mariadb::start().unwrap();
    let fill = "CREATE DATABASE shop; USE shop; CREATE TABLE t AS SELECT REPEAT(MD5(seq), 100) AS v FROM seq_1_to_20000";
    mariadb.sql("", fill).unwrap();
    let site = site(&mariadb);
    let agent = Agent::start(&site).await;
    let slow = json!({"rate_limit_bytes_per_second": 4_000_000});
    assert_eq!(agent.put("/v1/backups/b", merged(Client::backup_body(), slow)).await.status, 202);
    agent.running_until("/v1/backups/b", |status| status.bytes_read > 2_000_000).await;
    mariadb.kill().unwrap();
    let (code, message) = error(agent.ended("/v1/backups/b").await);
    assert_eq!(code, "data_service_unreachable", "{message}");
    let (code, message) = error(agent.backup_with("b2", json!({})).await);
    assert_eq!(code, "data_service_unreachable", "{message}");
    assert!(site.stored().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_programs_are_told_at_the_start() {
    let mut site = Site::with_driver(json!({}));
    site.config["driver"] = json!({"mariadb": {"bin_directory": site.data()}});
    let config = serde_json::from_value(site.config.clone()).unwrap();
    let refused = format!("{:?}", backup_agent::serve(config).await.err().unwrap());
    assert!(refused.contains("ProgramMissing"), "{refused}");
}

/// A server with a backup and other data since.
pub(super) async fn shop() -> (Mariadb, Site, OperationStatus) {
    let mariadb = Mariadb::start().unwrap();
    let sql = "CREATE TABLE mysql.elsewhere (n INT); CREATE DATABASE shop; USE shop;
        CREATE TABLE t AS SELECT seq AS n, REPEAT(MD5(seq), 30) AS v FROM seq_1_to_60000;
        CREATE VIEW leans_on_elsewhere AS SELECT * FROM mysql.elsewhere; CREATE FUNCTION answer() RETURNS INT RETURN 42;
        CREATE TRIGGER touching BEFORE INSERT ON t FOR EACH ROW SET NEW.v = 'x'; CREATE USER app@'%' IDENTIFIED BY 'before'";
    mariadb.sql("", sql).unwrap();
    let site = site(&mariadb);
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    agent.stop().await;
    let since = "DROP USER app@'%'; CREATE USER of_today@'%'; CREATE TABLE since_then (n INT); DROP FUNCTION answer;
        CREATE FUNCTION answer() RETURNS INT RETURN 43; CREATE DATABASE added; CREATE TABLE added.t AS SELECT 1 AS n;
        CREATE VIEW added.v AS SELECT * FROM added.t; CREATE TRIGGER added.tr BEFORE INSERT ON added.t FOR EACH ROW SET NEW.n = 9;
        ALTER DATABASE shop CHARACTER SET latin1 COLLATE latin1_german1_ci; DELETE FROM t WHERE n > 100";
    mariadb.sql("shop", since).unwrap();
    (mariadb, site, backup)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_that_cannot_be_completed_is_undone() {
    let (mariadb, site, backup) = shop().await;
    mariadb.sql("shop", "DROP VIEW leans_on_elsewhere; DROP TABLE mysql.elsewhere").unwrap();
    let (before, variables) = (content(&mariadb), settings(&mariadb));
    let agent = Agent::start(&site).await;
    let (code, message) = error(agent.restore_with("r", &backup, json!({})).await);
    assert_eq!(code, "data_service_error", "{message}");
    assert!(message.contains("elsewhere"), "{message}");
    assert_same(&content(&mariadb), &before);
    assert_eq!(settings(&mariadb), variables);
    assert_clean(&mariadb, &site);
}

pub(super) async fn wait_for_loading(mariadb: &Mariadb) -> String {
    let list = "SELECT id FROM information_schema.processlist WHERE db LIKE 'backup\\_agent\\_new\\_0%'";
    for _ in 0..2000 {
        let id = mariadb.sql("", list).unwrap();
        if !id.is_empty() {
            return id;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the restore never loads");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_breaks_leaves_everything_as_it_was() {
    let (mariadb, site, backup) = shop().await;
    let (before, variables) = (content(&mariadb), settings(&mariadb));
    let agent = Agent::start(&site).await;
    assert_eq!(agent.put("/v1/restores/r", Client::restore_body(&backup)).await.status, 202);
    let id = wait_for_loading(&mariadb).await;
    mariadb.sql("", &format!("KILL {id}")).unwrap();
    let (code, message) = error(agent.ended("/v1/restores/r").await);
    assert!(code.starts_with("data_service"), "{code}: {message}");
    assert_same(&content(&mariadb), &before);
    assert_eq!(settings(&mariadb), variables);
    assert_clean(&mariadb, &site);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_while_loading_cleans_up_at_its_return() {
    let (mariadb, site, backup) = shop().await;
    let (before, variables) = (content(&mariadb), settings(&mariadb));
    let agent = Process::start(&site).await;
    assert_eq!(agent.put("/v1/restores/r", Client::restore_body(&backup)).await.status, 202);
    wait_for_loading(&mariadb).await;
    agent.kill();
    assert_ne!(ours(&mariadb), "");
    let agent = Process::start(&site).await;
    assert_eq!(error(agent.get("/v1/restores/r").await.operation()).0, "interrupted");
    assert_same(&content(&mariadb), &before);
    assert_eq!(settings(&mariadb), variables);
    assert_clean(&mariadb, &site);
}

#[tokio::test(flavor = "multi_thread")]
async fn strange_databases_with_reserved_names_and_foreign_keys_elsewhere_are_refused() {
    let (mariadb, site, backup) = shop().await;
    mariadb.sql("", "CREATE DATABASE backup_agent_new_0001").unwrap();
    let agent = Agent::start(&site).await;
    let (_, message) = error(agent.restore_with("r", &backup, json!({})).await);
    assert!(message.contains("backup_agent_new_0001"), "{message}");
    assert_eq!(ours(&mariadb), "backup_agent_new_0001", "what the agent did not make it does not drop");
    let elsewhere = "CREATE TABLE p (id INT PRIMARY KEY); CREATE TABLE added.c (id INT, FOREIGN KEY (id) REFERENCES shop.p (id))";
    mariadb.sql("shop", elsewhere).unwrap();
    let (_, message) = error(agent.backup_with("b2", json!({})).await);
    assert!(message.contains("refers to another database"), "{message}");
}
