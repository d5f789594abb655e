//! A backup is rehearsed beside the running data service, which notices nothing.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use local_installation::{AgentPlan, BrokerPlan};
use private_postgres::Server;
use reqwest::Method;
use tempfile::TempDir;

use crate::backupctl::backupctl;
use crate::house::House;

const FILL: &str =
    "CREATE ROLE reader; CREATE TABLE t AS SELECT n, md5(n::text) AS v FROM generate_series(1, 5000) n;
    CREATE INDEX t_v ON t (v); GRANT SELECT ON t TO reader;";

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_rehearsed_and_shows_when_it_was_verified() {
    let server = Server::start().unwrap();
    server.create_database("app").unwrap();
    server.psql("app", FILL).unwrap();
    let scratch = TempDir::new().unwrap();
    fs::set_permissions(scratch.path(), Permissions::from_mode(0o755)).unwrap();
    let agent = AgentPlan::postgresql("pg-agent", &server).rehearsals_in(scratch.path());
    let inventory = BrokerPlan::static_inventory("inventory", "postgresql").instance("pg-1", "pg-agent");
    let house = House::start(|plan| plan.agent(agent).broker(inventory), 1).await;
    let id = house.api.request_backup("pg-1").await.unwrap();
    let backup = house.api.ended_backup("pg-1", id).await.unwrap();
    assert_eq!((&backup["status"], backup["last_verified_at"].is_null()), (&"done".into(), true), "{backup}");
    server.psql("app", "DELETE FROM t WHERE n > 3").unwrap();

    let verified = backupctl(&house, &["backups", "verify", "pg-1", &id.to_string(), "--wait"]);
    let said = String::from_utf8_lossy(&verified.stdout);
    assert!(
        verified.status.success(),
        "{said}\n{}\n{}",
        String::from_utf8_lossy(&verified.stderr),
        house.logs()
    );
    assert!(said.contains("5000 rows of 1 tables in 3 databases were read"), "{said}");

    let path = format!("/instances/pg-1/backups/{id}");
    let (status, shown) = house.api.send(Method::GET, &path, None).await.unwrap();
    assert_eq!(status, 200);
    assert!(shown["last_verified_at"].is_string(), "{shown}");
    assert_eq!((&shown["status"], &shown["verification"]["verdict"]), (&"done".into(), &"passed".into()));
    assert!(shown["verification"]["restore_ms"].as_i64().unwrap() > 0, "{shown}");
    assert_eq!(server.psql("app", "SELECT count(*) FROM t").unwrap(), "3", "the running server is as it was");
    let left: Vec<_> =
        fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
}
