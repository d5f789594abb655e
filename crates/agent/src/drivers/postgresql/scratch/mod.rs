//! An empty PostgreSQL server for a rehearsal: made by `initdb` in a directory of its own, reachable through a Unix socket
//! in that directory and nothing else, without any care for its data's durability.

mod check;
mod table_reads;

use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use backup_protocol::Check;
use nix::sys::signal::Signal;

use super::manifest::Server;
use super::programs::Programs;
use super::{LoadedDatabases, Postgresql, PostgresqlSettings, load, recover};
use crate::drivers::{Driver, DriverError, Loaded, Scratch, own_server};
use crate::session::{Program, RunningProgram, Session};

const PORT: u16 = 5432;
const START_LIMIT: Duration = Duration::from_secs(120);
/// The server itself kills its children five seconds after it is asked to end at once.
const END_LIMIT: Duration = Duration::from_secs(15);
/// Users as which the server runs when the agent is root, the first there is. The data service's own user sees nothing
/// new; anybody else might.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// Settings of the server. Nothing must be durable; nothing runs that was not asked for; a query ends soon after its
/// client is gone (`client_connection_check_interval`, since version 14).
const SETTINGS: [(&str, &str); 19] = [
    ("listen_addresses", ""),
    ("unix_socket_permissions", "0700"),
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("max_wal_size", "1GB"),
    ("archive_mode", "off"),
    ("autovacuum", "off"),
    ("jit", "off"),
    ("shared_buffers", "32MB"),
    ("maintenance_work_mem", "64MB"),
    ("max_connections", "40"),
    ("max_locks_per_transaction", "256"),
    ("max_logical_replication_workers", "0"),
    ("logging_collector", "off"),
    ("log_min_messages", "fatal"),
    ("log_min_error_statement", "panic"),
];

/// A server that ends when this is dropped, and with the agent.
pub(super) struct ScratchServer {
    driver: ScratchDriver,
    server: Option<RunningProgram>,
}

impl ScratchServer {
    /// Makes and starts it. `running` are the programs of the data service in use.
    pub(super) fn start(running: &Programs, session: &Session, directory: &Path) -> Result<Self, DriverError> {
        own_server::socket(directory, &format!(".s.PGSQL.{PORT}"))?;
        let bin = running.server_programs(session)?;
        let account = own_server::account(&USERS, directory)?;
        let program = |name: &str| Program::new_as(&bin.join(name), directory, account);
        let data = directory.join("data");
        let settings = settings(running.settings(), &bin, directory);
        let initdb = program("initdb")?.arg("--pgdata").arg(&data).arg("--username").arg(&settings.user);
        let initdb = initdb.arg("--auth=trust").arg("--encoding=UTF8").arg("--locale=C").arg("--no-sync");
        initdb.current_dir(directory).start(session)?.finish()?;

        let mut server = program("postgres")?.current_dir(directory).arg("-D").arg(&data);
        server = server.arg("-k").arg(directory).arg("-p").arg(PORT.to_string());
        for (name, value) in SETTINGS {
            server = server.arg("-c").arg(format!("{name}={value}"));
        }
        let version = std::fs::read_to_string(data.join("PG_VERSION")).unwrap_or_default();
        if version.trim().parse::<u32>().is_ok_and(|major| major >= 14) {
            server = server.arg("-c").arg("client_connection_check_interval=1s");
        }
        // With a session of its own: a stopped rehearsal ends the server in order, see `drop`.
        let server = server.start(&Session::default())?;
        let programs = Programs::find(settings, running.scratch())?;
        let driver = ScratchDriver { inner: Postgresql { programs: programs.into(), physical: None }, loaded: Mutex::default() };
        let mut scratch = Self { driver, server: Some(server) };
        scratch.wait_until_ready(session)?;
        Ok(scratch)
    }

    fn wait_until_ready(&mut self, session: &Session) -> Result<(), DriverError> {
        let begin = Instant::now();
        loop {
            let question = "SELECT 1;".to_owned();
            let Err(error) = self.driver.inner.programs.sql(session, "postgres", question) else { return Ok(()) };
            session.check()?;
            if self.server.as_ref().is_none_or(RunningProgram::has_ended) {
                let ended = self.server.take().map_or(Ok(()), RunningProgram::finish);
                return Err(ended.err().unwrap_or(error));
            }
            if begin.elapsed() > START_LIMIT {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Scratch for ScratchServer {
    fn driver(&self) -> &dyn Driver {
        &self.driver
    }

    fn check(&self, session: &Session) -> Result<Vec<Check>, DriverError> {
        let loaded = self.driver.loaded.lock().unwrap_or_else(PoisonError::into_inner).take();
        let loaded = loaded.ok_or_else(|| DriverError::data_service("nothing was loaded"))?;
        check::check(&self.driver.inner.programs, session, &loaded)
    }
}

impl Drop for ScratchServer {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.quit(Signal::SIGQUIT, END_LIMIT);
        }
    }
}

/// The driver itself, which remembers what it has loaded.
struct ScratchDriver {
    inner: Postgresql,
    loaded: Mutex<Option<Server>>,
}

impl Driver for ScratchDriver {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn stream_version(&self) -> u32 {
        self.inner.stream_version()
    }

    fn version(&self, session: &Session) -> Result<Option<String>, DriverError> {
        self.inner.version(session)
    }

    fn estimate(&self, session: &Session) -> Result<Option<u64>, DriverError> {
        self.inner.estimate(session)
    }

    fn backup(&self, session: &Session, out: &mut dyn Write) -> Result<(), DriverError> {
        self.inner.backup(session, out)
    }

    fn load(&self, session: &Session, _: &str, input: &mut dyn Read) -> Result<Box<dyn Loaded>, DriverError> {
        let programs = &self.inner.programs;
        let manifest = load::load(programs, session, input)?;
        let server = manifest.server.clone();
        *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
        Ok(Box::new(LoadedDatabases { programs: programs.clone(), manifest }))
    }

    fn recover(&self, session: &Session) -> Result<(), DriverError> {
        recover::recover(&self.inner.programs, session)?.cleaned
    }
}

/// The configured settings, but for the place. The roles that a restore leaves alone are not here yet, so all of the
/// backup's are made.
fn settings(running: &PostgresqlSettings, bin: &Path, directory: &Path) -> PostgresqlSettings {
    PostgresqlSettings {
        host: directory.to_string_lossy().into_owned(),
        port: PORT,
        user: running.user.clone(),
        password: None,
        ssl_mode: None,
        maintenance_database: "postgres".to_owned(),
        bin_directory: Some(bin.to_owned()),
        keep_roles: Vec::new(),
        trust_owners: running.trust_owners,
        physical: None,
    }
}
