//! The exchange: clients are kept out, [`transition`](super::transition) goes forward, and backward when that fails; then
//! clients come back. It runs to its end once begun, whatever happens to the operation; while the server does not answer,
//! it waits.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::time::Duration;

use super::Inner;
use super::backup;
use super::backup::USERS;
use super::catalogue::Catalogue;
use super::client::drop_database;
use super::clients::keep_out;
use super::container::Script;
use super::names::{self, literal, quote, table};
use super::pending::{Pending, Phase};
use super::transition::{Way, go, is_after};
use crate::drivers::{DriverError, Trouble};
use crate::drivers::own_server::{may_be_left, to_the_end};
use crate::session::{LimitedSession, Program, Session};

const LIMIT: Duration = Duration::from_secs(3600);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Whether the restore itself calls, or a later start of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    First,
    Again,
}

/// Puts the loaded tables in the place of those in use, or everything back.
pub(super) fn exchange(inner: &Inner, session: &Session) -> Result<(), DriverError> {
    let begun = to_the_end(inner.own_server(), session, LIMIT, |session| begin(inner, session));
    let mut failure = begun.err();
    let mut pause = Duration::from_secs(1);
    loop {
        let settled = to_the_end(inner.own_server(), session, LIMIT, |session| {
            settle(inner, session, &mut failure, Start::First)
        });
        match settled {
            Ok(way) => {
                let cleaned =
                    to_the_end(inner.own_server(), session, LIMIT, |session| clean(inner, session));
                if let Err(error) = cleaned {
                    tracing::warn!(%error, "the leftovers of a restore stay until the next try");
                }
                let undone = || DriverError::data_service("the exchange was undone");
                return match way {
                    Way::Forward => Ok(()),
                    Way::Backward => Err(failure.unwrap_or_else(undone)),
                };
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
    let _alone = inner.alone(session)?;
    if inner.record.read()?.is_none() {
        return Ok(None);
    }
    let way = settle(inner, session, &mut None, Start::Again)?;
    clean(inner, session)?;
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
    keep_out(inner, session, &now)?;
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

/// Makes sure that all data are those of the backup, or all from before, and lets clients in again.
fn settle(
    inner: &Inner,
    session: &Session,
    failure: &mut Option<DriverError>,
    start: Start,
) -> Result<Way, DriverError> {
    let Some(pending) = inner.record.read()? else { return Ok(Way::Backward) };
    let pending = match pending.phase {
        Phase::Exchanging | Phase::Undoing => decide(inner, session, pending, failure, start)?,
        Phase::Loading | Phase::Completed | Phase::Undone => pending,
    };
    let settings = pending.settings.iter().map(|(name, value)| assign(name, value)).collect();
    inner.client.sql(session, settings)?;
    Ok(if pending.phase == Phase::Completed { Way::Forward } else { Way::Backward })
}

/// Goes the whole way, forward or back, and notes which it was before anything is dropped: a start after that must not
/// go anywhere any more.
fn decide(
    inner: &Inner,
    session: &Session,
    pending: Pending,
    failure: &mut Option<DriverError>,
    start: Start,
) -> Result<Pending, DriverError> {
    // The server may have been started again, and statements of a killed agent may still run.
    keep_out(inner, session, &Catalogue::read(&inner.client, session)?)?;
    if pending.phase == Phase::Exchanging && failure.is_none() {
        let tried = match start {
            // The restore is reported as failed: what clients have not seen of it they need not see.
            Start::Again if !is_after(&Catalogue::read(&inner.client, session)?)? => {
                Err(DriverError::data_service("the agent was ended before the exchange"))
            }
            Start::Again | Start::First => go(inner, session, &pending, Way::Forward),
        };
        match tried {
            Ok(()) => return note(inner, pending, Phase::Completed),
            Err(error) if start == Start::Again && is_for_later(&error) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "the exchange fails and is undone");
                *failure = Some(error);
            }
        }
    }
    let pending = note(inner, pending, Phase::Undoing)?;
    go(inner, session, &pending, Way::Backward)?;
    note(inner, pending, Phase::Undone)
}

/// Whether the next try may well succeed.
fn is_for_later(error: &DriverError) -> bool {
    matches!(error, DriverError::Stopped | DriverError::DataService { trouble: Trouble::Unreachable, .. })
}

fn note(inner: &Inner, pending: Pending, phase: Phase) -> Result<Pending, DriverError> {
    let pending = Pending { phase, ..pending };
    inner.record.write(&pending)?;
    Ok(pending)
}

/// Drops our databases, those we have recorded and no others; the record last.
fn clean(inner: &Inner, session: &Session) -> Result<(), DriverError> {
    let Some(pending) = inner.record.read()? else { return Ok(()) };
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
        let dump = dump.arg("--no-create-db").arg("--databases").arg("--");
        let dump = now.databases.iter().map(|schema| &schema.name).fold(dump, Program::arg);
        let copy = file.try_clone().map_err(failed)?;
        dump.stdout(copy).start(session)?.finish()?;
        file.sync_all().map_err(failed)?;
    }
    Ok(())
}

/// SQL that sets a variable of the server.
pub(super) fn assign(name: &str, value: &str) -> String {
    match value.bytes().all(|digit| digit.is_ascii_digit()) && !value.is_empty() {
        true => format!("SET GLOBAL {name} = {value};\n"),
        false => format!("SET GLOBAL {name} = {};\n", literal(value)),
    }
}
