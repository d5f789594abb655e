//! An installation of the suite's own, for when no URL is given: real processes, fake agents, an instance that is deleted.
//! The only file here that knows our crates.

use std::path::Path;

use backup_testkit::{Database, FakeAgent, Plan};
use local_installation::{BrokerPlan, Installation, Plan as Files};
use tempfile::TempDir;

use crate::client::Client;
use crate::target::Target;

/// Keeps everything running.
pub(crate) struct Own {
    installation: Installation,
    database: Database,
    _agents: Vec<FakeAgent>,
    _store: TempDir,
}

const INSTANCES: [&str; 3] = ["wire-one", "wire-two", "wire-gone"];

/// Starts it, backs up the instance that is to be deleted, and deletes it.
pub(crate) async fn start() -> (Target, Own) {
    let database = Database::empty().unwrap();
    let store = TempDir::new().unwrap();
    let agents: Vec<FakeAgent> = INSTANCES.iter().map(|_| agent(store.path())).collect();
    let mut broker =
        BrokerPlan::static_inventory("inventory", "postgresql").agent_credential("agent", "secret");
    for (guid, agent) in INSTANCES.iter().zip(&agents) {
        broker = broker.instance_at(guid, &agent.url());
    }
    let files = Files::new(database.url())
        .broker(broker)
        .setting("stores.local.directory", store.path().display().to_string())
        .setting("full_backup_repeat", "0 0 29 2 *")
        .setting("delete_backup_repeat", "0 0 29 2 *")
        .setting("jobs.watcher.interval", "300ms")
        .setting("jobs.poll_interval", "300ms");
    let mut installation = Installation::prepare(&files).unwrap();
    installation.start().unwrap();
    let authority = std::fs::read(&installation.certificates().authority).unwrap();
    let client = |url: &str| Client::new(url, installation.user(), installation.password(), Some(&authority));
    let target = Target {
        api: client(&installation.http_url()),
        https: Some(client(&installation.https_url())),
        instance: INSTANCES[0].to_owned(),
        second: Some(INSTANCES[1].to_owned()),
        deleted: Some(INSTANCES[2].to_owned()),
        may_back_up_all: true,
    };
    let own = Own { installation, database, _agents: agents, _store: store };
    own.delete(&target.api).await;
    (target, own)
}

/// Its operations last long enough to be met while they run.
fn agent(store: &Path) -> FakeAgent {
    let agent = FakeAgent::start(store).unwrap();
    agent.plan(Plan::done().after(2));
    agent
}

impl Own {
    async fn delete(&self, api: &Client) {
        self.synchronise();
        let gone = INSTANCES[2];
        api.until("the instances are known", async || {
            api.get("/instances").await.json(200).as_array().unwrap().len() == INSTANCES.len()
        })
        .await;
        let id = api.post(&format!("/instances/{gone}/backups")).send().await.json(201)["id"].clone();
        api.ended(&format!("/instances/{gone}/backups/{id}")).await;
        let file = self.installation.inventory_file("inventory");
        let inventory = std::fs::read_to_string(&file).unwrap();
        let entry = inventory.lines().find(|line| line.contains("deployment_name") && line.contains(gone));
        let entry = entry.expect("the instance stands in the inventory");
        let now =
            self.database.value("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')");
        let deleted_at = format!("{}deleted_at: \"{}\"", indent_of(entry), now.unwrap().unwrap());
        std::fs::write(&file, inventory.replace(entry, &format!("{entry}\n{deleted_at}"))).unwrap();
        self.synchronise();
        api.until("the instance is deleted", async || {
            let backups = api.get(&format!("/instances/{gone}/backups")).await.json(200);
            backups[0]["status"] == "deleted"
        })
        .await;
    }

    /// Brings the next synchronisation with the broker forward to now.
    fn synchronise(&self) {
        let sql = "UPDATE schedules SET next_run_at = now() - interval '1 second' WHERE name = 'update_instance_state'";
        self.database.execute(sql).unwrap();
    }
}

/// The keys of a list's entry are aligned; its first one follows a dash.
fn indent_of(line: &str) -> String {
    " ".repeat(line.find(|c: char| c.is_ascii_alphabetic()).unwrap())
}
