//! Rehearsals: what they find, what they leave alone, and that nothing of them stays.

mod mariadb;
mod redis;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use backup_protocol::{CheckOutcome, OperationState, OperationStatus};
use private_postgres::Server;
use serde_json::json;

use crate::drivers::postgresql;
use crate::harness::{Agent, Client, Process, Site};

/// Name and detail of every check; all of them passed, or were skipped for a program that is not installed.
fn checks(status: &OperationStatus) -> Vec<(String, String)> {
    assert_eq!(status.state, OperationState::Done, "{status:?}");
    let report = status.rehearsal.as_ref().unwrap();
    assert!(report.restore_ms <= report.duration_ms, "{report:?}");
    assert!(report.checks.iter().all(|check| check.outcome != CheckOutcome::Failed), "{report:?}");
    report.checks.iter().map(|check| (check.name.clone(), check.detail.clone())).collect()
}

fn error(status: &OperationStatus) -> (OperationState, &str, &str) {
    let error = status.error.as_ref().unwrap_or_else(|| panic!("{status:?}"));
    (status.state, error.code.as_str(), error.message.as_str())
}

/// What is in the directory of the rehearsals, but for its lock.
fn left(site: &Site) -> Vec<PathBuf> {
    let entries = fs::read_dir(site.path("scratch/rehearsals")).unwrap();
    entries.map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with("lock")).collect()
}

/// Process ids and command lines of what works in the directory of the rehearsals.
fn numbered_processes(site: &Site) -> Vec<(i32, String)> {
    let place = site.path("scratch/rehearsals");
    let works_there =
        |process: &Path| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(&place));
    let all = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let number = |process: &Path| process.file_name()?.to_str()?.parse().ok();
    all.filter(|process| works_there(process))
        .filter_map(|process| {
            let line = fs::read_to_string(process.join("cmdline")).unwrap_or_default();
            Some((number(&process)?, line))
        })
        .collect()
}

/// Their command lines alone.
fn processes(site: &Site) -> Vec<String> {
    numbered_processes(site).into_iter().map(|(_, line)| line).collect()
}

/// The contents of a file below the only rehearsal's directory, if it is there.
fn file_of_rehearsal(site: &Site, name: &str) -> Option<String> {
    fs::read_to_string(left(site).first()?.join(name)).ok()
}

/// Ends the scratch server as a lack of memory would.
fn kill_scratch_server(site: &Site, program: &str) {
    let found = numbered_processes(site);
    let (process, _) = found.iter().find(|(_, line)| line.contains(program)).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(*process), nix::sys::signal::Signal::SIGKILL).unwrap();
}

/// The names of the checks and the detail of each.
fn details(checks: &[(String, String)]) -> Vec<(&str, &str)> {
    checks.iter().map(|(name, detail)| (name.as_str(), detail.as_str())).collect()
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < patience, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn rows(server: &Server) -> String {
    server.psql("shop", "SELECT count(*), to_regclass('added_later') IS NOT NULL FROM item").unwrap()
}

/// A server whose database `shop` has 200,000 rows, and its backup; then the database changes.
async fn shop(agent: &Client, server: &Server) -> OperationStatus {
    server.psql("postgres", "CREATE ROLE owner LOGIN; CREATE DATABASE shop OWNER owner").unwrap();
    let tables = "CREATE TABLE item AS SELECT n AS id, repeat(md5(n::text), 4) AS name FROM generate_series(1, 200000) n;
        CREATE UNIQUE INDEX item_id ON item (id); CREATE INDEX item_name ON item (name);
        ALTER TABLE item OWNER TO owner; CREATE TABLE large AS SELECT repeat('x', 3000000) AS v;
        CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM item;
        CREATE MATERIALIZED VIEW never AS SELECT 1 WITH NO DATA; SELECT lo_from_bytea(0, 'large object');";
    server.psql("shop", tables).unwrap();
    let backup = agent.backup("b").await;
    server.psql("shop", "DELETE FROM item WHERE id > 7; CREATE TABLE added_later ()").unwrap();
    backup
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_backup_is_rehearsed_in_a_server_of_its_own() {
    let server = Server::start().unwrap();
    let site = postgresql::site(&server);
    let agent = Agent::start(&site).await;
    let capabilities = agent.get("/v1/info").await.body["capabilities"].clone();
    assert!(capabilities.as_array().unwrap().contains(&json!("rehearse")), "{capabilities}");
    let backup = shop(&agent.client, &server).await;
    let before = postgresql::databases(&server);

    let rehearsed = agent.rehearse("t", &backup).await;
    let checks = checks(&rehearsed);
    let of = |name: &str| {
        checks.iter().find(|(check, _)| check == name).unwrap_or_else(|| panic!("{checks:?}")).1.as_str()
    };
    assert_eq!(of("databases"), "3 with their owners and encodings");
    assert_eq!(of("roles"), "1 beside the agent's");
    assert_eq!(of("tables"), "200002 rows of 3 tables in 3 databases were read");
    assert_eq!(of("indexes"), "none is invalid");
    assert_eq!(of("pg_amcheck"), "no table and no index is damaged");
    assert_eq!(rehearsed.checksum, backup.checksum);

    assert_eq!((rows(&server).as_str(), postgresql::databases(&server)), ("7|t", before));
    assert_eq!((left(&site), processes(&site)), (Vec::<PathBuf>::new(), Vec::<String>::new()));
    let listed = agent.get("/v1/operations").await.body;
    assert_eq!(listed["operations"][1]["kind"], "rehearsal", "{listed}");
    let repeat = agent.put("/v1/rehearsals/t", Client::restore_body(&backup)).await;
    assert_eq!((repeat.status, repeat.operation().rehearsal), (200, rehearsed.rehearsal));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_is_in_nobodys_way_and_can_be_cancelled() {
    let server = Server::start().unwrap();
    let site = postgresql::site(&server);
    let agent = Agent::start(&site).await;
    let backup = shop(&agent.client, &server).await;
    let body = Client::restore_body(&backup);
    assert_eq!(agent.put("/v1/rehearsals/t1", body.clone()).await.status, 202);
    until("the scratch server starts", || !processes(&site).is_empty()).await;
    let second = agent.put("/v1/rehearsals/t2", body.clone()).await;
    assert_eq!(
        (second.refusal(), second.body["running_id"].as_str()),
        ((409, "OperationRunning"), Some("t1"))
    );
    assert_eq!(agent.put("/v1/restores/r", body.clone()).await.status, 202);
    assert_eq!(agent.get("/v1/rehearsals/t1").await.operation().state, OperationState::Running);
    assert_eq!(agent.put("/v1/rehearsals/t3", body).await.refusal().0, 409, "the restore goes first");

    let cancelled = agent.delete("/v1/rehearsals/t1").await;
    assert_eq!(
        (cancelled.status, agent.ended("/v1/rehearsals/t1").await.state),
        (200, OperationState::Cancelled)
    );
    assert_eq!((left(&site), processes(&site)), (Vec::<PathBuf>::new(), Vec::<String>::new()));
    assert_eq!(agent.ended("/v1/restores/r").await.state, OperationState::Done);
    assert_eq!(server.psql("shop", "SELECT count(*) FROM item").unwrap(), "200000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_leaves_neither_files_nor_processes_of_a_rehearsal() {
    let server = Server::start().unwrap();
    let site = postgresql::site(&server);
    let agent = Process::start(&site).await;
    let backup = shop(&agent, &server).await;
    assert_eq!(agent.put("/v1/rehearsals/t", Client::restore_body(&backup)).await.status, 202);
    // A backend that copies, so that the kill comes in the middle of loading.
    until("the scratch server loads", || processes(&site).iter().any(|line| line.contains("COPY"))).await;
    agent.kill();
    assert!(!left(&site).is_empty());

    let agent = Process::start(&site).await;
    let ended = agent.get("/v1/rehearsals/t").await.operation();
    assert_eq!((error(&ended).0, error(&ended).1), (OperationState::Failed, "interrupted"));
    assert_eq!(ended.rehearsal, None);
    assert_eq!((left(&site), processes(&site)), (Vec::<PathBuf>::new(), Vec::<String>::new()));
    assert_eq!(rows(&server), "7|t", "the running data service is as it was");
    checks(&agent.rehearse("again", &backup).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_programs_of_a_server_the_rehearsal_says_what_is_missing() {
    let server = Server::start().unwrap();
    let site = postgresql::site(&server);
    let clients = site.path("clients");
    fs::create_dir(&clients).unwrap();
    for program in ["pg_dump", "pg_dumpall", "pg_restore", "psql"] {
        std::os::unix::fs::symlink(server.bin_directory().join(program), clients.join(program)).unwrap();
    }
    let mut driver = site.config["driver"].clone();
    driver["postgresql"]["bin_directory"] = json!(clients);
    let site = site.set("driver", driver);
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    let failed = agent.rehearse("t", &backup).await;
    let (state, code, message) = error(&failed);
    assert_eq!((state, code), (OperationState::Failed, "program_missing"));
    assert!(message.contains("initdb, postgres") && message.contains("install"), "{message}");
    assert_eq!(left(&site), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_files_is_rehearsed_beside_the_directory() {
    let site = Site::files();
    site.write("a", "first");
    site.write("sub/b", vec![7_u8; 2_000_000]);
    fs::hard_link(site.data().join("a"), site.data().join("sub/a")).unwrap();
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    site.write("a", "since then");

    let checks = checks(&agent.rehearse("t", &backup).await);
    let expected = [
        ("entries", "5 were restored"),
        ("content", "2000005 bytes were read; they are those of the backup"),
    ];
    assert_eq!(checks, expected.map(|(name, detail)| (name.to_owned(), detail.to_owned())));
    assert_eq!(fs::read_to_string(site.data().join("a")).unwrap(), "since then");
    assert_eq!(left(&site), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_byte_in_the_store_fails_the_rehearsal() {
    let site = Site::files();
    site.write("a", vec![7_u8; 100_000]);
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    let part = site.part("b", 1);
    let mut bytes = fs::read(&part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&part, bytes).unwrap();
    let failed = agent.rehearse("t", &backup).await;
    assert_eq!((error(&failed).0, error(&failed).1), (OperationState::Failed, "checksum_mismatch"));
    assert_eq!((failed.rehearsal.clone(), left(&site)), (None, Vec::<PathBuf>::new()));
    let later = agent.backup("later").await;
    checks(&agent.rehearse("t2", &later).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_makes_no_sense_is_refused() {
    let site = Site::files();
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    for (field, value) in [("checksum", json!("x")), ("store", json!("absent")), ("backup_id", json!("../x"))]
    {
        let mut body = Client::restore_body(&backup);
        body[field] = value;
        assert_eq!(agent.put("/v1/rehearsals/t", body).await.refusal(), (400, "BadRequest"), "{field}");
    }
    assert_eq!(agent.get("/v1/rehearsals/t").await.status, 404, "refused requests leave no trace");
}
