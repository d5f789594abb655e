//! The exchange: clients are kept out, [`transition`](super::transition) goes forward, and backward when that fails; then
//! clients come back. It runs to its end once begun, whatever happens to the operation; while the server does not answer,
//! it waits.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::Inner;
use super::backup;
use super::backup::USERS;
use super::catalogue::Catalogue;
use super::client::drop_database;
use super::container::Script;
use super::names::{self, literal, quote, table};
use super::pending::{Pending, Phase};
use super::transition::{Way, go};
use crate::drivers::DriverError;
use crate::drivers::own_server::{may_be_left, to_the_end};
use crate::session::{LimitedSession, Program, Session};

const LIMIT: Duration = Duration::from_secs(3600);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const CONNECTIONS_END: Duration = Duration::from_secs(60);

/// No valid SQL: the server ends each new connection with it, but those of administrators.
const KEEP_OUT: &str = "a restore by the backup agent is being completed";

/// Puts the loaded tables in the place of those in use, or everything back.
pub(super) fn exchange(inner: &Inner, session: &Session) -> Result<(), DriverError> {
    let begun = to_the_end(inner.own_server(), session, LIMIT, |session| begin(inner, session));
    let mut failure = begun.err();
    let mut pause = Duration::from_secs(1);
    loop {
        let settled =
            to_the_end(inner.own_server(), session, LIMIT, |session| settle(inner, session, &mut failure));
        match settled {
            Ok(Way::Forward) => return Ok(()),
            Ok(Way::Backward) => {
                return Err(failure.unwrap_or_else(|| DriverError::data_service("the exchange was undone")));
            }
            Err(error) if may_be_left(inner.own_server(), session) => return Err(error),
            Err(error) => tracing::warn!(%error, "the exchange of a restore cannot be ended yet"),
        }
        std::thread::sleep(pause);
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

/// Ends what a killed agent has begun; tells which way.
pub(super) fn recover(inner: &Inner, session: &Session) -> Result<Option<Way>, DriverError> {
    let _alone = inner.recovering.lock().unwrap_or_else(PoisonError::into_inner);
    if inner.record.read()?.is_none() {
        return Ok(None);
    }
    let way = settle(inner, session, &mut None)?;
    tracing::warn!(?way, "an interrupted restore is ended");
    Ok(Some(way))
}

/// Removes what a restore that was not exchanged has left, in a session of its own. A rehearsal's own server goes with all
/// that is in it.
pub(super) fn clean_or_log(inner: &Inner) {
    if inner.own.is_some() {
        return;
    }
    if let Err(error) = recover(inner, &LimitedSession::new(LIMIT)) {
        tracing::warn!(%error, "the leftovers of a restore stay until the next try");
    }
}

/// Keeps clients out and notes all that is needed to go back. From the end of this on, there is something to undo.
fn begin(inner: &Inner, session: &Session) -> Result<(), DriverError> {
    let gone = || DriverError::data_service("the record of the restore is gone");
    let mut pending = inner.record.read()?.ok_or_else(gone)?;
    let now = Catalogue::read(&inner.client, session)?;
    for name in ["init_connect", "event_scheduler"] {
        // An event scheduler that is disabled cannot be switched.
        let value = now.setting(name).unwrap_or_default();
        if value != "DISABLED" {
            pending.settings.push((name.to_owned(), value.to_owned()));
        }
    }
    inner.record.write(&pending)?;
    let mut sql = assign("init_connect", KEEP_OUT);
    if now.setting("event_scheduler") == Some("ON") {
        sql.push_str(&assign("event_scheduler", "OFF"));
    }
    inner.client.sql(session, sql)?;
    end_connections(inner, session)?;
    // Nobody changes anything any more.
    let now = Catalogue::read(&inner.client, session)?;
    pending.old = now.databases.clone();
    keep_programs(inner, session, &now)?;
    let mut sql = drop_database(names::OLD_USERS);
    sql.push_str(&format!("CREATE DATABASE {};\n", quote(names::OLD_USERS)));
    for name in USERS {
        let (old, live) = (table(names::OLD_USERS, name), table("mysql", name));
        sql.push_str(&format!("CREATE TABLE {old} LIKE {live};\nINSERT INTO {old} SELECT * FROM {live};\n"));
    }
    for number in 1..=pending.old.len() {
        sql.push_str(&format!("CREATE DATABASE {};\n", quote(&names::old(number))));
    }
    // Noted first, so that they are dropped again; a restore that is `Loading` is never gone forward with.
    inner.record.write(&pending)?;
    inner.client.sql(session, sql)?;
    pending.phase = Phase::Exchanging;
    inner.record.write(&pending)
}

/// Goes the way that can be gone, lets clients in again and removes everything of ours.
fn settle(
    inner: &Inner,
    session: &Session,
    failure: &mut Option<DriverError>,
) -> Result<Way, DriverError> {
    let Some(pending) = inner.record.read()? else { return Ok(Way::Backward) };
    let way = match pending.phase {
        Phase::Loading => Way::Backward,
        Phase::Exchanging => {
            let is_new = failure.is_none();
            match is_new.then(|| go(inner, session, &pending, Way::Forward)) {
                Some(Ok(())) => Way::Forward,
                tried => {
                    if let Some(Err(error)) = tried {
                        tracing::warn!(%error, "the exchange fails and is undone");
                        failure.get_or_insert(error);
                    }
                    go(inner, session, &pending, Way::Backward)?;
                    Way::Backward
                }
            }
        }
    };
    let settings = pending.settings.iter().map(|(name, value)| assign(name, value)).collect();
    inner.client.sql(session, settings)?;
    match (clean(inner, session, &pending), way) {
        (Ok(()), way) => Ok(way),
        // The new data are in use, and stay it.
        (Err(error), Way::Forward) => {
            tracing::warn!(%error, "replaced tables stay until the next try");
            inner.record.write(&Pending { phase: Phase::Loading, ..pending })?;
            Ok(Way::Forward)
        }
        (Err(error), Way::Backward) => Err(error),
    }
}

/// Drops our databases, those we have recorded and no others; the record last.
fn clean(inner: &Inner, session: &Session, pending: &Pending) -> Result<(), DriverError> {
    let mut sql = "SET SESSION foreign_key_checks=0;\n".to_owned();
    for number in 1..=pending.new.len() {
        sql.push_str(&drop_database(&names::fresh(number)));
    }
    for number in 1..=pending.old.len() {
        sql.push_str(&drop_database(&names::old(number)));
    }
    for name in [names::NEW_USERS, names::OLD_USERS, names::CONTROL] {
        sql.push_str(&drop_database(name));
    }
    inner.client.sql(session, sql)?;
    if inner.folder.exists() {
        let removed = std::fs::remove_dir_all(&inner.folder);
        removed.map_err(|e| {
            DriverError::data_service(format!("could not remove {}: {e}", inner.folder.display()))
        })?;
    }
    inner.record.remove()
}

/// Stores the routines, triggers, events and views of now, for the way back.
fn keep_programs(inner: &Inner, session: &Session, now: &Catalogue) -> Result<(), DriverError> {
    let folder = inner.folder.join("old");
    let failed = |e| DriverError::data_service(format!("could not write {}: {e}", folder.display()));
    DirBuilder::new().mode(0o700).create(&folder).map_err(failed)?;
    if now.databases.is_empty() {
        return Ok(());
    }
    let dumps = [
        (backup::programs(&inner.client)?, Script::Programs),
        (backup::views(&inner.client, now)?, Script::Views),
    ];
    for (dump, script) in dumps {
        let path = folder.join(script.file());
        let file = File::options().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
        let dump = dump.arg("--no-create-db").arg("--databases");
        let dump = now.databases.iter().map(|schema| &schema.name).fold(dump, Program::arg);
        let copy = file.try_clone().map_err(failed)?;
        dump.stdout(copy).start(session)?.finish()?;
        file.sync_all().map_err(failed)?;
    }
    Ok(())
}

/// Ends all connections but ours. Administrators may come back at once; they are not waited for.
fn end_connections(inner: &Inner, session: &Session) -> Result<(), DriverError> {
    let list = "SELECT ID FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID()
        AND USER NOT IN ('system user', 'event_scheduler') AND COMMAND NOT LIKE 'Binlog Dump%';";
    let ids = |text: &str| -> Vec<String> { text.lines().map(|id| id.trim().to_owned()).collect() };
    let found = ids(&inner.client.sql(session, list.to_owned())?);
    if found.is_empty() {
        return Ok(());
    }
    // Some may have ended by themselves meanwhile.
    let kills: String = found.iter().map(|id| format!("KILL CONNECTION {id};\n")).collect();
    let handler = "DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END;";
    let sql = format!("DELIMITER //\nBEGIN NOT ATOMIC\n{handler}\n{kills}END//\n");
    inner.client.sql(session, sql)?;
    let patience = Instant::now() + CONNECTIONS_END;
    loop {
        let left = ids(&inner.client.sql(session, list.to_owned())?);
        if !left.iter().any(|id| found.contains(id)) {
            return Ok(());
        }
        if Instant::now() > patience {
            return Err(DriverError::data_service("connections do not end within a minute"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// SQL that sets a variable of the server.
pub(super) fn assign(name: &str, value: &str) -> String {
    match value.bytes().all(|digit| digit.is_ascii_digit()) && !value.is_empty() {
        true => format!("SET GLOBAL {name} = {value};\n"),
        false => format!("SET GLOBAL {name} = {};\n", literal(value)),
    }
}
