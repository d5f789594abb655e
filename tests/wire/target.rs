//! What the suite is pointed at.

use std::env::var;

use crate::client::Client;

/// An API with the instances the suite may use.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Speaks to `BACKUP_MANAGER_URL`.
    pub(crate) api: Client,
    /// The same API by HTTPS, if it is known where.
    pub(crate) https: Option<Client>,
    /// The GUID of an instance whose agent works.
    pub(crate) instance: String,
    /// Another one of the same data service.
    pub(crate) second: Option<String>,
    /// One that the service broker says is deleted, and that still has a backup.
    pub(crate) deleted: Option<String>,
    /// Whether a backup of the whole fleet may be asked for.
    pub(crate) may_back_up_all: bool,
}

impl Target {
    /// The target that the environment names; none when it names none.
    pub(crate) fn of_environment() -> Option<Self> {
        let url = given("URL")?;
        let needed = |name| given(name).unwrap_or_else(|| panic!("BACKUP_MANAGER_{name} is not set"));
        let ca =
            given("CA").map(|file| std::fs::read(&file).unwrap_or_else(|error| panic!("{file}: {error}")));
        let (user, password) = (needed("USER"), needed("PASSWORD"));
        let client = |url: &str| Client::new(url, &user, &password, ca.as_deref());
        let api = client(&url);
        let https = given("HTTPS_URL").or_else(|| url.starts_with("https:").then_some(url));
        Some(Self {
            https: https.map(|url| client(&url)),
            instance: needed("INSTANCE"),
            second: given("SECOND_INSTANCE"),
            deleted: given("DELETED_INSTANCE"),
            may_back_up_all: given("MAY_BACK_UP_ALL").is_some(),
            api,
        })
    }
}

fn given(name: &str) -> Option<String> {
    var(format!("BACKUP_MANAGER_{name}")).ok().filter(|value| !value.is_empty())
}
