//! Looks for what a restore has left on the server, and drops it. A database counts as ours only when the state in a
//! control database of our own role names it; its name alone says nothing.

use std::fmt::Write;

use serde::Deserialize;

use super::names::{self, IS_OURS};
use super::programs::Programs;
use super::quote::{identifier, literal};
use super::state::State;
use super::swap::terminate;
use crate::drivers::DriverError;
use crate::session::Session;

/// All databases with reserved names.
#[derive(Debug, Deserialize)]
pub(super) struct Survey {
    control: Option<Control>,
    databases: Vec<Leftover>,
}

#[derive(Debug, Deserialize)]
struct Control {
    is_ours: bool,
    comment: Option<String>,
}

/// A database that is perhaps to be dropped.
#[derive(Debug, Deserialize)]
pub(super) struct Leftover {
    oid: u32,
    name: String,
    /// An interrupted DROP; nothing but another DROP is possible.
    is_invalid: bool,
    has_subscriptions: bool,
}

impl Survey {
    /// Asks the server.
    pub(super) fn take(programs: &Programs, session: &Session, open: &str) -> Result<Self, DriverError> {
        let control = literal(names::CONTROL);
        let sql = format!(
            "SELECT json_build_object('control', (SELECT json_build_object(\n\
               'is_ours', pg_get_userbyid(datdba) = current_user, 'comment', shobj_description(oid, 'pg_database'))\n\
               FROM pg_database WHERE datname = {control}),\n\
             'databases', (SELECT coalesce(json_agg(json_build_object('oid', oid::bigint, 'name', datname,\n\
               'is_invalid', datconnlimit = -2,\n\
               'has_subscriptions', EXISTS (SELECT FROM pg_subscription WHERE subdbid = db.oid))), '[]')\n\
               FROM pg_database db WHERE {IS_OURS} AND datname <> {control}));"
        );
        let answer = programs.sql(session, open, sql)?;
        let unclear = |e| DriverError::data_service(format!("the server's databases are unclear: {e}"));
        serde_json::from_str(&answer).map_err(unclear)
    }

    /// The recorded state, when there is a control database of ours. One without a comment is just made.
    pub(super) fn state(&self) -> Result<Option<State>, DriverError> {
        let Some(control) = self.control.as_ref().filter(|control| control.is_ours) else { return Ok(None) };
        let unclear =
            |e| DriverError::data_service(format!("the comment of {} is unclear: {e}", names::CONTROL));
        serde_json::from_str(control.comment.as_deref().unwrap_or("{}")).map(Some).map_err(unclear)
    }

    /// Names of databases that look like ours and are not: all, unless there is a control database of ours.
    pub(super) fn strangers(&self) -> Vec<String> {
        let control = self.control.iter().filter(|control| !control.is_ours);
        let control = control.map(|_| names::CONTROL.to_owned());
        control.chain(self.databases.iter().map(|database| database.name.clone())).collect()
    }

    /// The databases the state names.
    pub(super) fn ours<'a>(&'a self, state: &'a State) -> impl Iterator<Item = &'a Leftover> {
        self.databases.iter().filter(|database| {
            state.databases.contains(&database.oid) || state.making.as_ref() == Some(&database.name)
        })
    }
}

impl Leftover {
    /// Drops the database with what would be in the way.
    pub(super) fn drop(&self, programs: &Programs, session: &Session, open: &str) -> Result<(), DriverError> {
        let (name, text) = (identifier(&self.name), literal(&self.name));
        let mut sql = String::new();
        if !self.is_invalid {
            if self.has_subscriptions {
                self.drop_subscriptions(programs, session, open)?;
            }
            let _ = writeln!(sql, "ALTER DATABASE {name} WITH IS_TEMPLATE false ALLOW_CONNECTIONS false;");
            sql.push_str(&terminate(&format!("datname = {text}")));
            let _ = writeln!(
                sql,
                "DO $do$ BEGIN PERFORM pg_drop_replication_slot(slot_name) FROM pg_replication_slots \
                 WHERE database = {text}; END $do$;"
            );
        }
        let _ = writeln!(sql, "DROP DATABASE {name};");
        programs.restore_sql(session, open, sql).map(drop)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether anybody can still connect to it.
    pub(super) fn can_be_entered(&self) -> bool {
        !self.is_invalid
    }

    /// Lets superusers connect to it.
    pub(super) fn let_us_in(
        &self,
        programs: &Programs,
        session: &Session,
        open: &str,
    ) -> Result<(), DriverError> {
        let name = identifier(&self.name);
        let sql = format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true CONNECTION LIMIT 0;");
        programs.restore_sql(session, open, sql).map(drop)
    }

    /// The slot at the publisher stays: it may belong to the subscription that was restored.
    fn drop_subscriptions(
        &self,
        programs: &Programs,
        session: &Session,
        open: &str,
    ) -> Result<(), DriverError> {
        self.let_us_in(programs, session, open)?;
        // Event triggers of the owner are not wanted here.
        let sql = "SET session_replication_role = replica;\n\
            DO $do$ DECLARE name text; BEGIN FOR name IN SELECT subname FROM pg_subscription\n\
              WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()) LOOP\n\
            EXECUTE format('ALTER SUBSCRIPTION %I DISABLE', name);\n\
            EXECUTE format('ALTER SUBSCRIPTION %I SET (slot_name = NONE)', name);\n\
            EXECUTE format('DROP SUBSCRIPTION %I', name);\n\
            END LOOP; END $do$;\n";
        programs.restore_sql(session, &self.name, sql.to_owned()).map(drop)
    }
}
