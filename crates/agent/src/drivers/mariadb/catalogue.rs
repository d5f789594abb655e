//! Questions to the server that are answered by its catalogues.

use serde::{Deserialize, Serialize};

use super::client::Client;
use super::names::RESERVED;
use crate::drivers::{DriverError, Trouble};
use crate::session::Session;

/// A view whose tables, columns or functions are gone.
pub(super) const BROKEN_VIEW: &str = "BROKEN VIEW";

/// A foreign key that refers to another database.
pub(super) const KEY_ELSEWHERE: &str = "FOREIGN KEY ELSEWHERE";

/// One JSON object per line, see [`Line`].
const CATALOGUE: &str = include_str!("catalogue.sql");

/// The databases of a server, without MariaDB's own and the agent's.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Catalogue {
    pub(super) version: String,
    pub(super) databases: Vec<Schema>,
    pub(super) objects: Vec<Object>,
    /// Databases with reserved names.
    #[serde(skip)]
    pub(super) reserved: Vec<String>,
    #[serde(skip)]
    settings: Vec<(String, String)>,
}

/// A database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Schema {
    pub(super) name: String,
    pub(super) charset: String,
    pub(super) collation: String,
}

/// Something in a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Object {
    pub(super) database: String,
    pub(super) name: String,
    /// `BASE TABLE`, `VIEW`, `TRIGGER`, `FUNCTION` and so on.
    pub(super) kind: String,
    /// Of a table.
    #[serde(default)]
    pub(super) engine: Option<String>,
}

impl Object {
    /// Whether it is a view, which may name what is no longer there. Nobody can read or make such a one.
    pub(super) fn is_view(&self) -> bool {
        matches!(self.kind.as_str(), "VIEW" | BROKEN_VIEW)
    }

    /// Whether it is in a backup.
    pub(super) fn is_restored(&self) -> bool {
        !matches!(self.kind.as_str(), BROKEN_VIEW | KEY_ELSEWHERE)
    }

    /// Whether `RENAME TABLE` moves it.
    pub(super) fn is_table(&self) -> bool {
        matches!(self.kind.as_str(), "BASE TABLE" | "SYSTEM VERSIONED" | "SEQUENCE")
    }
}

#[derive(Deserialize)]
#[serde(tag = "line", rename_all = "lowercase")]
enum Line {
    Server { version: String },
    Setting { name: String, value: String },
    Database(Schema),
    Object(Object),
}

impl Catalogue {
    pub(super) fn read(client: &Client, session: &Session) -> Result<Self, DriverError> {
        let answer = client.sql(session, CATALOGUE.to_owned())?;
        let mut catalogue = Self::default();
        for line in answer.lines() {
            let unclear = |e| DriverError::data_service(format!("the server's catalogues are unclear: {e}"));
            match serde_json::from_str(line).map_err(unclear)? {
                Line::Server { version } => catalogue.version = version,
                Line::Setting { name, value } => catalogue.settings.push((name, value)),
                Line::Database(schema) if schema.name.starts_with(RESERVED) => {
                    catalogue.reserved.push(schema.name);
                }
                Line::Database(schema) => catalogue.databases.push(schema),
                Line::Object(object) => catalogue.objects.push(object),
            }
        }
        if !catalogue.version.contains("MariaDB") {
            let message = format!("the server is no MariaDB but says {}", catalogue.version);
            return Err(DriverError::of(Trouble::WrongVersion, message));
        }
        Ok(catalogue)
    }

    /// Major and minor version.
    pub(super) fn generation(&self) -> (u32, u32) {
        let mut numbers = self.version.split(['.', '-']).map(|number| number.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }

    /// A variable or status of the server.
    pub(super) fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn has_database(&self, name: &str) -> bool {
        self.databases.iter().any(|schema| schema.name == name)
    }

    /// What is in the databases of owners.
    pub(super) fn owned(&self) -> impl Iterator<Item = &Object> {
        self.objects.iter().filter(|object| !object.database.starts_with(RESERVED))
    }

    /// The tables of one database.
    pub(super) fn tables_of<'a>(&'a self, database: &'a str) -> impl Iterator<Item = &'a Object> {
        self.objects.iter().filter(move |object| object.database == database && object.is_table())
    }
}

/// Data without indexes, which are not part of a dump.
pub(super) fn size(client: &Client, session: &Session) -> Result<u64, DriverError> {
    let sql = "SELECT CAST(COALESCE(SUM(DATA_LENGTH), 0) AS UNSIGNED) FROM information_schema.TABLES
        WHERE TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema', 'sys', 'mysql');";
    let answer = client.sql(session, sql.to_owned())?;
    let unclear = |e| DriverError::data_service(format!("the size of the databases is unclear: {e}"));
    answer.trim().parse().map_err(unclear)
}
