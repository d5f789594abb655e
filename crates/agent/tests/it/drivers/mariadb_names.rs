//! Names in MariaDB that could be taken for something else, and objects that come while a backup reads.

use private_services::Mariadb;
use serde_json::json;

use super::mariadb::{assert_clean, assert_same, content, error, site};
use crate::harness::{Agent, Client, merged};

#[tokio::test(flavor = "multi_thread")]
async fn names_that_look_like_options_or_statements_are_names() {
    let mariadb = Mariadb::start().unwrap();
    let sql = "CREATE DATABASE `--where=false`; CREATE DATABASE `--result-file=stolen`; USE `--where=false`;
        CREATE TABLE t AS SELECT 1 AS n; CREATE TABLE `--no-data` AS SELECT 2 AS n;
        CREATE VIEW `--skip-views` AS SELECT * FROM t; CREATE FUNCTION answer() RETURNS INT RETURN 42;
        CREATE TABLE `--result-file=stolen`.t AS SELECT 3 AS n;
        CREATE TABLE `line\n\nUSE ``mysql``;\nend` AS SELECT 4 AS n";
    mariadb.sql("", sql).unwrap();
    let before = content(&mariadb);
    let site = site(&mariadb);
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    mariadb.sql("", "DROP DATABASE `--where=false`; DELETE FROM `--result-file=stolen`.t").unwrap();
    agent.restore("r", &backup).await;
    assert_same(&content(&mariadb), &before);
    assert_clean(&mariadb, &site);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_with_a_line_break_in_its_name_cannot_be_backed_up() {
    let mariadb = Mariadb::start().unwrap();
    mariadb.sql("", "CREATE DATABASE `a\nb`").unwrap();
    let site = site(&mariadb);
    let (_, message) = error(Agent::start(&site).await.backup_with("b", json!({})).await);
    assert!(message.contains("control characters"), "{message}");
    assert!(site.stored().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_or_view_that_is_created_during_a_backup_fails_it() {
    let mariadb = Mariadb::start().unwrap();
    let fill = "CREATE DATABASE shop; USE shop; CREATE TABLE t AS SELECT REPEAT(MD5(seq), 100) AS v FROM seq_1_to_10000";
    mariadb.sql("", fill).unwrap();
    let site = site(&mariadb);
    let agent = Agent::start(&site).await;
    let slow = json!({"rate_limit_bytes_per_second": 10_000_000});
    for (id, create) in [("b1", "TABLE late AS SELECT 1 AS n"), ("b2", "VIEW late_too AS SELECT 1 AS n")] {
        let path = format!("/v1/backups/{id}");
        assert_eq!(agent.put(&path, merged(Client::backup_body(), slow.clone())).await.status, 202);
        agent.running_until(&path, |status| status.bytes_read > 2_000_000).await;
        mariadb.sql("shop", &format!("CREATE {create}")).unwrap();
        let (code, message) = error(agent.ended(&path).await);
        assert_eq!(code, "data_service_error", "{message}");
        assert!(message.contains("shop.late") && message.contains("take the backup again"), "{message}");
    }
    assert!(site.stored().is_empty());
    agent.backup("again").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_renames_are_not_safe_is_not_restored() {
    let server = Mariadb::start_with(&["--version=10.5.29-MariaDB"]).unwrap();
    server.sql("", "CREATE DATABASE shop; CREATE TABLE shop.t AS SELECT 1 AS n").unwrap();
    let site = site(&server);
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    let (code, message) = error(agent.restore_with("r", &backup, json!({})).await);
    assert_eq!(code, "data_service_version", "{message}");
    assert!(message.contains("10.6"), "{message}");
    assert_clean(&server, &site);
}
