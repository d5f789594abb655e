//! One way of the exchange, forwards or backwards, as steps that may be repeated from the beginning: a step that finds
//! its work done does nothing. Clients are out meanwhile.

use std::fs::File;
use std::path::Path;

use super::Inner;
use super::backup::USERS;
use super::catalogue::{Catalogue, Object, Schema};
use super::container::Script;
use super::names::{self, literal, quote, table};
use super::pending::Pending;
use crate::drivers::DriverError;
use crate::session::Session;

/// Which data clients are to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Those of the backup.
    Forward,
    /// Those from before.
    Backward,
}

/// Goes the whole way.
pub(super) fn go(inner: &Inner, session: &Session, pending: &Pending, way: Way) -> Result<(), DriverError> {
    let now = Catalogue::read(&inner.client, session)?;
    let (wanted, parked) = match way {
        Way::Forward => (&pending.new, &pending.old),
        Way::Backward => (&pending.old, &pending.new),
    };
    let mut sql = clear(&now);
    for schema in wanted.iter().filter(|schema| !now.has_database(&schema.name)) {
        sql.push_str(&format!("CREATE DATABASE {};\n", quote(&schema.name)));
    }
    let is_there = is_after(&now)? == (way == Way::Forward);
    if !is_there {
        sql.push_str(&rename(&now, pending, way));
    }
    for schema in parked.iter().filter(|schema| !wanted.iter().any(|other| other.name == schema.name)) {
        sql.push_str(&format!("DROP DATABASE IF EXISTS {};\n", quote(&schema.name)));
    }
    sql.push_str(&properties(wanted));
    sql.push_str(&users(inner, way));
    inner.client.sql(session, sql)?;
    let folder = match way {
        Way::Forward => inner.folder.clone(),
        Way::Backward => inner.folder.join("old"),
    };
    for script in [Script::Programs, Script::Views] {
        run(inner, session, &folder.join(script.file()))?;
    }
    Ok(())
}

/// Whether the tables have been exchanged.
pub(super) fn is_after(now: &Catalogue) -> Result<bool, DriverError> {
    let has = |name: &str| now.tables_of(names::CONTROL).any(|marker| marker.name == name);
    match (has("before"), has("after")) {
        (true, false) => Ok(false),
        (false, true) => Ok(true),
        // Any step on a guess could drop the only copy of a table.
        _ => Err(DriverError::data_service("somebody has removed the marker of the exchange")),
    }
}

/// Drops what `RENAME TABLE` does not move, or would stumble over.
fn clear(now: &Catalogue) -> String {
    let drop = |kind: &str| -> String {
        let is_kind = |object: &&Object| object.kind == kind || (kind == "VIEW" && object.is_view());
        let found = now.owned().filter(is_kind);
        found.map(|o| format!("DROP {kind} IF EXISTS {};\n", table(&o.database, &o.name))).collect()
    };
    // The body of a package goes with it.
    ["EVENT", "TRIGGER", "VIEW", "PACKAGE BODY", "PACKAGE", "PROCEDURE", "FUNCTION"]
        .into_iter()
        .map(drop)
        .collect()
}

/// All tables and the marker, in the one statement that happens wholly or not at all.
fn rename(now: &Catalogue, pending: &Pending, way: Way) -> String {
    let mut moves = Vec::new();
    let mut shift = |from: &str, to: &str| {
        for object in now.tables_of(from) {
            moves.push(format!("{} TO {}", table(from, &object.name), table(to, &object.name)));
        }
    };
    let number = |index: usize| index.saturating_add(1);
    match way {
        Way::Forward => {
            for (index, schema) in pending.old.iter().enumerate() {
                shift(&schema.name, &names::old(number(index)));
            }
            for (index, schema) in pending.new.iter().enumerate() {
                shift(&names::fresh(number(index)), &schema.name);
            }
            moves.push(format!("{} TO {}", names::BEFORE, names::AFTER));
        }
        Way::Backward => {
            for (index, schema) in pending.new.iter().enumerate() {
                shift(&schema.name, &names::fresh(number(index)));
            }
            for (index, schema) in pending.old.iter().enumerate() {
                shift(&names::old(number(index)), &schema.name);
            }
            moves.push(format!("{} TO {}", names::AFTER, names::BEFORE));
        }
    }
    format!("RENAME TABLE {};\n", moves.join(", "))
}

fn properties(wanted: &[Schema]) -> String {
    let lines = wanted.iter().map(|schema| {
        let (charset, collation) = (literal(&schema.charset), literal(&schema.collation));
        format!("ALTER DATABASE {} CHARACTER SET {charset} COLLATE {collation};\n", quote(&schema.name))
    });
    lines.collect()
}

/// All users but those that are to be kept. Privileges take effect at the end.
fn users(inner: &Inner, way: Way) -> String {
    let kept: Vec<String> = inner.client.kept_users().map(literal).collect();
    let others = format!("WHERE User NOT IN ({})", kept.join(", "));
    let source = match way {
        Way::Forward => names::NEW_USERS,
        Way::Backward => names::OLD_USERS,
    };
    let mut sql = String::new();
    for name in USERS {
        let (target, source) = (table("mysql", name), table(source, name));
        sql.push_str(&format!("DELETE FROM {target} {others};\n"));
        sql.push_str(&format!("INSERT INTO {target} SELECT * FROM {source} {others};\n"));
    }
    // Who made a role is its administrator: that goes with the role, also for users that are kept.
    let (target, source) = (table("mysql", "roles_mapping"), table(source, "roles_mapping"));
    sql.push_str(&format!(
        "INSERT IGNORE INTO {target} SELECT r.* FROM {source} r JOIN mysql.global_priv u USING (Host, User);\n\
         FLUSH PRIVILEGES;\n"
    ));
    sql
}

/// Runs a script; a backup without any such object has none.
fn run(inner: &Inner, session: &Session, script: &Path) -> Result<(), DriverError> {
    if !script.exists() {
        return Ok(());
    }
    let file = File::open(script)
        .map_err(|e| DriverError::data_service(format!("could not read {}: {e}", script.display())))?;
    inner.client.script(None)?.stdin(file).start(session)?.finish()
}
