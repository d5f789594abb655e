//! A manager with one fake broker, one fake agent and a store in a directory.

use std::collections::HashMap;
use std::time::Duration;

use backup_core::actions::{inspect, request_backup::request_backup};
use backup_core::clients::TlsOptions;
use backup_core::clients::agent::{AgentClient, AgentCredential};
use backup_core::clients::broker::{BrokerClient, BrokerEndpoint};
use backup_core::domain::actor::Actor;
use backup_core::domain::backup::Backup;
use backup_core::domain::cipher::KeyRing;
use backup_core::domain::identifiers::{BackupId, ServiceInstanceGuid};
use backup_core::domain::stored_form::StoredForm;
use backup_core::jobs::QUEUES;
use backup_core::queue::claim::{Claimer, claim};
use backup_core::queue::promote::promote;
use backup_core::queue::{Backoff, ClaimedJob, NewJob, Runner, RunnerConfig, enqueue};
use backup_core::store::Database as CoreDatabase;
use backup_core::{Broker, BrokerSource, Manager, Policy, Settings, jobs};
use backup_objects::{Store, StoreConfig};
use backup_testkit::{Database, FakeAgent, FakeBroker, Resource};
use diesel::PgConnection;
use tempfile::TempDir;

pub(crate) struct World {
    pub(crate) database: Database,
    pub(crate) agent: FakeAgent,
    pub(crate) brokers: Vec<FakeBroker>,
    pub(crate) store: TempDir,
    pub(crate) manager: Manager,
    pub(crate) runner: Runner,
}

impl World {
    /// One broker, no instances.
    pub(crate) fn new() -> Self {
        Self::with(1, Policy::default())
    }

    pub(crate) fn with(brokers: usize, policy: Policy) -> Self {
        Self::with_form(brokers, policy, StoredForm::Default)
    }

    /// Backups of all brokers' instances are stored in this form.
    pub(crate) fn with_form(brokers: usize, policy: Policy, form: StoredForm) -> Self {
        backup_daemon::tls::install_provider();
        let database = Database::create().unwrap();
        let store = TempDir::new().unwrap();
        let agent = FakeAgent::start(store.path()).unwrap();
        let brokers: Vec<_> = (0..brokers).map(|_| FakeBroker::start().unwrap()).collect();
        let settings = settings(policy, &brokers, &agent, &store, form);
        let manager = Manager::new(CoreDatabase::from_pool(database.pool().unwrap()), settings);
        let config = RunnerConfig {
            concurrency: 4,
            backoff: Backoff { first: Duration::from_secs(1), cap: Duration::from_secs(60), factor: 2 },
            ..RunnerConfig::new("test", QUEUES)
        };
        let runner =
            Runner::new(database.pool().unwrap(), database.url(), backup_worker::registry(&manager), config);
        Self { database, agent, brokers, store, manager, runner }
    }

    /// The settings of the manager, with other rules.
    pub(crate) fn settings(&self, policy: Policy) -> Settings {
        settings(policy, &self.brokers, &self.agent, &self.store, StoredForm::Default)
    }

    /// Lists an instance at the first broker and lets the manager learn it.
    pub(crate) async fn instance(&self, guid: &str) -> ServiceInstanceGuid {
        let id = i64::try_from(self.brokers[0].requests().len() + 1).unwrap();
        self.brokers[0].add(Resource::available(id, guid).agent(&self.agent.url()));
        self.synchronise().await;
        ServiceInstanceGuid::parse(guid).unwrap()
    }

    /// Runs a synchronisation of all brokers to its end.
    pub(crate) async fn synchronise(&self) {
        self.enqueue(jobs::update_instance_state(None));
        self.settle().await;
    }

    pub(crate) fn enqueue(&self, job: NewJob) {
        enqueue(&mut self.database.connection().unwrap(), &job).unwrap();
    }

    /// Claims the one job that is due, as another worker would.
    pub(crate) fn claim_due(&self, conn: &mut PgConnection) -> ClaimedJob {
        promote(conn, 100).unwrap();
        let claimer =
            Claimer { worker: "another", queues: &QUEUES.map(str::to_owned), lease: Duration::from_secs(60) };
        claim(conn, &claimer, 1).unwrap().pop().expect("a due job")
    }

    /// Runs what is due until nothing is.
    pub(crate) async fn settle(&self) {
        for _ in 0..50 {
            if self.runner.step().await.unwrap() == 0 {
                return;
            }
        }
        panic!("the queues do not come to rest");
    }

    /// Lets `seconds` pass, one second at a time, running what falls due.
    pub(crate) async fn pass(&self, seconds: u32) {
        for _ in 0..seconds {
            self.database.advance(Duration::from_secs(1)).unwrap();
            self.settle().await;
        }
    }

    /// Lets a long time pass at once.
    pub(crate) async fn leap(&self, time: Duration) {
        self.database.advance(time).unwrap();
        self.settle().await;
    }

    pub(crate) async fn request(&self, guid: &ServiceInstanceGuid) -> BackupId {
        request_backup(&self.manager, &Actor::worker(), guid, None).await.unwrap().id
    }

    pub(crate) async fn backup(&self, guid: &ServiceInstanceGuid, id: BackupId) -> Backup {
        inspect::backup(&self.manager, guid, id).await.unwrap()
    }

    /// A backup from request to `done`.
    pub(crate) async fn done_backup(&self, guid: &ServiceInstanceGuid) -> Backup {
        let id = self.request(guid).await;
        self.settle().await;
        self.pass(12).await;
        let backup = self.backup(guid, id).await;
        assert_eq!(backup.status.as_str(), "done", "{:?}", backup.msg);
        backup
    }

    pub(crate) fn folder(&self, backup: &Backup) -> std::path::PathBuf {
        self.store.path().join(&backup.object_prefix).join(&backup.backup_id)
    }

    pub(crate) fn value(&self, sql: &str) -> String {
        self.database.value(sql).unwrap().unwrap_or_default()
    }
}

fn settings(
    policy: Policy,
    brokers: &[FakeBroker],
    agent: &FakeAgent,
    store: &TempDir,
    form: StoredForm,
) -> Settings {
    let opened = Store::open("local", &StoreConfig::Local { directory: store.path().to_owned() }).unwrap();
    let brokers = brokers.iter().enumerate();
    Settings {
        policy,
        brokers: brokers.map(|(number, broker)| configured(number, broker, agent, form)).collect(),
        stores: HashMap::from([("local".to_owned(), opened)]),
        key_ring: KeyRing::new(vec![("k1".into(), "an operator's key of good length".to_owned().into())])
            .unwrap(),
    }
}

fn configured(number: usize, broker: &FakeBroker, agent: &FakeAgent, form: StoredForm) -> Broker {
    let (user, password) = broker.credential();
    let endpoint = BrokerEndpoint { url: broker.url().parse().unwrap(), user, password: password.into() };
    let (user, password) = agent.credential();
    Broker {
        name: format!("broker-{number}"),
        source: BrokerSource::Http(BrokerClient::new(endpoint, &TlsOptions::default()).unwrap()),
        agent: AgentClient::new(&TlsOptions::default()).unwrap(),
        agent_credential: AgentCredential::Basic { user, password: password.into() },
        agent_url_template: None,
        data_service: "postgresql".into(),
        store: "local".into(),
        form,
    }
}
