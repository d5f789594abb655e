//! The server the databases of this process are on.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use anyhow::Context;
use private_postgres::Server;
use url::Url;

/// Names a running server and its superuser; set by `cargo xtask test` for the whole run.
const VARIABLE: &str = "BACKUP_TEST_POSTGRES_URL";

static CURRENT: Mutex<Weak<SharedServer>> = Mutex::new(Weak::new());

/// One server for all databases that exist at the same time.
#[derive(Debug)]
pub(crate) enum SharedServer {
    /// Started by us, stopped with the last database.
    Private(Box<Server>),
    /// Named by the environment.
    Given(Url),
}

impl SharedServer {
    pub(crate) fn get() -> anyhow::Result<Arc<Self>> {
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = current.upgrade() {
            return Ok(running);
        }
        let server = Arc::new(match std::env::var(VARIABLE) {
            Ok(url) if !url.is_empty() => {
                Self::Given(Url::parse(&url).with_context(|| format!("{VARIABLE} is not a URL"))?)
            }
            _ => Self::Private(Box::new(Server::start()?)),
        });
        *current = Arc::downgrade(&server);
        Ok(server)
    }

    pub(crate) fn url(&self, database: &str) -> String {
        match self {
            Self::Private(server) => server.url(database),
            Self::Given(url) => {
                let mut url = url.clone();
                url.set_path(database);
                url.into()
            }
        }
    }
}
