//! One dump → one new database. The dump's table of contents is kept in a scratch file, which is all `pg_restore` needs for
//! everything but the data; the data is streamed. Who restores what is decided by `plan.rs`.

use std::collections::{BTreeSet, HashSet};
use std::io::{BufReader, Read, Write};
use std::process::ChildStdin;

use super::archive;
use super::manifest::Server;
use super::names;
use super::plan::{By, Plan, Step};
use super::programs::Programs;
use super::scratch_file::ScratchFile;
use super::stand_ins::{self, Login};
use super::state::State;
use crate::drivers::DriverError;
use crate::session::{Program, RunningProgram, Session};

/// The table of contents is first looked for after so many bytes, then after twice as many, and so on.
const FIRST_LOOK: u64 = 64 * 1024;

/// Indexes and constraints that are made at a time; the clients of the server want processors, too.
const JOBS: u32 = 2;

/// What to do about rights an owner lacks.
const WITHOUT_SUPERUSER: &str = "objects are restored with no more rights than their owners; if the owners of all databases \
                                 can be trusted with the whole server, set trust_owners";

/// What holds for all databases of a restore.
pub(super) struct Conditions<'a> {
    pub(super) programs: &'a Programs,
    pub(super) session: &'a Session,
    /// Roles of the backup that are superusers.
    pub(super) superusers: HashSet<String>,
    /// Tablespaces of this server.
    pub(super) tablespaces: Vec<String>,
    /// Some tablespace of the backup is missing.
    pub(super) without_tablespaces: bool,
}

impl<'a> Conditions<'a> {
    pub(super) fn new(
        programs: &'a Programs,
        session: &'a Session,
        source: &Server,
        target: &Server,
    ) -> Self {
        let superusers = source.roles.iter().filter(|role| role.superuser).map(|role| role.name.clone());
        Self {
            programs,
            session,
            superusers: superusers.collect(),
            tablespaces: target.tablespaces.clone(),
            without_tablespaces: !source.tablespaces.iter().all(|t| target.tablespaces.contains(t)),
        }
    }

    pub(super) fn restore_sql(&self, database: &str, sql: String) -> Result<String, DriverError> {
        self.programs.restore_sql(self.session, database, sql)
    }
}

/// A database that is being loaded.
pub(super) struct Loading {
    database: String,
    /// The beginning of the dump.
    head: ScratchFile,
    received: u64,
    next_look: u64,
    plan: Plan,
    logins: Vec<Login>,
    /// Who reads the dump; none until it is known who should.
    readers: Option<Vec<Reader>>,
    granted: BTreeSet<(usize, String)>,
}

/// A `pg_restore` that reads the dump from its standard input.
struct Reader {
    running: Option<RunningProgram>,
    stdin: Option<ChildStdin>,
    /// Kept until the program has read it.
    _list: Option<ScratchFile>,
}

impl Loading {
    /// Begins with an empty database.
    pub(super) fn begin(conditions: &Conditions<'_>, database: String) -> Result<Self, DriverError> {
        let programs = conditions.programs;
        let mut loading = Self {
            database,
            head: ScratchFile::create(programs.scratch())?,
            received: 0,
            next_look: FIRST_LOOK,
            plan: Plan::default(),
            logins: Vec::new(),
            readers: None,
            granted: BTreeSet::new(),
        };
        if programs.settings().trust_owners {
            let program = loading.pg_restore(conditions, None, None)?;
            loading.readers = Some(vec![Reader::start(program, None, conditions.session)?]);
        }
        Ok(loading)
    }

    /// Takes the next bytes of the dump.
    pub(super) fn write(
        &mut self,
        conditions: &Conditions<'_>,
        state: &mut State,
        bytes: &[u8],
    ) -> Result<(), DriverError> {
        if let Some(readers) = &mut self.readers {
            return readers.iter_mut().try_for_each(|reader| reader.write(bytes));
        }
        self.head.append(bytes)?;
        self.received = self.received.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if self.received < self.next_look {
            return Ok(());
        }
        self.next_look = self.received.saturating_mul(2);
        self.look(conditions, state).map(drop)
    }

    /// The dump is complete: restores what was waiting for the data.
    pub(super) fn finish(mut self, conditions: &Conditions<'_>, state: &mut State) -> Result<(), DriverError> {
        if self.readers.is_none() && !self.look(conditions, state)? {
            return Err(DriverError::Content("a dump has no table of contents".to_owned()));
        }
        let mut readers = self.readers.take().unwrap_or_default();
        // All at once, so that none waits for the end while another one is waited for.
        readers.iter_mut().for_each(|reader| drop(reader.stdin.take()));
        readers.iter_mut().try_for_each(Reader::finish)?;
        if conditions.programs.settings().trust_owners {
            return Ok(());
        }
        let after = std::mem::take(&mut self.plan.after);
        self.steps(conditions, &after, JOBS)?;
        self.sql(conditions, stand_ins::hand_over(&self.logins, &self.plan.owners))?;
        self.restore(conditions, None, &self.plan.closing, 1)?;
        self.refresh(conditions)?;
        self.sql(conditions, stand_ins::drop_all(&state.stand_ins))?;
        self.restore(conditions, None, &self.plan.last, 1)?;
        state.stand_ins.clear();
        conditions.restore_sql(names::CONTROL, state.record()).map(drop)
    }

    /// Looks for the table of contents; once it is there, makes everything that is to be filled with data.
    fn look(&mut self, conditions: &Conditions<'_>, state: &mut State) -> Result<bool, DriverError> {
        let Some(entries) = archive::contents(BufReader::new(self.head.reopen()?))? else { return Ok(false) };
        let superusers = conditions.superusers.iter().map(String::as_str).collect();
        self.plan = Plan::of(&entries, &superusers).map_err(DriverError::Content)?;
        drop(entries);
        self.logins = Login::all(&self.plan.owners);
        self.make_stand_ins(conditions, state)?;
        let before = std::mem::take(&mut self.plan.before);
        self.steps(conditions, &before, 1)?;
        let mut readers = Vec::new();
        for step in &self.plan.data {
            let list = self.list(conditions, &step.entries)?;
            let (give, _) = stand_ins::rights(step, &self.logins, &self.plan.owners);
            self.sql(conditions, give)?;
            let program = self.pg_restore(conditions, self.login(step.by), Some(&list))?;
            readers.push(Reader::start(program, Some(list), conditions.session)?);
        }
        let mut head = self.head.reopen()?;
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let unreadable = |e| DriverError::data_service(format!("a scratch file cannot be read: {e}"));
            let read = head.read(&mut buffer).map_err(unreadable)?;
            if read == 0 {
                break;
            }
            let bytes = buffer.get(..read).unwrap_or_default();
            readers.iter_mut().try_for_each(|reader| reader.write(bytes))?;
        }
        self.readers = Some(readers);
        Ok(true)
    }

    fn make_stand_ins(&self, conditions: &Conditions<'_>, state: &mut State) -> Result<(), DriverError> {
        state.stand_ins = self.logins.iter().map(|login| login.role.clone()).collect();
        let sql = format!(
            "{}{}{}",
            stand_ins::refuse_strangers(),
            state.record(),
            stand_ins::create(&self.logins, &self.plan, &self.database, &conditions.tablespaces),
        );
        conditions.restore_sql(names::CONTROL, sql)?;
        let Some(first) = self.logins.first() else { return Ok(()) };
        let answer = conditions.programs.program_as("psql", &self.database, Some(first))?;
        let answer = answer.arg("--no-psqlrc").arg("--command=SELECT 1").answer(conditions.session, String::new());
        let hint = "a restore loads data with roles of its own, named backup_agent_load_N, with a password; the server \
                    does not let them in, see pg_hba.conf and docs/agent-protocol.md";
        answer.map(drop).map_err(|error| error.within(hint))
    }

    fn steps(&mut self, conditions: &Conditions<'_>, steps: &[Step], jobs: u32) -> Result<(), DriverError> {
        for step in steps {
            let (give, take) = stand_ins::rights(step, &self.logins, &self.plan.owners);
            if self.needs_rights(step) {
                self.sql(conditions, give)?;
            }
            self.restore(conditions, self.login(step.by), &step.entries, jobs)?;
            self.sql(conditions, take)?;
            if step.by == By::Agent {
                self.sql(conditions, stand_ins::open_schemas(&self.logins))?;
            }
        }
        Ok(())
    }

    /// Whether a step needs rights that were not given before.
    fn needs_rights(&mut self, step: &Step) -> bool {
        let By::Owner(owner) = step.by else { return false };
        let mut fresh = false;
        for schema in &step.schemas {
            fresh |= self.granted.insert((owner, schema.clone()));
        }
        fresh || !step.servers.is_empty() || !step.references.is_empty() || !step.borrows.is_empty()
            || !step.fills.is_empty()
    }

    fn refresh(&mut self, conditions: &Conditions<'_>) -> Result<(), DriverError> {
        if self.plan.refresh.is_empty() {
            return Ok(());
        }
        let (before, after) = stand_ins::refreshing(&self.plan, &self.logins, &self.database);
        self.sql(conditions, before)?;
        let steps = std::mem::take(&mut self.plan.refresh);
        self.steps(conditions, &steps, 1)?;
        self.sql(conditions, after)
    }

    fn login(&self, by: By) -> Option<&Login> {
        match by {
            By::Agent => None,
            By::Owner(owner) => self.logins.get(owner),
        }
    }

    /// Restores some entries that need nothing of the data, so many at a time as their order allows.
    fn restore(
        &self,
        conditions: &Conditions<'_>,
        login: Option<&Login>,
        entries: &[u32],
        jobs: u32,
    ) -> Result<(), DriverError> {
        if entries.is_empty() {
            return Ok(());
        }
        let list = self.list(conditions, entries)?;
        let mut program = self.pg_restore(conditions, login, Some(&list))?;
        if jobs > 1 && entries.len() > 1 {
            program = program.arg(format!("--jobs={jobs}"));
        }
        let restored = program.arg(self.head.path()).start(conditions.session)?.finish();
        restored.map_err(|error| if login.is_some() { error.or_grant(WITHOUT_SUPERUSER) } else { error })
    }

    fn pg_restore(
        &self,
        conditions: &Conditions<'_>,
        login: Option<&Login>,
        list: Option<&ScratchFile>,
    ) -> Result<Program, DriverError> {
        let mut program = conditions.programs.program_as("pg_restore", &self.database, login)?;
        program = program.env("PGAPPNAME", names::APPLICATION);
        program = program.arg("--exit-on-error").arg("--dbname").arg(&self.database);
        if let Some(list) = list {
            program = program.arg("--use-list").arg(list.path());
        }
        if login.is_some() {
            program = program.arg("--no-owner");
        }
        if conditions.without_tablespaces {
            program = program.arg("--no-tablespaces");
        }
        Ok(program)
    }

    fn list(&self, conditions: &Conditions<'_>, entries: &[u32]) -> Result<ScratchFile, DriverError> {
        let mut list = ScratchFile::create(conditions.programs.scratch())?;
        let lines: String = entries.iter().map(|id| format!("{id};\n")).collect();
        list.append(lines.as_bytes())?;
        Ok(list)
    }

    fn sql(&self, conditions: &Conditions<'_>, sql: String) -> Result<(), DriverError> {
        match sql.is_empty() {
            true => Ok(()),
            false => conditions.restore_sql(&self.database, sql).map(drop),
        }
    }
}

impl Reader {
    fn start(program: Program, list: Option<ScratchFile>, session: &Session) -> Result<Self, DriverError> {
        let mut running = program.piped_stdin().start(session)?;
        let stdin = running.stdin();
        Ok(Self { running: Some(running), stdin, _list: list })
    }

    /// A reader may end early, when it has all that is on its list.
    fn write(&mut self, bytes: &[u8]) -> Result<(), DriverError> {
        let Some(stdin) = &mut self.stdin else { return Ok(()) };
        match stdin.write_all(bytes) {
            Ok(()) => Ok(()),
            Err(_) => {
                self.stdin = None;
                self.finish()
            }
        }
    }

    fn finish(&mut self) -> Result<(), DriverError> {
        drop(self.stdin.take());
        let finished = self.running.take().map_or(Ok(()), RunningProgram::finish);
        finished.map_err(|error| error.or_grant(WITHOUT_SUPERUSER))
    }
}
