//! An empty server for a rehearsal: reachable through a Unix socket in a directory of its own and nothing else, without any
//! files of its data. It is restored like any other: a temporary server loads the snapshot and hands it over, on the
//! loopback interface and with a password nobody knows.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backup_protocol::Check;

use super::check::{self, Contents};
use super::exchange::{Target, target_if_it_answers};
use super::info::Info;
use super::temporary::{find, read_log, write};
use super::{Inner, RECORD, Redis, RedisSettings};
use crate::drivers::alone::Alone;
use crate::drivers::record::Record;
use crate::drivers::own_server::{self, Noted};
use crate::drivers::{Driver, DriverError, Scratch};
use crate::session::{Program, RunningProgram, Session};

/// Databases when nobody knows how many the running server has.
const PLENTY: u32 = 1024;

/// The server of a rehearsal; ended when this is dropped, and with the agent.
pub(super) struct OwnServer {
    pub(super) running: RunningProgram,
    /// The server a restore would be for.
    restored: Option<Target>,
    /// What the temporary server has found in the snapshot.
    loaded: Noted<Contents>,
}

impl OwnServer {
    /// Remembers what was loaded; refuses what the running server would refuse.
    pub(super) fn note(&self, temporary: &Info) -> Result<(), DriverError> {
        if let Some(target) = &self.restored {
            target.fits(temporary)?;
        }
        self.loaded.note(Contents::of(temporary));
        Ok(())
    }
}

/// A scratch data service.
pub(super) struct ScratchRedis {
    driver: Redis,
}

impl ScratchRedis {
    /// Starts it. `running` is the data service in use, which is asked for its version and sizes if it answers.
    pub(super) fn start(running: &Inner, session: &Session, directory: &Path) -> Result<Self, DriverError> {
        let program = find(running.settings.server_program.as_deref())?;
        let socket = own_server::socket(directory, "redis.sock")?;
        let restored = target_if_it_answers(running, session)?;
        let log = directory.join("scratch.log");
        let configuration = format!(
            "port 0\nunixsocket \"{}\"\nunixsocketperm 700\ndir \"{}\"\nlogfile \"{}\"\nsave \"\"\nappendonly no\n\
             databases {}\ndaemonize no\nmaxmemory 0\n",
            socket.display(),
            directory.display(),
            log.display(),
            restored.as_ref().map_or(PLENTY, |target| target.databases),
        );
        let file = directory.join("scratch.conf");
        write(&file, &mut configuration.as_bytes())?;
        let server = Program::new(&program, directory)?.judged_by_exit_status().current_dir(directory);
        let server = OwnServer {
            running: server.arg(&file).start(session)?,
            restored,
            loaded: Noted::default(),
        };
        let settings = RedisSettings {
            socket: Some(socket),
            user: None,
            password: None,
            server_program: Some(program),
            restore_address: IpAddr::from(Ipv4Addr::LOCALHOST),
            ..running.settings.clone()
        };
        let record = Record::at(directory, RECORD);
        let inner = Inner {
            settings,
            scratch: directory.to_owned(),
            record,
            recovering: Alone::default(),
            own: Some(server),
        };
        let scratch = Self { driver: Redis { inner: Arc::new(inner) } };
        scratch.wait_until_ready(session, &log)?;
        Ok(scratch)
    }

    fn wait_until_ready(&self, session: &Session, log: &Path) -> Result<(), DriverError> {
        let inner = &self.driver.inner;
        while inner.connect(session).and_then(|mut live| Info::read(&mut live)).is_err() {
            session.check()?;
            if inner.own_server().is_none_or(RunningProgram::has_ended) {
                let (_, last) = read_log(log);
                return Err(DriverError::data_service(format!("the server ended: {last}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Scratch for ScratchRedis {
    fn driver(&self) -> &dyn Driver {
        &self.driver
    }

    fn check(&self, session: &Session) -> Result<Vec<Check>, DriverError> {
        let inner = &self.driver.inner;
        let loaded = inner.own.as_ref().ok_or_else(own_server::nothing_loaded)?.loaded.take()?;
        check::check(&mut inner.connect(session)?, session, &loaded)
    }
}
