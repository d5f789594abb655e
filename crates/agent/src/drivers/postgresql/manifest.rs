//! `manifest.json` and `end.json`, the first and the last entry of the stream: what the dumps themselves do not say.

use serde::{Deserialize, Serialize};

/// What the server was when the backup began.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// Version of the stream.
    #[serde(default)]
    pub(super) stream_version: u32,
    /// What `pg_dump --version` printed.
    #[serde(default)]
    pub(super) dumped_with: String,
    #[serde(flatten)]
    pub(super) server: Server,
}

/// The server-wide catalogues, as read by `catalogue.sql`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Server {
    pub(super) server_version: String,
    /// 150018 for 15.18.
    pub(super) server_version_num: u32,
    pub(super) is_superuser: bool,
    pub(super) databases: Vec<Database>,
    pub(super) roles: Vec<Role>,
    pub(super) memberships: Vec<Membership>,
    pub(super) settings: Vec<Settings>,
    pub(super) tablespaces: Vec<String>,
}

impl Server {
    /// 15 for 15.18.
    pub(super) fn major(&self) -> u32 {
        self.server_version_num.checked_div(10_000).unwrap_or(0)
    }
}

/// One database.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Database {
    /// Number of its folder in the stream.
    pub(super) number: u32,
    /// Known of a running server only.
    #[serde(default, skip_serializing)]
    pub(super) oid: u32,
    pub(super) name: String,
    pub(super) owner: String,
    pub(super) encoding: String,
    pub(super) collate: String,
    pub(super) ctype: String,
    /// `c` libc, `i` ICU, `b` built in.
    pub(super) provider: String,
    pub(super) locale: Option<String>,
    pub(super) icu_rules: Option<String>,
    pub(super) tablespace: String,
    pub(super) is_template: bool,
    pub(super) allows_connections: bool,
    pub(super) connection_limit: i64,
    pub(super) comment: Option<String>,
    /// None: the default privileges.
    pub(super) access: Option<Vec<Access>>,
}

impl Database {
    /// Its DROP DATABASE was interrupted: nobody can connect any more, and nothing but another DROP is possible.
    pub(super) fn is_invalid(&self) -> bool {
        self.connection_limit == -2
    }
}

/// A privilege on a database.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Access {
    /// None: everybody.
    pub(super) grantee: Option<String>,
    pub(super) privilege: String,
    pub(super) grantable: bool,
}

/// One role.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Role {
    pub(super) name: String,
    pub(super) is_bootstrap: bool,
    pub(super) superuser: bool,
    pub(super) inherit: bool,
    pub(super) create_role: bool,
    pub(super) create_database: bool,
    pub(super) login: bool,
    pub(super) replication: bool,
    pub(super) bypass_rls: bool,
    pub(super) connection_limit: i64,
    /// The stored hash.
    pub(super) password: Option<String>,
    pub(super) valid_until: Option<String>,
    pub(super) comment: Option<String>,
}

/// One role is a member of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Membership {
    pub(super) role: String,
    pub(super) member: String,
    pub(super) admin: bool,
    /// Since PostgreSQL 16.
    pub(super) inherit: Option<bool>,
    /// Since PostgreSQL 16.
    pub(super) set: Option<bool>,
    pub(super) grantor: Option<String>,
}

/// `ALTER DATABASE … SET` and `ALTER ROLE … SET`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Settings {
    /// None: in all databases.
    pub(super) database: Option<String>,
    /// None: for all roles.
    pub(super) role: Option<String>,
    /// `name=value` each.
    pub(super) config: Vec<String>,
}

/// What the stream holds, to be compared with what was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    pub(super) globals: Length,
    pub(super) databases: Vec<Length>,
}

/// Length of one dump.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Length {
    pub(super) number: u32,
    pub(super) chunks: u32,
    pub(super) bytes: u64,
}
