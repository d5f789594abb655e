//! Fleets of instances, past the actions of the product, and a count of what an action says to the database.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backup_core::clients::TlsOptions;
use backup_core::clients::agent::{AgentClient, AgentCredential};
use backup_core::domain::cipher::KeyRing;
use backup_core::domain::stored_form::StoredForm;
use backup_core::queue::claim::{Claimer, claim};
use backup_core::queue::{ClaimedJob, NewJob, enqueue};
use backup_core::store::Database as CoreDatabase;
use backup_core::{Broker, BrokerSource, Manager, Policy, Settings};
use backup_testkit::Database;
use diesel::PgConnection;
use diesel::connection::{Connection, InstrumentationEvent};
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool};
use secrecy::SecretString;

/// Live instances `instance-1` and so on, each with a current key, of the broker that [`manager`] is configured with.
pub(crate) fn instances(database: &Database, count: usize) {
    database
        .execute(&format!(
            "INSERT INTO service_brokers (name) VALUES ('broker');
             INSERT INTO service_instances (guid, backup_guid, service_broker_id, state, data_service, store, agent_url)
             SELECT 'instance-' || i, 'folder-' || i, 1, 'available', 'files', 'local', 'http://agent-' || i
             FROM generate_series(1, {count}) AS i;
             INSERT INTO encryption_keys (service_instance_id, ciphertext, master_key_id, is_own)
             SELECT id, '\\x00', 'seed', false FROM service_instances;
             ANALYZE;"
        ))
        .unwrap();
}

/// How many statements were sent, those of the pool itself and of transactions left out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Statements(Arc<AtomicUsize>);

impl Statements {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl CustomizeConnection<PgConnection, diesel::r2d2::Error> for Statements {
    fn on_acquire(&self, conn: &mut PgConnection) -> Result<(), diesel::r2d2::Error> {
        let count = Arc::clone(&self.0);
        conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
            if let InstrumentationEvent::StartQuery { query, .. } = event {
                let is_counted = !query.to_string().starts_with("SELECT 1");
                count.fetch_add(usize::from(is_counted), Ordering::SeqCst);
            }
        });
        Ok(())
    }
}

/// A manager whose one broker is the inventory in this file.
pub(crate) fn manager(database: &Database, statements: &Statements, inventory: PathBuf) -> Manager {
    // Another test of the process may have done so.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let broker = Broker {
        name: "broker".into(),
        source: BrokerSource::StaticInventory(inventory),
        agent: AgentClient::new(&TlsOptions::default()).unwrap(),
        agent_credential: AgentCredential::Bearer(SecretString::from("token")),
        agent_url_template: Some("http://{guid}".into()),
        data_service: "files".into(),
        store: "local".into(),
        form: StoredForm::Default,
    };
    let key = ("one".to_owned(), SecretString::from("0123456789abcdef"));
    let settings = Settings {
        policy: Policy::default(),
        brokers: vec![broker],
        stores: HashMap::new(),
        key_ring: KeyRing::new(vec![key]).unwrap(),
    };
    let pool = Pool::builder()
        .max_size(3)
        .min_idle(Some(0))
        .connection_customizer(Box::new(statements.clone()))
        .build(ConnectionManager::new(database.url()))
        .unwrap();
    Manager::new(CoreDatabase::from_pool(pool), settings)
}

/// Enqueues a job and claims it, as a worker would.
pub(crate) fn claimed(database: &Database, job: &NewJob) -> ClaimedJob {
    let mut conn = database.connection().unwrap();
    enqueue(&mut conn, job).unwrap();
    let queues = [job.queue.clone()];
    let claimer = Claimer { worker: "test", queues: &queues, lease: Duration::from_secs(60) };
    claim(&mut conn, &claimer, 1).unwrap().pop().expect("a due job")
}

pub(crate) fn value(database: &Database, sql: &str) -> String {
    database.value(sql).unwrap().unwrap_or_default()
}
