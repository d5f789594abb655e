//! A server with its database, its store and a client.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use backup_api::Running;
use backup_config::{AuthSettings, ListenSettings, Role, UserSettings};
use backup_core::domain::cipher::KeyRing;
use backup_core::objects::{Store, StoreConfig};
use backup_core::{Manager, Policy, Settings};
use backup_daemon::duration::HumaneDuration;
use backup_testkit::{Database, SeededBackup, SeededInstance};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use secrecy::SecretString;
use serde_json::Value;
use tempfile::TempDir;

use crate::openapi::assert_documented;

pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) struct App {
    pub(crate) database: Database,
    pub(crate) store: TempDir,
    pub(crate) client: Client,
    pub(crate) running: Running,
}

/// Plain HTTP on a free port.
pub(crate) fn http() -> ListenSettings {
    ListenSettings {
        http: Some(([127, 0, 0, 1], 0).into()),
        https: None,
        drain: HumaneDuration::from_secs(0),
        ..ListenSettings::default()
    }
}

/// An operator, an auditor, and owners: of an instance, of another one, by space, by organization.
pub(crate) fn auth() -> AuthSettings {
    let hash = backup_api::hash_password(&PASSWORD.into()).unwrap();
    let user = |name: &str, role| UserSettings {
        name: name.into(),
        password_hash: hash.clone().into(),
        role,
        instances: Vec::new(),
        organizations: Vec::new(),
        spaces: Vec::new(),
    };
    let list = |text: &str| vec![text.to_owned()];
    let users = vec![
        user("admin", Role::Operator),
        user("eve", Role::Auditor),
        UserSettings { instances: list("g-own"), ..user("ann", Role::Owner) },
        UserSettings { instances: list("g-foreign"), ..user("bob", Role::Owner) },
        UserSettings { spaces: list("space-own"), ..user("sam", Role::Owner) },
        UserSettings { organizations: list("organization-own"), ..user("olga", Role::Owner) },
    ];
    AuthSettings { users, oidc: None }
}

pub(crate) fn manager(database: &Database, store: &Path, policy: Policy) -> Manager {
    manager_at(&database.url(), 5, store, policy)
}

/// Reaches its database at this URL, with so many connections.
pub(crate) fn manager_at(url: &str, connections: u32, store: &Path, policy: Policy) -> Manager {
    let config = StoreConfig::Local { directory: store.to_owned() };
    let key = ("one".to_owned(), SecretString::from("0123456789abcdef"));
    let settings = Settings {
        policy,
        brokers: Vec::new(),
        stores: HashMap::from([("local".to_owned(), Store::open("local", &config).unwrap())]),
        key_ring: KeyRing::new(vec![key]).unwrap(),
    };
    let database = backup_core::store::Database::new(url, connections, Duration::from_secs(2));
    Manager::new(database, settings)
}

impl App {
    pub(crate) async fn start() -> Self {
        Self::with(Policy::default(), http()).await
    }

    pub(crate) async fn with(policy: Policy, listen: ListenSettings) -> Self {
        Self::with_auth(policy, listen, auth()).await
    }

    pub(crate) async fn with_auth(policy: Policy, listen: ListenSettings, auth: AuthSettings) -> Self {
        let database = Database::create().unwrap();
        let store = tempfile::tempdir().unwrap();
        let manager = manager(&database, store.path(), policy);
        Self::over_with(database, store, manager, &auth, listen).await
    }

    /// With a manager of one's own.
    pub(crate) async fn over(
        database: Database,
        store: TempDir,
        manager: Manager,
        listen: ListenSettings,
    ) -> Self {
        Self::over_with(database, store, manager, &auth(), listen).await
    }

    async fn over_with(
        database: Database,
        store: TempDir,
        manager: Manager,
        auth: &AuthSettings,
        listen: ListenSettings,
    ) -> Self {
        let running = backup_api::start(manager, auth, &listen).await.unwrap();
        Self { database, store, client: Client::new(), running }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.http.unwrap())
    }

    /// A request without credentials.
    pub(crate) fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// A request of the operator's.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).basic_auth("admin", Some(PASSWORD))
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Response {
        self.request(Method::POST, path).json(&body).send().await.unwrap()
    }

    pub(crate) async fn post_form(&self, path: &str, body: &str) -> Response {
        let request = self.request(Method::POST, path).body(body.to_owned());
        request.header("Content-Type", "application/x-www-form-urlencoded").send().await.unwrap()
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Response {
        self.request(Method::PUT, path).json(&body).send().await.unwrap()
    }

    pub(crate) fn instance(&self, guid: &str) -> SeededInstance {
        self.database.seed_instance("broker", guid).unwrap()
    }

    /// Writes the objects of a done backup so that its row tells the truth.
    pub(crate) fn store_parts(
        &self,
        instance: &SeededInstance,
        backup: &SeededBackup,
        parts: &[&[u8]],
    ) -> PathBuf {
        let folder = self.store.path().join("backups").join(&instance.backup_guid).join(&backup.backup_id);
        std::fs::create_dir_all(&folder).unwrap();
        for (index, part) in parts.iter().enumerate() {
            std::fs::write(folder.join(format!("data.{:05}", index + 1)), part).unwrap();
        }
        std::fs::write(folder.join("metadata.json"), "{}").unwrap();
        std::fs::write(folder.join("owner"), "an agent").unwrap();
        folder
    }

    /// Makes the instance's key the owner's own, which makes its backups downloadable.
    pub(crate) fn own_key(&self, instance: &SeededInstance) {
        let sql =
            format!("UPDATE encryption_keys SET is_own = true WHERE service_instance_id = {}", instance.id);
        self.database.execute(&sql).unwrap();
    }
}

/// Asserts the status, and that the OpenAPI document knows such an answer.
pub(crate) async fn json(answer: Response, status: u16) -> Value {
    let (found, path) = (answer.status(), answer.url().path().to_owned());
    let text = answer.text().await.unwrap();
    assert_eq!(found.as_u16(), status, "{text}");
    let body = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_documented(&path, status, &body);
    body
}

/// Asserts the one shape of errors, and returns the description.
pub(crate) async fn error(answer: Response, status: u16, word: &str) -> String {
    assert_eq!(answer.headers()["content-type"], "application/json", "{answer:?}");
    assert!(answer.headers().contains_key("x-request-id"), "{answer:?}");
    let body = json(answer, status).await;
    let fields: Vec<_> = body.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["description", "error"]);
    assert_eq!(body["error"], word, "{body}");
    body["description"].as_str().unwrap().to_owned()
}

/// Asserts that an object has exactly these fields.
pub(crate) fn assert_fields(object: &Value, expected: &[&str]) {
    let mut found: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = expected.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

/// Asserts the form `2023-04-11T08:52:48.209Z`.
pub(crate) fn assert_time(value: &Value) {
    let text = value.as_str().unwrap();
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{text}");
}

pub(crate) fn status(answer: &Response) -> StatusCode {
    answer.status()
}
