//! The main job on real data services: back up, damage, restore, compare.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use local_installation::{AgentPlan, BrokerPlan};
use private_postgres::Server;
use reqwest::Method;
use serde_json::json;
use tempfile::TempDir;

use crate::house::House;

const FILL: &str = "
    CREATE ROLE reader LOGIN; CREATE TABLE t (id serial PRIMARY KEY, text text);
    INSERT INTO t (text) SELECT 'Zeile ' || n || ' – äöü 雪' FROM generate_series(1, 5000) n;
    CREATE VIEW v AS SELECT count(*) AS n FROM t; GRANT SELECT ON t TO reader; SELECT lo_from_bytea(4711, 'large');";
const FINGERPRINT: &str = "
    SELECT md5(string_agg(t::text, ',' ORDER BY id)) || (SELECT n FROM v) || convert_from(lo_get(4711), 'utf8')
           || has_table_privilege('reader', 't', 'SELECT') || (SELECT last_value FROM t_id_seq) FROM t";

#[tokio::test(flavor = "multi_thread")]
async fn a_running_postgresql_is_backed_up_and_restored() {
    let server = Server::start().unwrap();
    server.create_database("app").unwrap();
    server.psql("app", FILL).unwrap();
    let before = server.psql("app", FINGERPRINT).unwrap();
    let house = House::start(
        |plan| {
            plan.agent(AgentPlan::postgresql("pg-agent", &server))
                .broker(BrokerPlan::static_inventory("inventory", "postgresql").instance("pg-1", "pg-agent"))
        },
        1,
    )
    .await;
    let id = house.api.request_backup("pg-1").await.unwrap();
    let backup = house.api.ended_backup("pg-1", id).await.unwrap();
    assert_eq!(backup["status"], "done", "{backup}\n{}", house.logs());
    assert!(backup["size"].as_i64().unwrap() > 0 && backup["checksum"].as_str().unwrap().len() == 64);

    server.psql("app", "DROP VIEW v; DELETE FROM t WHERE id % 2 = 0; SELECT lo_unlink(4711)").unwrap();
    server.create_database("intruder").unwrap();
    let restore = house.api.restore("pg-1", id).await.unwrap();
    assert_eq!(restore["status"], "done", "{restore}\n{}", house.logs());
    assert_eq!(server.psql("app", FINGERPRINT).unwrap(), before);
    let databases = server.psql(
        "postgres",
        "SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database WHERE NOT datistemplate",
    );
    assert_eq!(databases.unwrap().trim(), "app,postgres");

    // No secret of the instance is in any log or answer.
    let key_is_logged =
        house.installation.daemons().any(|daemon| daemon.log().contains(house.installation.agent_password()));
    assert!(!key_is_logged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_backed_up_restored_and_downloaded_with_the_owners_key() {
    let data = TempDir::new().unwrap();
    let directory = data.path().join("data");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("größe.txt"), "content").unwrap();
    fs::set_permissions(directory.join("größe.txt"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("größe.txt", directory.join("link")).unwrap();
    let house = House::start(
        |plan| {
            plan.agent(AgentPlan::files("files-agent", &directory))
                .broker(BrokerPlan::static_inventory("inventory", "files").instance("files-1", "files-agent"))
        },
        1,
    )
    .await;
    let (status, _) = house
        .api
        .send(Method::PUT, "/instances/files-1", Some(json!({"encryption_key": "an owner's own key"})))
        .await
        .unwrap();
    assert_eq!(status, 200);
    let id = house.api.request_backup("files-1").await.unwrap();
    let backup = house.api.ended_backup("files-1", id).await.unwrap();
    assert_eq!(backup["status"], "done", "{backup}\n{}", house.logs());
    assert_eq!(backup["downloadable"], true);

    fs::remove_file(directory.join("link")).unwrap();
    fs::write(directory.join("größe.txt"), "damaged").unwrap();
    fs::write(directory.join("new"), "new").unwrap();
    let restore = house.api.restore("files-1", id).await.unwrap();
    assert_eq!(restore["status"], "done", "{restore}\n{}", house.logs());
    assert_eq!(fs::read_to_string(directory.join("link")).unwrap(), "content");
    assert_eq!(fs::metadata(directory.join("größe.txt")).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(!directory.join("new").exists());
}
