//! Stream → databases with reserved names, beside those in use. Views, routines, triggers and events wait in the scratch
//! directory, because they name the databases they belong to.

use std::fs::{self, DirBuilder, File};
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::process::ChildStdin;

use tar::Archive;

use super::backup::{End, Manifest, USERS};
use super::catalogue::{Catalogue, Object, Schema};
use super::container::{self, END, Length, MANIFEST, Script};
use super::exchange::assign;
use super::names::{self, literal, quote};
use super::pending::{Pending, Phase};
use super::redirect::Redirect;
use super::{Inner, STREAM_VERSION};
use crate::drivers::{DriverError, Trouble};
use crate::session::{RunningProgram, Session};

/// The first that renames tables wholly or not at all also when it crashes.
const OLDEST: (u32, u32) = (10, 6);

/// What a restore must bring.
pub(super) struct Backup {
    pub(super) databases: Vec<Schema>,
    pub(super) end: End,
}

/// Loads everything and checks that nothing is missing; returns what the stream says of itself. Leftovers of an error are
/// removed by the caller.
pub(super) fn load(inner: &Inner, session: &Session, input: &mut dyn Read) -> Result<Backup, DriverError> {
    let mut archive = Archive::new(input);
    let mut entries = archive.entries().map_err(DriverError::Stream)?;
    let first = entries.next().ok_or_else(|| DriverError::Content("it is empty".to_owned()))?;
    let first = first.map_err(DriverError::Stream)?;
    if first.path().map_err(DriverError::Stream)?.to_str() != Some(MANIFEST) {
        return Err(DriverError::Content("it does not begin with a manifest".to_owned()));
    }
    let manifest: Manifest = container::json(first)?;
    let names: Vec<String> = manifest.catalogue.databases.iter().map(|s| s.name.clone()).collect();
    prepare(inner, session, &manifest)?;
    let mut lengths: Vec<Length> = Vec::new();
    let mut sink: Option<Sink<'_>> = None;
    for entry in entries {
        let mut entry = entry.map_err(DriverError::Stream)?;
        let path = entry.path().map_err(DriverError::Stream)?.display().to_string();
        if path == END {
            if let Some(sink) = sink.take() {
                sink.finish()?;
            }
            let end: End = container::json(entry)?;
            check(inner, session, &end, &lengths, &names)?;
            return Ok(Backup { databases: manifest.catalogue.databases, end });
        }
        let unexpected = || DriverError::Content(format!("the entry {path} is unexpected"));
        let (script, chunk) = Script::parse(&path).ok_or_else(unexpected)?;
        if chunk == 1 {
            if let Some(sink) = sink.take() {
                sink.finish()?;
            }
            sink = Some(Sink::open(inner, session, script, &names)?);
            lengths.push(Length { script, chunks: 0, bytes: 0 });
        }
        let (Some(into), Some(length)) = (&mut sink, lengths.last_mut()) else { return Err(unexpected()) };
        length.chunks = length.chunks.saturating_add(1);
        if length.script != script || length.chunks != chunk {
            return Err(unexpected());
        }
        match into.copy(&mut entry)? {
            Some(bytes) => length.bytes = length.bytes.saturating_add(bytes),
            // The program has ended early; how it ended says why.
            None => {
                sink.take().map_or(Ok(()), Sink::finish)?;
                return Err(DriverError::data_service("mariadb stopped reading"));
            }
        }
    }
    Err(DriverError::Content("the end is missing".to_owned()))
}

/// Whether the server can be restored, and the empty databases for it.
fn prepare(inner: &Inner, session: &Session, manifest: &Manifest) -> Result<(), DriverError> {
    if manifest.stream_version != STREAM_VERSION {
        return Err(DriverError::Content(format!("stream version {}", manifest.stream_version)));
    }
    let backup = &manifest.catalogue;
    let target = Catalogue::read(&inner.client, session)?;
    if backup.generation() > target.generation() {
        let message = format!("the backup is of MariaDB {}, newer than {}", backup.version, target.version);
        return Err(DriverError::of(Trouble::WrongVersion, message));
    }
    if target.generation() < OLDEST {
        let message = format!(
            "the server is MariaDB {}; a restore needs 10.6 or newer, older ones can lose tables in a crash",
            target.version
        );
        return Err(DriverError::of(Trouble::WrongVersion, message));
    }
    let refuse = |reason: &str| Err(DriverError::data_service(reason.to_owned()));
    match () {
        () if target.setting("wsrep_on") == Some("ON") => {
            return refuse("the server is a node of a Galera cluster, which a restore does not support");
        }
        () if target.setting("slaves_running").is_some_and(|count| count != "0") => {
            return refuse("the server is a replica; restore its primary");
        }
        () if target.setting("read_only") == Some("ON") => return refuse("the server is read-only"),
        () if !target.reserved.is_empty() => {
            let names = target.reserved.join(", ");
            return refuse(&format!("databases with reserved names exist that the agent did not record: {names}"));
        }
        () => {}
    }
    let packet = target.setting("max_allowed_packet").unwrap_or("16777216").to_owned();
    let pending = Pending {
        phase: Phase::Loading,
        new: backup.databases.clone(),
        old: Vec::new(),
        settings: vec![("max_allowed_packet".to_owned(), packet)],
    };
    make_folder(inner)?;
    inner.record.write(&pending)?;
    let mut sql = assign("max_allowed_packet", "1073741824");
    sql.push_str(&format!("CREATE DATABASE {};\n", quote(names::CONTROL)));
    sql.push_str(&format!("CREATE TABLE {} (n INT) ENGINE=InnoDB;\n", names::BEFORE));
    sql.push_str(&format!("CREATE DATABASE {};\n", quote(names::NEW_USERS)));
    for table in USERS {
        let fresh = names::table(names::NEW_USERS, table);
        sql.push_str(&format!("CREATE TABLE {fresh} LIKE {};\n", names::table("mysql", table)));
    }
    for (index, schema) in backup.databases.iter().enumerate() {
        let fresh = quote(&names::fresh(index.saturating_add(1)));
        let (charset, collation) = (literal(&schema.charset), literal(&schema.collation));
        sql.push_str(&format!("CREATE DATABASE {fresh} CHARACTER SET {charset} COLLATE {collation};\n"));
    }
    inner.client.sql(session, sql).map(drop)
}

fn make_folder(inner: &Inner) -> Result<(), DriverError> {
    let failed =
        |e| DriverError::data_service(format!("could not make {}: {e}", inner.folder.display()));
    if inner.folder.exists() {
        fs::remove_dir_all(&inner.folder).map_err(failed)?;
    }
    DirBuilder::new().mode(0o700).create(&inner.folder).map_err(failed)
}

/// Where the script that is just read goes.
enum Sink<'a> {
    /// Into the server.
    Server(RunningProgram, Redirect<'a, BufWriter<ChildStdin>>),
    /// Into the scratch directory.
    File(File),
}

impl<'a> Sink<'a> {
    fn open(
        inner: &Inner,
        session: &Session,
        script: Script,
        databases: &'a [String],
    ) -> Result<Self, DriverError> {
        let (database, databases) = match script {
            Script::Users => (Some(names::NEW_USERS), &[][..]),
            Script::Tables => (None, databases),
            Script::Programs | Script::Views => {
                let path = inner.folder.join(script.file());
                let file = File::options().write(true).create_new(true).mode(0o600).open(&path);
                let failed =
                    |e| DriverError::data_service(format!("could not make {}: {e}", path.display()));
                return Ok(Self::File(file.map_err(failed)?));
            }
        };
        let mut running = inner.client.script(database)?.piped_stdin().start(session)?;
        let stdin = running.stdin();
        let mut stdin = stdin.ok_or_else(|| DriverError::data_service("a program has no input"))?;
        // Each table's history comes with it.
        if stdin.write_all(b"/*M!101100 SET system_versioning_insert_history=1 */;\n").is_err() {
            running.finish()?;
            return Err(DriverError::data_service("mariadb stopped reading"));
        }
        Ok(Self::Server(running, Redirect::new(BufWriter::new(stdin), databases)))
    }

    /// The number of bytes copied; none when the program does not want more.
    fn copy(&mut self, mut entry: impl Read) -> Result<Option<u64>, DriverError> {
        let mut buffer = vec![0; 128 * 1024];
        let mut copied = 0_u64;
        loop {
            let read = entry.read(&mut buffer).map_err(DriverError::Stream)?;
            if read == 0 {
                return Ok(Some(copied));
            }
            let bytes = buffer.get(..read).unwrap_or_default();
            match self {
                Self::Server(_, redirect) => match redirect.write_all(bytes) {
                    Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                        return Err(DriverError::Content(error.to_string()));
                    }
                    Err(_) => return Ok(None),
                    Ok(()) => {}
                },
                Self::File(file) => file.write_all(bytes).map_err(|e| {
                    DriverError::data_service(format!("a script could not be written: {e}"))
                })?,
            }
            copied = copied.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        }
    }

    fn finish(self) -> Result<(), DriverError> {
        match self {
            Self::Server(running, redirect) => {
                let flushed = redirect.finish().and_then(|mut out| out.flush());
                running.finish()?;
                flushed.map_err(|e| DriverError::Content(e.to_string()))
            }
            Self::File(file) => file
                .sync_all()
                .map_err(|e| DriverError::data_service(format!("a script could not be written: {e}"))),
        }
    }
}

/// Whether all the tables are there that the backup must have.
fn check(
    inner: &Inner,
    session: &Session,
    end: &End,
    lengths: &[Length],
    names: &[String],
) -> Result<(), DriverError> {
    let expected: Vec<&Length> = end.scripts.iter().filter(|length| length.chunks > 0).collect();
    if lengths.iter().ne(expected) {
        return Err(DriverError::Content("a script is not as long as it was".to_owned()));
    }
    let loaded = Catalogue::read(&inner.client, session)?;
    let is_there = |wanted: &Object| {
        let number = names.iter().position(|name| *name == wanted.database)?.checked_add(1)?;
        let fresh = names::fresh(number);
        loaded.tables_of(&fresh).any(|found| found.name == wanted.name).then_some(())
    };
    match end.tables.iter().find(|wanted| is_there(wanted).is_none()) {
        Some(lost) => {
            Err(DriverError::Content(format!("the table {}.{} is missing", lost.database, lost.name)))
        }
        None => Ok(()),
    }
}
