//! An empty MariaDB server for a rehearsal: made by `mariadb-install-db` in a directory of its own, reachable through a Unix
//! socket in that directory and nothing else, without any care for its data's durability.

use std::fs::{DirBuilder, Permissions, set_permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backup_protocol::Check;

use super::check::{self, Expected};
use super::client::Client;
use super::load::Backup;
use super::server_programs::ServerPrograms;
use super::{Inner, Mariadb, MariadbSettings};
use crate::drivers::own_server::{self, Noted};
use crate::drivers::{Driver, DriverError, Scratch};
use crate::session::{Program, RunningProgram, Session};

const START_LIMIT: Duration = Duration::from_secs(120);
/// Users as which the server runs when the agent is root, the first there is. The data service's own user sees nothing
/// new; anybody else might.
const USERS: [&str; 2] = ["mysql", "nobody"];
/// The agent's user in the scratch server; a name no backup has, so that all users of the backup are restored.
const AGENT: &str = "backup_agent_rehearsal";

/// Options of the server. Nothing must be durable; nothing runs that was not asked for, also no event of the backup.
const OPTIONS: [&str; 14] = [
    "--skip-networking",
    "--skip-log-bin",
    "--skip-slave-start",
    "--skip-name-resolve",
    "--event-scheduler=OFF",
    "--performance-schema=OFF",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--innodb-buffer-pool-size=64M",
    "--innodb-buffer-pool-load-at-startup=0",
    "--innodb-log-file-size=64M",
    "--aria-pagecache-buffer-size=16M",
    "--key-buffer-size=8M",
    "--max-connections=20",
];

/// The server of a rehearsal; ended when this is dropped, and with the agent.
pub(super) struct OwnServer {
    pub(super) running: RunningProgram,
    /// What a restore must bring.
    loaded: Noted<Expected>,
}

impl OwnServer {
    /// Remembers what was loaded.
    pub(super) fn note(&self, inner: &Inner, session: &Session, backup: Backup) -> Result<(), DriverError> {
        self.loaded.note(Expected { users: check::loaded_users(&inner.client, session)?, backup });
        Ok(())
    }
}

/// A scratch data service.
pub(super) struct ScratchMariadb {
    driver: Mariadb,
}

impl ScratchMariadb {
    /// Makes and starts it. `running` is the data service in use, which is asked for what must be the same if it answers.
    pub(super) fn start(running: &Client, session: &Session, directory: &Path) -> Result<Self, DriverError> {
        let programs = ServerPrograms::find(running.directory())?;
        // The server's user may do as they like in their directory; the agent has another.
        let (place, own) = (directory.join("server"), directory.join("agent"));
        let failed = |e| DriverError::data_service(format!("{}: {e}", directory.display()));
        set_permissions(directory, Permissions::from_mode(0o711)).map_err(failed)?;
        for path in [&place, &own] {
            DirBuilder::new().mode(0o700).create(path).map_err(failed)?;
        }
        let socket = own_server::socket(&place, "mariadb.sock")?;
        let account = own_server::account(&USERS, &place)?;
        let same = same(running, session)?;
        let program = |path: &Path| -> Result<Program, DriverError> {
            let program = Program::new_as(path, &place, account)?.judged_by_exit_status();
            let mut program = program.current_dir(&place).arg("--no-defaults");
            if let Some(base) = &programs.base {
                program = program.arg(format!("--basedir={}", base.display()));
            }
            program = program.arg(format!("--datadir={}", place.join("data").display()));
            program = program.arg(format!("--tmpdir={}", place.display()));
            Ok(same.iter().fold(program, Program::arg))
        };
        let install = program(&programs.install)?.arg("--auth-root-authentication-method=normal");
        let install = install.arg("--skip-test-db").arg("--skip-name-resolve");
        install.arg("--innodb-flush-log-at-trx-commit=0").start(session)?.finish()?;

        let server = OPTIONS.into_iter().fold(program(&programs.server)?, Program::arg);
        let server = server.arg(format!("--socket={}", socket.display()));
        let server = server.arg(format!("--pid-file={}", place.join("mariadb.pid").display()));
        let mut server = server.arg(format!("--secure-file-priv={}", place.display())).start(session)?;

        let client = |user: &str| Client::find(settings(running, &socket, user), &own);
        server = wait_until_ready(server, &client("root")?, session)?;
        let grant = format!(
            "CREATE USER {AGENT}@localhost;\nGRANT ALL PRIVILEGES ON *.* TO {AGENT}@localhost WITH GRANT OPTION;\n"
        );
        client("root")?.sql(session, grant)?;
        let server = OwnServer { running: server, loaded: Noted::default() };
        let inner = Arc::new(Inner::new(client(AGENT)?, &own, Some(server)));
        Ok(Self { driver: Mariadb { inner } })
    }
}

impl Scratch for ScratchMariadb {
    fn driver(&self) -> &dyn Driver {
        &self.driver
    }

    fn check(&self, session: &Session) -> Result<Vec<Check>, DriverError> {
        let inner = &self.driver.inner;
        let loaded = inner.own.as_ref().ok_or_else(own_server::nothing_loaded)?.loaded.take()?;
        check::check(&inner.client, session, &loaded)
    }
}

fn wait_until_ready(
    server: RunningProgram,
    client: &Client,
    session: &Session,
) -> Result<RunningProgram, DriverError> {
    let begin = Instant::now();
    loop {
        let Err(error) = client.sql(session, "SELECT 1;".to_owned()) else { return Ok(server) };
        session.check()?;
        if server.has_ended() {
            return Err(server.finish().err().unwrap_or(error));
        }
        if begin.elapsed() > START_LIMIT {
            return Err(error);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The configured settings, but for the place.
fn settings(running: &Client, socket: &Path, user: &str) -> MariadbSettings {
    MariadbSettings {
        socket: Some(socket.to_owned()),
        user: user.to_owned(),
        password: None,
        ca_path: None,
        bin_directory: Some(running.directory().to_owned()),
        keep_users: Vec::new(),
        ..running.settings().clone()
    }
}

/// What decides about tables and names cannot be changed later; none when the running server does not answer.
fn same(running: &Client, session: &Session) -> Result<Vec<String>, DriverError> {
    let sql = "SELECT CONCAT('--innodb-page-size=', @@innodb_page_size);
        SELECT CONCAT('--lower-case-table-names=', @@lower_case_table_names);";
    let asked = running.sql(session, sql.to_owned());
    session.check()?;
    Ok(asked.map_or_else(|_| Vec::new(), |answer| answer.lines().map(ToOwned::to_owned).collect()))
}
