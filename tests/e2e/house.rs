//! An installation in a test, with quick time-outs.

use std::time::Duration;

use backup_testkit::{Database, FakeAgent};
use backup_tests::Client;
use local_installation::{BrokerPlan, Installation, Plan};
use tempfile::TempDir;

pub(crate) struct House {
    pub(crate) api: Client,
    pub(crate) installation: Installation,
    pub(crate) database: Database,
}

impl House {
    /// Starts everything on a database without tables and waits until it is healthy and knows `instances` instances.
    pub(crate) async fn start(plan: impl FnOnce(Plan) -> Plan, instances: usize) -> Self {
        let database = Database::empty().unwrap();
        let mut installation = Installation::prepare(&plan(quick(&database.url()))).unwrap();
        installation.start().unwrap();
        let api =
            Client::new(&installation.http_url(), installation.user(), installation.password()).unwrap();
        let house = Self { api, installation, database };
        house.synchronise().await;
        let known = |list: &serde_json::Value| list.as_array().is_some_and(|list| list.len() >= instances);
        house.api.wait("/instances", known).await.unwrap();
        house
    }

    /// Brings the next scheduled synchronisation of the brokers forward to now.
    pub(crate) async fn synchronise(&self) {
        self.fire("update_instance_state").await;
    }

    /// Brings a schedule forward to now and waits until it has fired and its jobs are over.
    pub(crate) async fn fire(&self, schedule: &str) {
        self.database
            .execute(&format!(
                "UPDATE schedules SET next_run_at = now() - interval '1 second' WHERE name = '{schedule}'"
            ))
            .unwrap();
        let pending =
            format!("SELECT count(*) FROM schedules WHERE name = '{schedule}' AND next_run_at < now()");
        self.until(&pending, "0").await;
        let busy = "SELECT count(*) FROM jobs WHERE state <> 'scheduled'
                    AND queue IN ('update_instance_state_job', 'initialize_backup_deletion_job', 'backup_deleter_job', 'backup_all_job')";
        self.until(busy, "0").await;
    }

    /// Waits until a query gives this value.
    pub(crate) async fn until(&self, query: &str, wanted: &str) {
        let since = std::time::Instant::now();
        loop {
            let found = self.database.value(query).unwrap().unwrap_or_default();
            if found == wanted {
                return;
            }
            assert!(
                since.elapsed() < backup_tests::PATIENCE,
                "{query}: {found}, not {wanted}\n{}",
                self.logs()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) fn value(&self, query: &str) -> String {
        self.database.value(query).unwrap().unwrap_or_default()
    }

    /// The end of every log, for the message of a failed test.
    pub(crate) fn logs(&self) -> String {
        self.installation
            .daemons()
            .map(|daemon| format!("--- {}\n{}\n", daemon.name(), daemon.log_tail(15)))
            .collect()
    }
}

/// A plan whose waits are short.
pub(crate) fn quick(database_url: &str) -> Plan {
    Plan::new(database_url)
        // A moved clock shall make none of these due; tests fire them.
        .setting("full_backup_repeat", "0 0 29 2 *")
        .setting("delete_backup_repeat", "0 0 29 2 *")
        .setting("reconcile_repeat", "0 0 29 2 *")
        .setting("jobs.watcher.interval", "300ms")
        .setting("jobs.poll_interval", "300ms")
        .setting("jobs.lease", "3s")
        .setting("jobs.shutdown_timeout", "5s")
        .setting("database.connect_timeout", "20s")
}

/// A fake agent with a store directory that manager and agent share.
pub(crate) struct Pretender {
    pub(crate) agent: FakeAgent,
    store: TempDir,
}

impl Pretender {
    pub(crate) fn new() -> Self {
        let store = TempDir::new().unwrap();
        Self { agent: FakeAgent::start(store.path()).unwrap(), store }
    }

    /// An installation with this agent's instances, all in one static inventory.
    pub(crate) fn plan(&self, plan: Plan, instances: &[&str]) -> Plan {
        let mut broker = self.broker("inventory");
        for guid in instances {
            broker = broker.instance_at(guid, &self.agent.url());
        }
        self.store(plan).broker(broker)
    }

    /// An empty static inventory whose instances have this agent's credential.
    pub(crate) fn broker(&self, name: &str) -> BrokerPlan {
        let (user, password) = self.agent.credential();
        BrokerPlan::static_inventory(name, "postgresql").agent_credential(&user, &password)
    }

    /// The store's directory.
    pub(crate) fn directory(&self) -> &std::path::Path {
        self.store.path()
    }

    /// The manager uses this agent's store.
    pub(crate) fn store(&self, plan: Plan) -> Plan {
        plan.setting("stores.local.directory", self.store.path().display().to_string())
    }
}
