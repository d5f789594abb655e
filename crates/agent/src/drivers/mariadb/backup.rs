//! Server → stream. All tables come from one transaction of one `mariadb-dump`, so that they show one moment however busy
//! the writers are, as long as their engine is transactional.

use std::collections::HashSet;
use std::io::Write;

use serde::{Deserialize, Serialize};

use super::STREAM_VERSION;
use super::catalogue::{BROKEN_VIEW, Catalogue, KEY_ELSEWHERE, Object};
use super::client::Client;
use super::container::{END, Length, MANIFEST, Script, Writer};
use crate::drivers::DriverError;
use crate::session::{Program, Session};

/// The tables of `mysql` that hold users and privileges.
pub(super) const USERS: [&str; 7] =
    ["global_priv", "db", "tables_priv", "columns_priv", "procs_priv", "roles_mapping", "proxies_priv"];

/// First entry of the stream.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) stream_version: u32,
    pub(super) catalogue: Catalogue,
}

/// Last entry of the stream.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct End {
    pub(super) scripts: Vec<Length>,
    /// Tables that were there before and after the dump, so they must be in it.
    pub(super) tables: Vec<Object>,
    /// The same for views, routines, triggers and events.
    #[serde(default)]
    pub(super) programs: Vec<Object>,
}

pub(super) fn backup(client: &Client, session: &Session, out: &mut dyn Write) -> Result<(), DriverError> {
    let catalogue = Catalogue::read(client, session)?;
    check(&catalogue)?;
    let mut writer = Writer::new(out);
    let manifest = Manifest { stream_version: STREAM_VERSION, catalogue };
    writer.json(MANIFEST, &manifest)?;
    let catalogue = manifest.catalogue;
    let names: Vec<&str> = catalogue.databases.iter().map(|schema| schema.name.as_str()).collect();
    let mut scripts = vec![run(session, users(client)?, Script::Users, &mut writer)?];
    if !names.is_empty() {
        let dumps = [
            (tables(client, &catalogue)?, Script::Tables),
            (programs(client)?, Script::Programs),
            (views(client, &catalogue)?, Script::Views),
        ];
        for (dump, script) in dumps {
            // A name may begin with hyphens.
            let dump = dump.arg("--no-create-db").arg("--databases").arg("--");
            scripts.push(run(session, names.iter().fold(dump, Program::arg), script, &mut writer)?);
            unchanged(&catalogue, &Catalogue::read(client, session)?)?;
        }
    }
    let after = Catalogue::read(client, session)?;
    let stayed = catalogue.owned().filter(|object| object.is_restored() && after.objects.contains(object));
    let (tables, programs) = stayed.cloned().partition(Object::is_table);
    writer.json(END, &End { scripts, tables, programs })?;
    writer.finish()
}

fn run(
    session: &Session,
    program: Program,
    script: Script,
    writer: &mut Writer<'_>,
) -> Result<Length, DriverError> {
    let mut running = program.piped_stdout().start(session)?;
    let source = running.stdout();
    let source = source.ok_or_else(|| DriverError::data_service("a program has no output"))?;
    let length = writer.script(script, source)?;
    running.finish()?;
    Ok(length)
}

/// Each script leaves out what the catalogue says is in another one, so what has come since is in the wrong one.
fn unchanged(before: &Catalogue, after: &Catalogue) -> Result<(), DriverError> {
    fn key(object: &Object) -> (&str, &str, bool) {
        (&object.database, &object.name, object.is_view())
    }
    let known: HashSet<_> = before.owned().filter(|object| is_dumped(object)).map(key).collect();
    let is_new =
        |object: &&Object| is_dumped(object) && before.has_database(&object.database) && !known.contains(&key(object));
    match after.owned().find(is_new) {
        Some(new) => Err(DriverError::data_service(format!(
            "the table or view {}.{} was created while the databases were read; take the backup again",
            new.database, new.name
        ))),
        None => Ok(()),
    }
}

fn is_dumped(object: &Object) -> bool {
    object.is_table() || object.is_view()
}

/// What cannot be restored must not be backed up as if it could.
fn check(catalogue: &Catalogue) -> Result<(), DriverError> {
    if let Some(schema) = catalogue.databases.iter().find(|schema| schema.name.contains(char::is_control)) {
        let message =
            format!("the name of the database {:?} has control characters, which is not supported", schema.name);
        return Err(DriverError::data_service(message));
    }
    if let Some(key) = catalogue.owned().find(|object| object.kind == KEY_ELSEWHERE) {
        let message = format!(
            "the foreign key {} of database {} refers to another database, which is not supported",
            key.name, key.database
        );
        return Err(DriverError::data_service(message));
    }
    let mut loose: Vec<String> = catalogue
        .owned()
        .filter(|object| object.is_table() && object.kind != "SEQUENCE")
        .filter(|object| !matches!(object.engine.as_deref(), Some("InnoDB")))
        .map(|object| format!("{}.{}", object.database, object.name))
        .collect();
    if !loose.is_empty() {
        let count = loose.len();
        loose.truncate(10);
        let tables = loose.join(", ");
        tracing::warn!(count, tables, "tables that are not InnoDB may be backed up while they are written to");
    }
    Ok(())
}

fn users(client: &Client) -> Result<Program, DriverError> {
    let dump = client.dump()?.arg("--no-create-info").arg("--complete-insert").arg("--hex-blob").arg("mysql");
    Ok(USERS.iter().fold(dump, Program::arg))
}

fn tables(client: &Client, catalogue: &Catalogue) -> Result<Program, DriverError> {
    let mut dump = client.dump()?.arg("--skip-triggers").arg("--hex-blob").arg("--no-autocommit");
    if catalogue.owned().any(|object| object.kind == "SYSTEM VERSIONED") {
        dump = dump.arg("--dump-history");
    }
    Ok(catalogue.owned().filter(|object| object.is_view()).fold(dump, ignore))
}

/// Also used for what is to be put back when an exchange fails.
pub(super) fn programs(client: &Client) -> Result<Program, DriverError> {
    let kinds = ["--routines", "--events", "--triggers", "--no-data", "--no-create-info"];
    Ok(kinds.into_iter().fold(client.dump()?, Program::arg))
}

pub(super) fn views(client: &Client, catalogue: &Catalogue) -> Result<Program, DriverError> {
    for broken in catalogue.owned().filter(|object| object.kind == BROKEN_VIEW) {
        let view = format!("{}.{}", broken.database, broken.name);
        tracing::warn!(view, "a view that refers to what is not there is left out");
    }
    let dump = client.dump()?.arg("--no-data").arg("--skip-triggers");
    let others = catalogue.owned().filter(|object| object.is_table() || object.kind == BROKEN_VIEW);
    Ok(others.fold(dump, ignore))
}

fn ignore(dump: Program, object: &Object) -> Program {
    dump.arg(format!("--ignore-table={}.{}", object.database, object.name))
}
