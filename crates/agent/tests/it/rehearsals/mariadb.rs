//! Rehearsals of MariaDB.

use std::fs;
use std::path::PathBuf;

use backup_protocol::OperationState;
use private_services::Mariadb;
use serde_json::json;

use super::{checks, details, error, file_of_rehearsal, kill_scratch_server, left, processes, until};
use crate::drivers::mariadb::{SHOP, assert_clean, assert_same, content, settings, site};
use crate::harness::{Agent, Client, Process, Site};

fn assert_nothing_stays(mariadb: &Mariadb, site: &Site) {
    assert_eq!((left(site), processes(site)), (Vec::<PathBuf>::new(), Vec::<String>::new()));
    assert_clean(mariadb, site);
}

/// Many views, so that an exchange takes its time.
fn many_views(mariadb: &Mariadb) {
    let views = (0..300).map(|number| format!("CREATE VIEW v{number} AS SELECT {number} AS n;\n"));
    let sql =
        "CREATE DATABASE many; USE many; CREATE TABLE t AS SELECT seq AS n FROM seq_1_to_1000;\n".to_owned();
    mariadb.sql("", &(sql + &views.collect::<String>())).unwrap();
}

/// Whether the rehearsal is between its first change of what is in use and the last.
fn is_exchanging(site: &Site) -> bool {
    let record = file_of_rehearsal(site, "agent/mariadb-restore.json");
    record.is_some_and(|record| record.contains("exchanging"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mariadb_backup_is_rehearsed_in_a_server_of_its_own() {
    let mariadb = Mariadb::start_with(&["--event-scheduler=ON", "--innodb-page-size=32k"]).unwrap();
    mariadb.sql("", SHOP).unwrap();
    // Its rows fit into no page of the usual size.
    let columns: Vec<String> = (0..40).map(|number| format!("c{number} CHAR(255) NOT NULL")).collect();
    let wide = format!("CREATE TABLE wide ({}) CHARACTER SET latin1 ROW_FORMAT=DYNAMIC", columns.join(", "));
    mariadb.sql("shop", &wide).unwrap();
    let site = site(&mariadb);
    let agent = Agent::start(&site).await;
    let capabilities = agent.get("/v1/info").await.body["capabilities"].clone();
    assert!(capabilities.as_array().unwrap().contains(&json!("rehearse")), "{capabilities}");
    let backup = agent.backup("b").await;
    let users =
        "SELECT CONCAT(COUNT(*), ' users and roles') FROM mysql.global_priv WHERE User <> 'mariadb.sys'";
    let users = mariadb.sql("", users).unwrap();
    mariadb.sql("", "DROP TABLE shop.child; CREATE DATABASE added_later; DROP USER owner@'%'").unwrap();
    let (before, variables) = (content(&mariadb), settings(&mariadb));

    let expected = [
        ("databases", "3 with their collations"),
        ("tables", "8 of the backup are there"),
        ("programs", "7 of the backup are there"),
        ("users", users.as_str()),
        ("rows", "40008 rows of 7 tables were read"),
        ("check_table", "10 tables and views are OK"),
    ];
    let passed = checks(&agent.rehearse("t", &backup).await);
    assert_eq!(details(&passed), expected);
    assert_same(&content(&mariadb), &before);
    assert_eq!(settings(&mariadb), variables);
    assert_nothing_stays(&mariadb, &site);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_programs_of_a_mariadb_server_the_rehearsal_says_what_is_missing() {
    let mariadb = Mariadb::start().unwrap();
    let mut site = site(&mariadb);
    let clients = site.path("clients");
    fs::create_dir(&clients).unwrap();
    for program in ["mariadb", "mariadb-dump"] {
        std::os::unix::fs::symlink(format!("/usr/bin/{program}"), clients.join(program)).unwrap();
    }
    site.config["driver"]["mariadb"]["bin_directory"] = json!(clients);
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    let failed = agent.rehearse("t", &backup).await;
    let (state, code, message) = error(&failed);
    assert_eq!((state, code), (OperationState::Failed, "program_missing"));
    assert!(message.contains("mariadbd") && message.contains("package mariadb-server"), "{message}");
    assert_nothing_stays(&mariadb, &site);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scratch_mariadb_that_dies_or_is_not_wanted_any_more_ends_the_rehearsal() {
    let mut mariadb = Mariadb::start().unwrap();
    many_views(&mariadb);
    let site = site(&mariadb);
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    let body = Client::restore_body(&backup);

    assert_eq!(agent.put("/v1/rehearsals/t1", body.clone()).await.status, 202);
    until("the exchange begins", || is_exchanging(&site)).await;
    kill_scratch_server(&site, "mariadbd");
    let failed = agent.ended("/v1/rehearsals/t1").await;
    assert_eq!(error(&failed).1, "data_service_unreachable", "{failed:?}");
    assert_nothing_stays(&mariadb, &site);

    assert_eq!(agent.put("/v1/rehearsals/t2", body).await.status, 202);
    until("the exchange begins", || is_exchanging(&site)).await;
    assert_eq!(agent.delete("/v1/rehearsals/t2").await.status, 200);
    assert_eq!(agent.ended("/v1/rehearsals/t2").await.state, OperationState::Cancelled);
    assert_nothing_stays(&mariadb, &site);

    // Not even a running server is needed.
    mariadb.kill().unwrap();
    checks(&agent.rehearse("t3", &backup).await);
    assert_eq!((left(&site), processes(&site)), (Vec::<PathBuf>::new(), Vec::<String>::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scratch_mariadb_ends_with_the_agent() {
    let mariadb = Mariadb::start().unwrap();
    many_views(&mariadb);
    let site = site(&mariadb);
    let agent = Process::start(&site).await;
    let backup = agent.backup("b").await;
    assert_eq!(agent.put("/v1/rehearsals/t", Client::restore_body(&backup)).await.status, 202);
    until("the exchange begins", || is_exchanging(&site)).await;
    agent.kill();
    until("the server ends by itself", || processes(&site).is_empty()).await;
    assert!(!left(&site).is_empty());
    let agent = Process::start(&site).await;
    assert_eq!(error(&agent.get("/v1/rehearsals/t").await.operation()).1, "interrupted");
    assert_nothing_stays(&mariadb, &site);
}
