//! The temporary server of a restore: it loads the snapshot from the scratch directory, which proves that it can be loaded,
//! and hands it to the running server afterwards. It dies with the agent.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

use super::Inner;
use super::connection::Connection;
use super::exchange::Target;
use super::info::Info;
use crate::drivers::{DriverError, Trouble};
use crate::session::{Program, RunningProgram, Session};

const FOLDER: &str = "redis-restore";
const PROGRAMS: [&str; 2] = ["redis-server", "valkey-server"];
const PLACES: [&str; 4] = ["/usr/bin", "/usr/local/bin", "/usr/sbin", "/opt/bin"];

/// What its log says when the snapshot is at fault.
const BAD_CONTENT: [&str; 7] = [
    "wrong signature",
    "rdb checksum",
    "short read",
    "internal error in rdb",
    "unexpected eof",
    "bad file format",
    "unknown rdb",
];

/// A server with the data of the backup.
pub(super) struct TemporaryServer {
    pub(super) port: u16,
    pub(super) password: SecretString,
    running: RunningProgram,
    _folder: Folder,
}

impl TemporaryServer {
    /// Stores the stream and loads it; also returns what the server then says of itself.
    pub(super) fn load(
        inner: &Inner,
        target: &Target,
        session: &Session,
        input: &mut dyn Read,
    ) -> Result<(Self, Info), DriverError> {
        let program = find(inner.settings.server_program.as_deref())?;
        let folder = Folder::create(&inner.scratch)?;
        store(&folder.0.join("dump.rdb"), input)?;
        let server = Self::start(inner, &program, target, folder)?;
        let info = server.wait_until_loaded(inner, session)?;
        target.fits(&info)?;
        Ok((server, info))
    }

    /// Connects to it.
    pub(super) fn connect(&self, inner: &Inner, session: &Session) -> Result<Connection, DriverError> {
        let host = inner.settings.restore_address.to_string();
        let mut connection = Connection::open(&host, self.port, session)?;
        connection.authenticate(None, Some(&self.password))?;
        Ok(connection)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.running.has_ended()
    }

    fn start(inner: &Inner, program: &Path, target: &Target, folder: Folder) -> Result<Self, DriverError> {
        let address = inner.settings.restore_address;
        let port = TcpListener::bind((address, 0)).and_then(|listener| Ok(listener.local_addr()?.port()));
        let port = port.map_err(|e| DriverError::data_service(format!("no free port of {address}: {e}")))?;
        let password = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
        let configuration = format!(
            "port {port}\nbind {address}\nprotected-mode no\nrequirepass {password}\ndir \"{0}\"\n\
             logfile \"{0}/server.log\"\ndbfilename dump.rdb\nsave \"\"\nappendonly no\ndatabases {1}\n\
             daemonize no\nmaxmemory 0\nrepl-diskless-sync yes\nrepl-diskless-sync-delay 0\n",
            folder.0.display(),
            target.databases,
        );
        let file = folder.0.join("server.conf");
        write(&file, &mut configuration.as_bytes())?;
        // In a session of its own: it is needed during the exchange, which nothing stops.
        let running = Program::new(program, &folder.0)?.judged_by_exit_status().current_dir(&folder.0);
        let running = running.arg(&file).start(&Session::default())?;
        Ok(Self { port, password: password.into(), running, _folder: folder })
    }

    fn wait_until_loaded(&self, inner: &Inner, session: &Session) -> Result<Info, DriverError> {
        loop {
            session.check()?;
            if self.has_ended() {
                return Err(self.why_it_ended());
            }
            // Refuses connections at first, and most commands while it loads.
            let info = self.connect(inner, session).and_then(|mut found| Info::read(&mut found));
            if let Ok(info) = info
                && info.is("loading", "0")
            {
                return Ok(info);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its log is the only one who knows.
    fn why_it_ended(&self) -> DriverError {
        let (log, last) = read_log(&self._folder.0.join("server.log"));
        let text = log.to_lowercase();
        if text.contains("can't handle rdb format version") {
            let message = format!("the backup is of a newer Redis than the installed server program: {last}");
            return DriverError::of(Trouble::WrongVersion, message);
        }
        if BAD_CONTENT.iter().any(|words| text.contains(words)) {
            return DriverError::Content(format!("the snapshot does not load: {last}"));
        }
        DriverError::data_service(format!("the temporary server of the restore ended: {last}"))
    }
}

/// A server's log, and its last lines.
pub(super) fn read_log(file: &Path) -> (String, String) {
    let log = String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = log.lines().collect();
    let last = lines.iter().skip(lines.len().saturating_sub(6)).copied().collect::<Vec<_>>().join(" / ");
    (log, last)
}

/// The temporary server's directory; removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn create(scratch: &Path) -> Result<Self, DriverError> {
        remove_leftovers(scratch)?;
        let path = scratch.join(FOLDER);
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|e| DriverError::data_service(format!("could not make {}: {e}", path.display())))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "the files of a restore stay until the next try");
        }
    }
}

/// Removes what a killed agent has left in the scratch directory.
pub(super) fn remove_leftovers(scratch: &Path) -> Result<(), DriverError> {
    match fs::remove_dir_all(scratch.join(FOLDER)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(DriverError::data_service(format!("could not remove {FOLDER}: {error}")))
        }
        _ => Ok(()),
    }
}

fn store(path: &Path, input: &mut dyn Read) -> Result<(), DriverError> {
    let mut first = [0; 9];
    input.read_exact(&mut first).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => DriverError::Content("the snapshot is too short".to_owned()),
        _ => DriverError::Stream(error),
    })?;
    if !first.starts_with(b"REDIS") && !first.starts_with(b"VALKEY") {
        return Err(DriverError::Content("this is no snapshot of Redis".to_owned()));
    }
    write(path, &mut first.chain(input))
}

pub(super) fn write(path: &Path, input: &mut dyn Read) -> Result<(), DriverError> {
    let failed = |e| DriverError::data_service(format!("could not write {}: {e}", path.display()));
    let mut file =
        File::options().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let read = input.read(&mut buffer).map_err(DriverError::Stream)?;
        if read == 0 {
            return file.flush().map_err(failed);
        }
        file.write_all(buffer.get(..read).unwrap_or_default()).map_err(failed)?;
    }
}

pub(super) fn find(configured: Option<&Path>) -> Result<PathBuf, DriverError> {
    let found = match configured {
        Some(path) => Some(path.to_owned()).filter(|path| path.is_file()),
        None => PROGRAMS
            .iter()
            .flat_map(|name| PLACES.iter().map(move |place| Path::new(place).join(name)))
            .find(|path| path.is_file()),
    };
    let wanted = configured.map_or_else(|| PROGRAMS.join(" or "), |path| path.display().to_string());
    found.ok_or_else(|| {
        let message = format!(
            "{wanted} is not installed (package redis-server or valkey-server); restores and rehearsals load the backup \
             with it"
        );
        DriverError::of(Trouble::ProgramMissing, message)
    })
}
