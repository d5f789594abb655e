//! The exchange: the running server becomes a replica of the temporary one and a master again as soon as it has everything.
//! Until then it serves its old data to readers and refuses writers.
//!
//! The server itself knows which way it went. A replication id names a history of data: as long as it has its own, nothing
//! was replaced; when it has taken over another one, everything was.

use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::Inner;
use super::connection::Connection;
use super::info::Info;
use super::temporary::{self, TemporaryServer};
use crate::drivers::own_server::{may_be_left, to_the_end};
use crate::drivers::{DriverError, Loaded, Trouble};
use crate::session::{LimitedSession, Session};

const LIMIT: Duration = Duration::from_secs(6 * 3600);
const SETTLE_LIMIT: Duration = Duration::from_secs(120);
/// How long a transfer may show no progress.
const STANDSTILL: Duration = Duration::from_secs(120);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The running server as a restore finds it.
pub(super) struct Target {
    pub(super) databases: u32,
    generation: (bool, u32, u32),
    version: String,
    max_memory: u64,
}

impl Target {
    fn read(live: &mut Connection, info: &Info) -> Result<Self, DriverError> {
        Ok(Self {
            databases: setting(live, "databases")?.and_then(|text| text.parse().ok()).unwrap_or(16),
            generation: info.generation(),
            version: info.version().to_owned(),
            max_memory: info.number("maxmemory").unwrap_or(0),
        })
    }

    /// Whether the data of the temporary server can be taken over.
    pub(super) fn fits(&self, temporary: &Info) -> Result<(), DriverError> {
        if temporary.generation() > self.generation {
            let message = format!(
                "the server program for restores has version {}, newer than the running server's {}",
                temporary.version(),
                self.version
            );
            return Err(DriverError::of(Trouble::WrongVersion, message));
        }
        let of = |name| temporary.number(name).unwrap_or(0);
        let needed = of("used_memory").saturating_sub(of("used_memory_startup"));
        if self.max_memory > 0 && needed > self.max_memory {
            let message = format!(
                "the data need {needed} bytes of memory, more than the server's maxmemory of {}",
                self.max_memory
            );
            return Err(DriverError::data_service(message));
        }
        Ok(())
    }
}

/// Looks whether the running server can be restored at all.
pub(super) fn check_target(inner: &Inner, session: &Session) -> Result<Target, DriverError> {
    let mut live = inner.connect(session)?;
    let info = Info::read(&mut live)?;
    super::backup::refuse_cluster(&info)?;
    if !info.is("role", "master") {
        let message = format!(
            "the server is a replica of {}:{}; restore its master",
            info.get("master_host"),
            info.get("master_port")
        );
        return Err(DriverError::data_service(message));
    }
    if setting(&mut live, "tls-replication")?.as_deref() == Some("yes") {
        return Err(DriverError::data_service("the server replicates over TLS only, which is not supported"));
    }
    Target::read(&mut live, &info)
}

/// The running server as a restore would find it, if it answers.
pub(super) fn target_if_it_answers(inner: &Inner, session: &Session) -> Result<Option<Target>, DriverError> {
    let asked = inner.connect(session).and_then(|mut live| {
        let info = Info::read(&mut live)?;
        Target::read(&mut live, &info)
    });
    session.check()?;
    Ok(asked.ok())
}

/// What the next start must know about an exchange.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Pending {
    /// Address and port of the temporary server.
    address: String,
    port: u16,
    /// The running server's replication id before the exchange.
    replication_id: String,
    /// Settings of the running server that are changed meanwhile, as they were.
    settings: Vec<(String, String)>,
}

/// Data that are loaded in the temporary server.
pub(super) struct Exchange {
    pub(super) inner: Arc<Inner>,
    pub(super) temporary: TemporaryServer,
}

impl Loaded for Exchange {
    fn commit(self: Box<Self>, session: &Session) -> Result<(), DriverError> {
        let outcome = to_the_end(self.inner.own_server(), session, LIMIT, |session| self.exchange(session));
        // An error says little: an answer may be lost although all is done. And success is what the server says.
        match (settle_at_last(&self.inner, session)?, outcome) {
            (Direction::Finished, _) => {
                persist_or_log(&self.inner);
                Ok(())
            }
            (Direction::Undone, Err(DriverError::Stopped)) => {
                Err(DriverError::data_service("the exchange took too long"))
            }
            (Direction::Undone, Err(error)) => Err(error),
            (Direction::Undone, Ok(())) => Err(DriverError::data_service(
                "the server did not keep the restored data; it was started again or made a replica of another",
            )),
        }
    }

    fn discard(self: Box<Self>) {
        // Its end ends the temporary server.
    }
}

impl Exchange {
    fn exchange(&self, session: &Session) -> Result<(), DriverError> {
        let inner = &*self.inner;
        let mut live = inner.connect(session)?;
        let password = self.temporary.password.expose_secret();
        // `swapdb` keeps the old data until the new ones are complete; older servers go over a file.
        let wanted = [
            ("masteruser", ""),
            ("masterauth", password),
            ("repl-diskless-load", "swapdb"),
            ("replica-read-only", "yes"),
        ];
        let mut pending = Pending {
            address: inner.settings.restore_address.to_string(),
            port: self.temporary.port,
            replication_id: Info::read(&mut live)?.get("master_replid").to_owned(),
            settings: Vec::new(),
        };
        let mut changes = Vec::new();
        for (name, value) in wanted {
            if let Some(now) = setting(&mut live, name)? {
                pending.settings.push((name.to_owned(), now));
                changes.push((name, value));
            }
        }
        inner.record.write(&pending)?;
        for (name, value) in changes {
            live.command(&["CONFIG", "SET", name, value])?;
        }
        live.command(&["REPLICAOF", &pending.address, &pending.port.to_string()])?;
        self.wait(&mut live, session)?;
        live.command(&["REPLICAOF", "NO", "ONE"]).map(drop)
    }

    /// Waits until the running server has everything.
    fn wait(&self, live: &mut Connection, session: &Session) -> Result<(), DriverError> {
        let mut progress = (String::new(), Instant::now());
        loop {
            session.check()?;
            let info = Info::read(live)?;
            if info.is("role", "slave") && info.is("master_link_status", "up") {
                return Ok(());
            }
            if !info.is("role", "slave") {
                return Err(DriverError::data_service("somebody else has changed the server's role meanwhile"));
            }
            if self.temporary.has_ended() {
                return Err(DriverError::data_service("the temporary server of the restore ended too early"));
            }
            let now = ["master_sync_read_bytes", "loading_loaded_bytes", "rdb_bgsave_in_progress"]
                .map(|name| info.get(name).to_owned())
                .join(" ");
            if now != progress.0 {
                progress = (now, Instant::now());
            }
            if progress.1.elapsed() > STANDSTILL {
                let message = "the server does not load the data of the temporary server; its log says why";
                return Err(DriverError::data_service(message));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Which way an exchange went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Finished,
    Undone,
}

/// Makes the server a master again, if it is our replica, puts its settings back, and says which data it has.
fn settle(inner: &Inner, session: &Session, pending: &Pending) -> Result<Direction, DriverError> {
    let mut live = inner.connect(session)?;
    // It still reads what it has got; it gives up when it finds nobody at the other end.
    let info = loop {
        let info = Info::read(&mut live)?;
        if !info.is("loading", "1") {
            break info;
        }
        session.check()?;
        std::thread::sleep(Duration::from_millis(50));
    };
    let is_ours = info.is("role", "slave")
        && info.is("master_host", &pending.address)
        && info.is("master_port", &pending.port.to_string());
    if is_ours {
        live.command(&["REPLICAOF", "NO", "ONE"])?;
    }
    let info = Info::read(&mut live)?;
    for (name, value) in &pending.settings {
        live.command(&["CONFIG", "SET", name, value])?;
    }
    let before = &pending.replication_id;
    let own = info.is("master_replid", before) || info.is("master_replid2", before);
    // A server that was started again has no second id, and what its disk held.
    let has_another = info.get("master_replid2").bytes().any(|digit| digit != b'0');
    match !own && has_another && info.is("role", "master") {
        true => Ok(Direction::Finished),
        false => Ok(Direction::Undone),
    }
}

/// As [`settle`], however long the server does not answer: until then nobody may claim either.
fn settle_at_last(inner: &Inner, session: &Session) -> Result<Direction, DriverError> {
    let mut pause = Duration::from_millis(200);
    // Nothing was begun without a record.
    let Some(pending) = inner.record.read()? else { return Ok(Direction::Undone) };
    loop {
        let settled = settle(inner, &LimitedSession::new(SETTLE_LIMIT), &pending);
        match settled {
            Ok(direction) => {
                if let Err(error) = inner.record.remove() {
                    tracing::warn!(%error, "the record of a restore stays until the next try");
                }
                return Ok(direction);
            }
            Err(error) if may_be_left(inner.own_server(), session) => return Err(error),
            Err(error) => tracing::warn!(%error, "whether a restore is complete cannot be found out yet"),
        }
        std::thread::sleep(pause);
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

/// Puts a server back that a killed agent has left as the replica of a server that is no more.
pub(super) fn recover(inner: &Inner, session: &Session) -> Result<(), DriverError> {
    if let Some(pending) = inner.record.read()? {
        match settle(inner, session, &pending)? {
            Direction::Finished => tracing::warn!("an interrupted restore had replaced the data already"),
            Direction::Undone => tracing::warn!("an interrupted restore is undone"),
        }
        inner.record.remove()?;
    }
    temporary::remove_leftovers(&inner.scratch)
}

/// Puts the new data on the server's disk, if it keeps any there: otherwise its next start would bring the old data back.
fn persist_or_log(inner: &Inner) {
    if let Err(error) = persist(inner, &LimitedSession::new(LIMIT)) {
        tracing::error!(%error, "the restored data are in use, but not on the server's disk yet");
    }
}

fn persist(inner: &Inner, session: &Session) -> Result<(), DriverError> {
    let mut live = inner.connect(session)?;
    let saves = setting(&mut live, "save")?.is_some_and(|rules| !rules.is_empty());
    let appends = Info::read(&mut live)?.is("aof_enabled", "1");
    // The server rewrites its append-only file by itself; one may be under way, then the snapshot comes after it.
    wait_for_disk(&mut live, session)?;
    if saves {
        live.command(&["BGSAVE", "SCHEDULE"])?;
        wait_for_disk(&mut live, session)?;
    }
    let info = Info::read(&mut live)?;
    let failed = |what| Err(DriverError::data_service(format!("the server could not write its {what}")));
    match () {
        () if saves && !info.is("rdb_last_bgsave_status", "ok") => failed("snapshot"),
        () if appends && !info.is("aof_last_bgrewrite_status", "ok") => failed("append-only file"),
        () => Ok(()),
    }
}

fn wait_for_disk(live: &mut Connection, session: &Session) -> Result<(), DriverError> {
    loop {
        session.check()?;
        let info = Info::read(live)?;
        let busy = ["rdb_bgsave_in_progress", "aof_rewrite_in_progress", "aof_rewrite_scheduled"];
        if busy.iter().all(|name| !info.is(name, "1")) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A setting of the server; none when it does not know it.
fn setting(live: &mut Connection, name: &str) -> Result<Option<String>, DriverError> {
    Ok(live.command(&["CONFIG", "GET", name])?.into_iter().nth(1))
}
