//! The manager's database is lost, wholly and for good. With the bucket, the configuration file and its keys the catalogue
//! comes back, and what it lists can be restored: done here, with real agents beside real data services.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use backup_tests::Client;
use local_installation::{AgentPlan, BrokerPlan, Installation, Programs};
use private_postgres::Server;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::house::quick;

const GUIDS: [&str; 3] = ["pg-1", "files-1", "files-gone"];
const FILL: &str = "CREATE TABLE t AS SELECT n, 'row ' || n AS text FROM generate_series(1, 3000) n";
const FINGERPRINT: &str = "SELECT md5(string_agg(t::text, ',' ORDER BY n)) FROM t";

struct Site {
    /// Of the manager.
    server: Server,
    data_service: Server,
    directory: TempDir,
    installation: Installation,
    api: Client,
}

impl Site {
    async fn start() -> Self {
        let (server, data_service) = (Server::start().unwrap(), Server::start().unwrap());
        server.create_database("manager").unwrap();
        data_service.create_database("app").unwrap();
        data_service.psql("app", FILL).unwrap();
        let directory = TempDir::new().unwrap();
        fs::create_dir(directory.path().join("data")).unwrap();
        fs::write(directory.path().join("data/file"), "content of the first day").unwrap();
        let plan = quick(&server.url("manager"))
            .agent(AgentPlan::postgresql("pg-agent", &data_service))
            .agent(AgentPlan::files("files-agent", &directory.path().join("data")))
            .broker(BrokerPlan::static_inventory("pg", "postgresql").instance("pg-1", "pg-agent"))
            .broker(
                BrokerPlan::static_inventory("files", "files")
                    .instance("files-1", "files-agent")
                    .instance("files-gone", "files-agent"),
            );
        let mut installation = Installation::prepare(&plan).unwrap();
        installation.start().unwrap();
        let api =
            Client::new(&installation.http_url(), installation.user(), installation.password()).unwrap();
        let site = Self { server, data_service, directory, installation, api };
        site.synchronise();
        let all = |list: &Value| list.as_array().is_some_and(|list| list.len() == GUIDS.len());
        site.api.wait("/instances", all).await.unwrap();
        site
    }

    fn synchronise(&self) {
        let sql = "UPDATE schedules SET next_run_at = now() WHERE name = 'update_instance_state'";
        self.server.psql("manager", sql).unwrap();
    }

    fn file(&self) -> std::path::PathBuf {
        self.directory.path().join("data/file")
    }

    async fn back_up(&self, guid: &str) -> i64 {
        let id = self.api.request_backup(guid).await.unwrap();
        let ended = self.api.ended_backup(guid, id).await.unwrap();
        assert_eq!(ended["status"], "done", "{ended}\n{}", self.logs());
        id
    }

    async fn configure(&self, guid: &str, changes: Value) {
        let path = format!("/instances/{guid}");
        let (status, body) = self.api.send(Method::PUT, &path, Some(changes)).await.unwrap();
        assert_eq!(status, 200, "{body}");
    }

    /// The broker says that an instance is gone.
    fn delete_at_the_broker(&self, guid: &str) {
        let url = self.installation.agents()[1].url();
        let of = |name: &str| {
            let deleted_at = (name == guid).then_some("2026-01-01T00:00:00Z");
            json!({"guid": name, "backup_agent_url": url, "deployment_name": format!("d-{name}"), "deleted_at": deleted_at})
        };
        let inventory = json!({"instances": [of("files-1"), of("files-gone")]});
        fs::write(self.installation.inventory_file("files"), inventory.to_string()).unwrap();
    }

    /// What the API lists of each instance's backups, newest first, without what a new database gives anew.
    async fn list(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for guid in GUIDS {
            for backup in self.backups(guid).await {
                let field = |name: &str| backup[name].clone();
                // The two ends of the work were the watcher's times, and are the agent's now.
                all.push(json!([
                    guid,
                    field("backup_id"),
                    field("size"),
                    field("checksum"),
                    field("triggered_at"),
                    field("bytes_processed"),
                    field("downloadable")
                ]));
            }
        }
        all
    }

    async fn list_of_living(&self) -> Vec<Value> {
        [self.backups("pg-1").await, self.backups("files-1").await].concat()
    }

    async fn backups(&self, guid: &str) -> Vec<Value> {
        self.api.get(&format!("/instances/{guid}/backups")).await.unwrap().as_array().unwrap().clone()
    }

    fn backupctl(&self, arguments: &[&str]) -> Output {
        let program = Programs::beside_this_one().unwrap().find("backupctl").unwrap();
        let output = Command::new(program)
            .args(arguments)
            .env("BACKUPCTL_URL", self.installation.http_url())
            .env("BACKUPCTL_USER", self.installation.user())
            .env("BACKUPCTL_PASSWORD", self.installation.password())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}\n{}", self.logs());
        output
    }

    fn rebuild(&self) -> Value {
        let output = self.backupctl(&[
            "--output",
            "json",
            "catalogue",
            "rebuild",
            "--wait",
            "--wait-interval",
            "200ms",
        ]);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn download(&self, guid: &str, id: i64, to: &Path) -> Vec<u8> {
        let to = to.display().to_string();
        self.backupctl(&["backups", "download", guid, &id.to_string(), "--output-file", &to]);
        fs::read(to).unwrap()
    }

    /// Everything of the manager's that is not in a file.
    fn lose_the_database(&mut self) {
        let Installation { api, workers, .. } = &mut self.installation;
        for daemon in workers.iter_mut().chain([api]) {
            daemon.terminate(Duration::from_secs(20)).unwrap();
        }
        self.server.psql("postgres", "DROP DATABASE manager WITH (FORCE)").unwrap();
        self.server.create_database("manager").unwrap();
        self.installation.start_api().unwrap();
        self.installation.start_workers().unwrap();
        self.installation.wait_until_healthy().unwrap();
    }

    fn logs(&self) -> String {
        let tails = self.installation.daemons();
        tails.map(|daemon| format!("--- {}\n{}\n", daemon.name(), daemon.log_tail(15))).collect()
    }
}

fn id_of(backups: &[Value], nth: usize) -> i64 {
    backups[nth]["id"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_of_a_lost_manager_is_rebuilt_and_its_backups_are_restored() {
    let mut site = Site::start().await;
    let before = site.data_service.psql("app", FINGERPRINT).unwrap();
    site.back_up("pg-1").await;
    site.back_up("pg-1").await;
    site.back_up("files-1").await;
    site.configure("files-1", json!({"encryption_key": "an owner's own key"})).await;
    site.configure("pg-1", json!({"retention_time": 42})).await;
    fs::write(site.file(), "content of the second day").unwrap();
    let own = site.back_up("files-1").await;
    site.back_up("pg-1").await;
    site.back_up("files-gone").await;
    let listed = site.list().await;
    assert_eq!(listed.len(), 6);
    let downloaded = site.download("files-1", own, &site.directory.path().join("before.age"));
    site.delete_at_the_broker("files-gone");
    site.synchronise();
    site.api.wait("/instances/files-gone/backups", |list| list[0]["status"] == "deleted").await.unwrap();

    site.lose_the_database();
    // What happens anyway before somebody comes to rebuild: the instances get new keys and folders.
    let living = |list: &Value| list.as_array().is_some_and(|list| list.len() == 2);
    site.api.wait("/instances", living).await.unwrap();
    assert_eq!(site.list_of_living().await, Vec::<Value>::new());
    let rebuilt = site.rebuild();
    assert_eq!((&rebuilt["outcomes"], &rebuilt["known"]), (&json!({"adopted": 6}), &json!(0)), "{rebuilt}");
    assert_eq!(rebuilt["findings"].as_array().unwrap().len(), 6);
    assert_eq!(site.list().await, listed, "{rebuilt}");
    assert_eq!(site.api.get("/instances/pg-1/config").await.unwrap()["retention_time"], 42);

    // PostgreSQL, from its oldest backup.
    site.data_service.psql("app", "DELETE FROM t WHERE n % 2 = 0").unwrap();
    let backups = site.backups("pg-1").await;
    let restore = site.api.restore("pg-1", id_of(&backups, 2)).await.unwrap();
    assert_eq!(restore["status"], "done", "{restore}\n{}", site.logs());
    assert_eq!(site.data_service.psql("app", FINGERPRINT).unwrap(), before);

    // Files: under the generated key, then under the owner's, which may still be downloaded.
    let backups = site.backups("files-1").await;
    for (nth, content) in [(1, "content of the first day"), (0, "content of the second day")] {
        fs::write(site.file(), "damaged").unwrap();
        let restore = site.api.restore("files-1", id_of(&backups, nth)).await.unwrap();
        assert_eq!(restore["status"], "done", "{restore}\n{}", site.logs());
        assert_eq!(fs::read_to_string(site.file()).unwrap(), content);
    }
    let again = site.download("files-1", id_of(&backups, 0), &site.directory.path().join("after.age"));
    assert!(again == downloaded);

    // The deleted instance's, into another one.
    fs::write(site.file(), "damaged").unwrap();
    let gone = id_of(&site.backups("files-gone").await, 0);
    let path = format!("/instances/files-1/backups/{gone}/restore");
    let asked = site.api.post(&path, json!({"source_instance_id": "files-gone"})).await.unwrap();
    let path = format!("/instances/files-1/restores/{}", asked["id"]);
    let restore = site.api.wait(&path, backup_tests::has_ended).await.unwrap();
    assert_eq!(restore["status"], "done", "{restore}\n{}", site.logs());
    assert_eq!(fs::read_to_string(site.file()).unwrap(), "content of the second day");

    // Life goes on, in the same folder; and there is nothing left to adopt.
    let next = site.back_up("files-1").await;
    let newest = &site.backups("files-1").await[0];
    assert_eq!((newest["id"].as_i64(), &newest["downloadable"]), (Some(next), &json!(true)));
    let rebuilt = site.rebuild();
    assert_eq!((&rebuilt["outcomes"], &rebuilt["known"]), (&json!({}), &json!(7)), "{rebuilt}");
}
