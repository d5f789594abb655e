//! Troubles that call for different remedies have different codes: versions, programs, rights, full disks.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use backup_protocol::{OperationState, OperationStatus};
use private_postgres::{Options, Server};
use serde_json::json;

use super::postgresql::{record, site};
use crate::harness::{Agent, Site, archive, forge};

/// Code and message of an operation that must have failed.
fn failure(status: OperationStatus) -> (String, String) {
    assert_eq!(status.state, OperationState::Failed, "{status:?}");
    let error = status.error.unwrap();
    (error.code, error.message)
}

/// The server's programs behind links, so that one can be taken away or replaced.
fn linked_programs(site: &mut Site, server: &Server) -> std::path::PathBuf {
    let directory = site.path("bin");
    fs::create_dir(&directory).unwrap();
    for program in ["pg_dump", "pg_dumpall", "pg_restore", "psql"] {
        symlink(server.bin_directory().join(program), directory.join(program)).unwrap();
    }
    site.config["driver"]["postgresql"]["bin_directory"] = json!(directory);
    directory
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_older_than_the_server_or_missing_are_told_apart() {
    let server = Server::start().unwrap();
    let mut site = site(&server);
    let programs = linked_programs(&mut site, &server);
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;

    let pg_dump = programs.join("pg_dump");
    fs::remove_file(&pg_dump).unwrap();
    fs::write(&pg_dump, "#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.24'\n").unwrap();
    fs::set_permissions(&pg_dump, fs::Permissions::from_mode(0o755)).unwrap();
    for failed in
        [agent.backup_with("b2", json!({})).await, agent.restore_with("r", &backup, json!({})).await]
    {
        let (code, message) = failure(failed);
        assert_eq!(code, "data_service_version");
        assert!(message.contains("newer than the programs of version 9"), "{message}");
    }

    fs::remove_file(&pg_dump).unwrap();
    let (code, message) = failure(agent.backup_with("b3", json!({})).await);
    assert_eq!(code, "program_missing", "{message}");
    assert!(message.contains("pg_dump"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_no_superuser_is_denied() {
    let server = Server::start().unwrap();
    server.psql("postgres", "CREATE ROLE ordinary LOGIN").unwrap();
    let mut site = site(&server);
    site.config["driver"]["postgresql"]["user"] = json!("ordinary");
    let (code, message) = failure(Agent::start(&site).await.backup_with("b", json!({})).await);
    assert_eq!(code, "data_service_access_denied", "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_newer_server_is_refused_before_anything_is_made() {
    let server = Server::start().unwrap();
    server.psql("postgres", "CREATE DATABASE shop").unwrap();
    let site = site(&server);
    let agent = Agent::start(&site).await;
    agent.backup("b").await;
    let mut archive = archive(&site, "b");
    let number = server.psql("postgres", "SHOW server_version_num").unwrap();
    let at = archive.windows(number.len()).position(|text| text == number.as_bytes()).unwrap();
    archive[at..at + number.len()].copy_from_slice(b"990001");
    let newer = forge(&site, "postgresql", 1, &archive);
    server.psql("shop", "CREATE TABLE since_then ()").unwrap();
    let (code, message) = failure(agent.restore_with("r", &newer, json!({})).await);
    assert_eq!(code, "data_service_version", "{message}");
    assert!(message.contains("newer than this one"), "{message}");
    assert_eq!(leftovers(&server), "");
    server.psql("shop", "SELECT * FROM since_then").unwrap();

    // The same archive of the server's own version is fine.
    archive[at..at + number.len()].copy_from_slice(number.as_bytes());
    agent.restore("r2", &forge_again(&site, &archive)).await;
    server.psql("shop", "SELECT * FROM since_then").unwrap_err();
}

fn forge_again(site: &Site, archive: &[u8]) -> OperationStatus {
    fs::remove_dir_all(site.part("forged", 1).parent().unwrap()).unwrap();
    forge(site, "postgresql", 1, archive)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lets_the_agent_or_the_roles_of_a_restore_not_in_denies_access() {
    let mut server = Server::start().unwrap();
    server.psql("postgres", "CREATE ROLE agent LOGIN SUPERUSER; CREATE ROLE app").unwrap();
    server.psql("postgres", "CREATE DATABASE shop; ALTER DATABASE shop OWNER TO app").unwrap();
    server.psql("shop", "CREATE TABLE t AS SELECT 1 AS n; ALTER TABLE t OWNER TO app").unwrap();
    let mut site = site(&server);
    site.config["driver"]["postgresql"]["user"] = json!("agent");
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    let rules = server.psql("postgres", "SHOW hba_file").unwrap();
    let mut set = |rule: &str| {
        fs::write(&rules, format!("host all postgres 127.0.0.1/32 trust\n{rule}\n")).unwrap();
        server.restart().unwrap();
    };
    for (rule, words) in [
        ("", "no pg_hba.conf entry"),
        ("host all agent 127.0.0.1/32 reject", "pg_hba.conf rejects connection"),
    ] {
        set(rule);
        for failed in [
            agent.backup_with(&format!("b{}", rule.len()), json!({})).await,
            agent.restore_with(&format!("r{}", rule.len()), &backup, json!({})).await,
        ] {
            let (code, message) = failure(failed);
            assert_eq!(code, "data_service_access_denied", "{message}");
            assert!(message.contains(words), "{message}");
        }
    }

    set("host all agent 127.0.0.1/32 trust");
    let (code, message) = failure(agent.restore_with("stand-ins", &backup, json!({})).await);
    assert_eq!(code, "data_service_access_denied", "{message}");
    assert!(message.contains("backup_agent_load_N") && message.contains("pg_hba.conf"), "{message}");
    set("host all agent,all 127.0.0.1/32 trust");
    assert_eq!(leftovers(&server), "");
    agent.restore("r", &backup).await;
}

/// A file system of so many MiB; none where it cannot be mounted.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    #[expect(clippy::print_stderr, reason = "a test that tests nothing must say so")]
    fn mount(at: &'a Path, size: u32) -> Option<Self> {
        let options = format!("size={size}m,mode=0777");
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(at));
        }
        eprintln!("SKIPPED: full disks are not tested, because nothing can be mounted here (needs root)");
        None
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(self.0).status();
        assert!(unmounted.unwrap().success());
    }
}

/// A server with the tablespace `small` on a file system of so many MiB.
fn cramped<'a>(place: &'a tempfile::TempDir, size: u32, options: Options) -> Option<(Small<'a>, Server)> {
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let small = Small::mount(place.path(), size)?;
    let server = Server::start_with(options).unwrap();
    let location = place.path().join("space");
    fs::create_dir(&location).unwrap();
    fs::set_permissions(&location, fs::Permissions::from_mode(0o777)).unwrap();
    let owner = Command::new("chown").arg("postgres").arg(&location).status().unwrap();
    assert!(owner.success());
    server.psql("postgres", &format!("CREATE TABLESPACE small LOCATION '{}'", location.display())).unwrap();
    Some((small, server))
}

/// Databases and roles of the agent's own.
fn leftovers(server: &Server) -> String {
    let sql = "SELECT coalesce(string_agg(name, ',' ORDER BY name), '') FROM (SELECT datname AS name FROM pg_database
        UNION ALL SELECT rolname FROM pg_roles) x WHERE name LIKE 'backup_agent%'";
    server.psql("postgres", sql).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_the_server_fails_a_restore_and_nothing_is_left_of_it() {
    let place = tempfile::tempdir().unwrap();
    let Some((_small, server)) = cramped(&place, 68, Options::default()) else { return };
    // The first is loaded when the second fills the disk.
    server.psql("postgres", "CREATE DATABASE first TABLESPACE small").unwrap();
    server.psql("postgres", "CREATE DATABASE shop TABLESPACE small").unwrap();
    server.psql("first", "CREATE TABLE t AS SELECT 1 AS n").unwrap();
    let fill = "CREATE TABLE t AS SELECT n, repeat('x', 100) FROM generate_series(1, 240000) n;
        CREATE ROLE app; ALTER TABLE t OWNER TO app; CREATE TABLE always (n int);
        CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';
        CREATE EVENT TRIGGER refuse ON sql_drop EXECUTE FUNCTION refuse();
        ALTER EVENT TRIGGER refuse ENABLE ALWAYS";
    server.psql("shop", fill).unwrap();
    let site = site(&server);
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    for restore in ["r1", "r2"] {
        let (code, message) = failure(agent.restore_with(restore, &backup, json!({})).await);
        assert_eq!(code, "disk_full", "{message}");
        assert!(
            message.contains("database shop") && message.contains("No space left on device"),
            "{message}"
        );
        assert_eq!(leftovers(&server), "");
        assert_eq!(server.psql("shop", "SELECT count(*) FROM t").unwrap(), "240000");
    }
    let log = fs::read_to_string(server.log_file()).unwrap();
    assert!(log.contains("checkpoint request failed"), "the disk was too full for DROP DATABASE");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_dropped_from_a_full_disk_is_dropped_once_there_is_room() {
    let place = tempfile::tempdir().unwrap();
    // Nobody writes pages before the checkpoint does.
    let options = Options::default().setting("bgwriter_lru_maxpages", "0");
    let Some((_small, server)) = cramped(&place, 16, options) else { return };
    server.psql("postgres", "CREATE DATABASE shop TABLESPACE small").unwrap();
    server.psql("postgres", "CREATE DATABASE backup_agent_new_0001 TABLESPACE small").unwrap();
    record(&server, json!({}), &["backup_agent_new_0001"]);
    // An interrupted DROP DATABASE; nobody can drop tables in it any more.
    let invalid = "UPDATE pg_database SET datconnlimit = -2 WHERE datname LIKE 'backup_agent_new%'";
    server.psql("postgres", invalid).unwrap();
    let filler = place.path().join("filler");
    fs::write(&filler, vec![7_u8; 16 * 1024 * 1024]).unwrap_err();
    let site = site(&server);
    let agent = Agent::start(&site).await;
    assert_eq!(leftovers(&server), "backup_agent_control,backup_agent_new_0001");
    fs::remove_file(filler).unwrap();
    agent.backup("b").await;
    assert_eq!(leftovers(&server), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_below_the_files_fails_a_restore_and_leaves_everything_as_it_was() {
    let place = tempfile::tempdir().unwrap();
    let Some(_small) = Small::mount(place.path(), 4) else { return };
    let data = place.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("file"), vec![7_u8; 3_000_000]).unwrap();
    let site = Site::with_driver(json!({"files": {"directory": data}}));
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    let (code, message) = failure(agent.restore_with("r", &backup, json!({})).await);
    assert_eq!(code, "disk_full", "{message}");
    assert!(message.contains("No space left on device"), "{message}");
    assert_eq!(fs::read(data.join("file")).unwrap().len(), 3_000_000);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "nothing is left beside the directory");
}
