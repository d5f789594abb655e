//! Stream → databases under temporary names, beside those in use. Nothing a client of the server uses is changed here,
//! except that roles missing on the server are created without the right to log in.

use std::io::Read;

use tar::Archive;

use super::catalogue;
use super::container::{self, Item};
use super::loading::{Conditions, Loading};
use super::manifest::{Database, End, Length, Manifest, Server};
use super::names;
use super::programs::Programs;
use super::quote::{identifier, literal};
use super::state::State;
use super::{STREAM_VERSION, databases, preconditions, roles};
use crate::drivers::{DriverError, Trouble};
use crate::session::Session;

/// Loads everything and checks that nothing is missing. Leftovers of an error are removed by the caller.
pub(super) fn load(
    programs: &Programs,
    session: &Session,
    input: &mut dyn Read,
) -> Result<Manifest, DriverError> {
    let mut archive = Archive::new(input);
    let mut entries = archive.entries().map_err(DriverError::Stream)?;
    let mut loader: Option<Loader<'_>> = None;
    for entry in &mut entries {
        let mut entry = entry.map_err(DriverError::Stream)?;
        let path = entry.path().map_err(DriverError::Stream)?.into_owned();
        let item = Item::parse(&path);
        let unexpected = || DriverError::Content(format!("the entry {} is unexpected", path.display()));
        match (item, &mut loader) {
            (Some(Item::Manifest), None) => {
                loader = Some(Loader::begin(programs, session, container::json(&mut entry)?)?);
            }
            (Some(Item::Globals { chunk }), Some(loader)) => loader.globals(chunk, entry.size())?,
            (Some(Item::Dump { number, chunk }), Some(loader)) => loader.dump(number, chunk, &mut entry)?,
            (Some(Item::End), Some(_)) => {
                let end: End = container::json(&mut entry)?;
                let loader = loader.take().ok_or_else(unexpected)?;
                return loader.end(&end);
            }
            _ => return Err(unexpected()),
        }
    }
    Err(DriverError::Content("the end is missing".to_owned()))
}

struct Loader<'a> {
    conditions: Conditions<'a>,
    manifest: Manifest,
    target: Server,
    current: Option<Loading>,
    read: End,
    /// As recorded.
    state: State,
}

impl<'a> Loader<'a> {
    fn begin(programs: &'a Programs, session: &'a Session, manifest: Manifest) -> Result<Self, DriverError> {
        if manifest.stream_version != STREAM_VERSION {
            return Err(DriverError::Content(format!("stream version {}", manifest.stream_version)));
        }
        let open = programs.open_database(session)?;
        let target = catalogue::read(programs, session, &open)?;
        not_newer(&manifest.server, &target)?;
        programs.fitting(session, target.major())?;
        preconditions::check(programs, session, &open, &[])?;
        let missing = roles::missing(&manifest, &target, programs);
        let state = State {
            created_roles: missing.iter().map(|role| role.name.clone()).collect(),
            ..State::default()
        };
        let control = identifier(names::CONTROL);
        let sql = format!(
            "CREATE DATABASE {control} WITH TEMPLATE template0 CONNECTION LIMIT 0;\n{}{}",
            state.record(),
            missing.into_iter().map(roles::create).collect::<String>(),
        );
        programs.restore_sql(session, &open, sql)?;
        let conditions = Conditions::new(programs, session, &manifest.server, &target);
        Ok(Self { conditions, manifest, target, current: None, read: End::default(), state })
    }

    fn globals(&mut self, chunk: u32, size: u64) -> Result<(), DriverError> {
        count(&mut self.read.globals, chunk, size)
    }

    fn dump(&mut self, number: u32, chunk: u32, entry: impl Read) -> Result<(), DriverError> {
        if chunk == 1 {
            self.finish_current()?;
            self.start(number)?;
        }
        let Some(current) = &mut self.current else {
            return Err(DriverError::Content(format!("chunk {chunk} of database {number} comes first")));
        };
        let (conditions, state) = (&self.conditions, &mut self.state);
        let copied = container::copy(entry, |bytes| current.write(conditions, state, bytes));
        let bytes = copied.map_err(|error| self.within(error))?;
        match self.read.databases.last_mut() {
            Some(length) if length.number == number => count(length, chunk, bytes),
            _ => Err(DriverError::Content(format!("chunk {chunk} of database {number} is out of order"))),
        }
    }

    fn start(&mut self, number: u32) -> Result<(), DriverError> {
        let create = databases::create(self.database(number)?, &self.target);
        let fresh = names::fresh(number);
        self.make(&fresh, &create)?;
        self.current = Some(Loading::begin(&self.conditions, fresh)?);
        self.read.databases.push(Length { number, ..Length::default() });
        Ok(())
    }

    /// Makes a database, and records that it is ours before it exists and by its OID afterwards.
    fn make(&mut self, name: &str, create: &str) -> Result<(), DriverError> {
        let text = literal(name);
        self.state.making = Some(name.to_owned());
        let sql = format!(
            "DO $do$ BEGIN IF EXISTS (SELECT FROM pg_database WHERE datname = {text}) THEN\n\
             RAISE EXCEPTION 'there is a database % already', {text}; END IF; END $do$;\n\
             {}{create}SELECT oid FROM pg_database WHERE datname = {text};",
            self.state.record(),
        );
        let answer = self.conditions.restore_sql(names::CONTROL, sql)?;
        let unclear = |e| DriverError::data_service(format!("the OID of {name} is unclear: {e}"));
        self.state.databases.push(answer.trim().parse().map_err(unclear)?);
        self.state.making = None;
        self.conditions.restore_sql(names::CONTROL, self.state.record()).map(drop)
    }

    fn database(&self, number: u32) -> Result<&Database, DriverError> {
        let found = self.manifest.server.databases.iter().find(|d| d.number == number);
        found.ok_or_else(|| DriverError::Content(format!("database {number} is not in the manifest")))
    }

    fn finish_current(&mut self) -> Result<(), DriverError> {
        let Some(current) = self.current.take() else { return Ok(()) };
        current.finish(&self.conditions, &mut self.state).map_err(|error| self.within(error))
    }

    /// Names the database that was read last.
    fn within(&self, error: DriverError) -> DriverError {
        let name = self.read.databases.last().and_then(|last| self.database(last.number).ok());
        error.within(&format!("database {}", name.map_or("?", |database| database.name.as_str())))
    }

    fn end(mut self, end: &End) -> Result<Manifest, DriverError> {
        self.finish_current()?;
        if self.read != *end || end.databases.len() != self.manifest.server.databases.len() {
            return Err(DriverError::Content("the end does not fit what was read".to_owned()));
        }
        Ok(self.manifest)
    }
}

/// What a newer server has dumped may hold what an older one does not know.
fn not_newer(source: &Server, target: &Server) -> Result<(), DriverError> {
    match source.major() > target.major() {
        false => Ok(()),
        true => Err(DriverError::of(
            Trouble::WrongVersion,
            format!(
                "the backup is of a server of version {}, newer than this one of version {}",
                source.server_version, target.server_version
            ),
        )),
    }
}

/// Chunks come in order, none missing.
fn count(length: &mut Length, chunk: u32, bytes: u64) -> Result<(), DriverError> {
    length.chunks = length.chunks.saturating_add(1);
    length.bytes = length.bytes.saturating_add(bytes);
    match length.chunks == chunk {
        true => Ok(()),
        false => Err(DriverError::Content(format!("chunk {} is missing", length.chunks))),
    }
}
