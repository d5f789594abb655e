//! A restore: clients are kept out of all virtual hosts, the definitions of the backup are added, what the backup does not
//! have is removed, and the result is compared with the backup. After an error the same is done with the definitions from
//! before, so that clients come back to the old ones or the new ones. Messages of removed queues are gone either way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Inner;
use super::api::encode;
use super::definitions::{Definitions, LIMITS, Section, text};
use crate::drivers::{DriverError, Loaded, Trouble};
use crate::session::{LimitedSession, Session};

const LIMIT: Duration = Duration::from_secs(3600);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The list of connections is a few seconds late.
const CONNECTIONS_END: Duration = Duration::from_secs(30);

/// What the next start must know about a restore.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Pending {
    before: Definitions,
    wanted: Definitions,
}

/// Whether the server can take these definitions, as far as can be told without touching it.
pub(super) fn check(inner: &Inner, session: &Session, wanted: &Definitions) -> Result<(), DriverError> {
    let version = inner.api.version(session)?;
    let generation = |version: &str| -> (u32, u32) {
        let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    };
    if generation(wanted.version()) > generation(&version) {
        let message = format!("the backup is of RabbitMQ {}, newer than {version}", wanted.version());
        return Err(DriverError::of(Trouble::WrongVersion, message));
    }
    Definitions::read(&inner.api, session).map(drop)
}

/// Definitions that are ready to be imported.
pub(super) struct Exchange {
    pub(super) inner: Arc<Inner>,
    pub(super) wanted: Definitions,
}

impl Loaded for Exchange {
    fn commit(self: Box<Self>, _: &Session) -> Result<(), DriverError> {
        let session = LimitedSession::new(LIMIT);
        let before = Definitions::read(&self.inner.api, &session)?;
        let pending = Pending { before, wanted: self.wanted };
        self.inner.record.write(&pending)?;
        let Err(error) = go(&self.inner, &session, &pending, &pending.wanted) else {
            return finish(&self.inner);
        };
        tracing::warn!(%error, "the restore fails and is undone");
        let mut pause = Duration::from_secs(1);
        while let Err(error) = go(&self.inner, &LimitedSession::new(LIMIT), &pending, &pending.before) {
            tracing::warn!(%error, "a restore cannot be undone yet");
            std::thread::sleep(pause);
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
        finish(&self.inner)?;
        Err(error)
    }

    fn discard(self: Box<Self>) {
        // Nothing was touched.
    }
}

/// Completes what a killed agent has begun, or undoes it when that fails.
pub(super) fn recover(inner: &Inner, session: &Session) -> Result<(), DriverError> {
    let Some(pending) = inner.record.read()? else { return Ok(()) };
    if let Err(error) = go(inner, session, &pending, &pending.wanted) {
        if matches!(error, DriverError::Stopped | DriverError::DataService { trouble: Trouble::Unreachable, .. })
        {
            return Err(error);
        }
        tracing::warn!(%error, "an interrupted restore cannot be completed and is undone");
        go(inner, session, &pending, &pending.before)?;
    }
    inner.record.remove()
}

/// The definitions are in use; a record that stays makes the next start import them once more.
fn finish(inner: &Inner) -> Result<(), DriverError> {
    if let Err(error) = inner.record.remove() {
        tracing::warn!(%error, "the record of a restore stays until the next try");
    }
    Ok(())
}

/// Makes the server have these definitions and no others.
fn go(inner: &Inner, session: &Session, pending: &Pending, target: &Definitions) -> Result<(), DriverError> {
    let (api, kept) = (&inner.api, &inner.keep_users);
    let wanted = target.clone().without_kept(kept);
    let now = Definitions::read(api, session)?;
    api.post(session, "definitions", &without_all(&now).closed().to_value())?;
    end_connections(inner, session)?;
    // Adds what is missing. A definition the server does not take ends it here, before anything is removed.
    api.post(session, "definitions", &wanted.closed().to_value())?;
    let now = Definitions::read(api, session)?;
    let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
    for vhost in now.vhosts() {
        api.put(session, &format!("permissions/{}/{}", encode(vhost), encode(api.user())), &all)?;
    }
    remove_others(inner, session, &now, &wanted)?;
    api.post(session, "definitions", &wanted.to_value())?;
    open(inner, session, pending, &wanted)?;
    compare(&Definitions::read(api, session)?.without_kept(kept), &wanted)
}

/// Only the names of the virtual hosts, for an import that is to change nothing else.
fn without_all(now: &Definitions) -> Definitions {
    let mut names = now.clone();
    for section in Section::ALL {
        if let Some(list) = names.list_mut(section)
            && section != Section::Vhosts
        {
            list.clear();
        }
    }
    names
}

/// Removes what is not wanted, or not with these properties.
fn remove_others(
    inner: &Inner,
    session: &Session,
    now: &Definitions,
    wanted: &Definitions,
) -> Result<(), DriverError> {
    let now = now.clone().without_kept(&inner.keep_users);
    for section in Section::ALL {
        for found in now.list(section) {
            let other = wanted.list(section).iter().find(|other| section.is_same(found, other));
            let stays = other.is_some_and(|other| other == found || !section.is_fixed());
            if stays || text(found, "component") == LIMITS {
                continue;
            }
            match section {
                Section::Bindings => remove_binding(inner, session, found)?,
                _ => inner.api.delete(session, &section.path_of(found))?,
            }
        }
    }
    Ok(())
}

/// A binding has a key only the server knows.
fn remove_binding(inner: &Inner, session: &Session, binding: &Value) -> Result<(), DriverError> {
    let kind = if text(binding, "destination_type") == "queue" { "q" } else { "e" };
    let path = format!(
        "bindings/{}/e/{}/{kind}/{}",
        encode(text(binding, "vhost")),
        encode(text(binding, "source")),
        encode(text(binding, "destination"))
    );
    let found = inner.api.get(session, &path)?;
    for candidate in found.as_array().into_iter().flatten() {
        if Section::Bindings.is_same(candidate, binding) {
            inner.api.delete(session, &format!("{path}/{}", encode(text(candidate, "properties_key"))))?;
        }
    }
    Ok(())
}

/// Lets clients in again as far as the definitions say, and gives kept users the permissions they had.
fn open(
    inner: &Inner,
    session: &Session,
    pending: &Pending,
    wanted: &Definitions,
) -> Result<(), DriverError> {
    let api = &inner.api;
    for vhost in wanted.vhosts() {
        let is_limited = |parameter: &&Value| {
            text(parameter, "component") == LIMITS && text(parameter, "vhost") == vhost
        };
        if wanted.list(Section::Parameters).iter().find(is_limited).is_none() {
            // The path made for limits would leave an empty one behind.
            api.delete(session, &format!("parameters/{LIMITS}/{}/limits", encode(vhost)))?;
        }
        // What kept users may do is theirs to keep; in a virtual host that is new, the backup says it.
        let is_new = !pending.before.vhosts().contains(&vhost);
        let source = if is_new { &pending.wanted } else { &pending.before };
        let exists = |user: &&String| {
            pending.before.list(Section::Users).iter().any(|found| text(found, "name") == user.as_str())
        };
        for user in inner.keep_users.iter().filter(exists) {
            let path = format!("permissions/{}/{}", encode(vhost), encode(user));
            let is_theirs = |permission: &&Value| {
                text(permission, "user") == user && text(permission, "vhost") == vhost
            };
            match source.list(Section::Permissions).iter().find(is_theirs) {
                Some(permission) => api.put(session, &path, permission)?,
                None => api.delete(session, &path)?,
            }
        }
    }
    Ok(())
}

/// Ends the connections of clients, who cannot come back.
fn end_connections(inner: &Inner, session: &Session) -> Result<(), DriverError> {
    let patience = Instant::now() + CONNECTIONS_END;
    loop {
        let found = inner.api.get(session, "connections?columns=name")?;
        let names: Vec<&str> = found.as_array().into_iter().flatten().map(|one| text(one, "name")).collect();
        if names.is_empty() {
            return Ok(());
        }
        if Instant::now() > patience {
            return Err(DriverError::data_service("connections do not end within half a minute"));
        }
        for name in names {
            inner.api.delete(session, &format!("connections/{}", encode(name)))?;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Nothing may be missing, nothing left over.
fn compare(now: &Definitions, wanted: &Definitions) -> Result<(), DriverError> {
    for section in Section::ALL {
        let (has, wants) = (now.list(section), wanted.list(section));
        let is_in = |value: &Value, list: &[Value]| {
            list.iter().any(|other| match section {
                // Their other members differ between versions of the server.
                Section::Users | Section::Vhosts => section.is_same(value, other),
                _ => value == other,
            })
        };
        if let Some(lost) = wants.iter().find(|value| !is_in(value, has)) {
            return Err(DriverError::data_service(format!("the server did not take {}", section.path_of(lost))));
        }
        if let Some(extra) = has.iter().find(|value| !is_in(value, wants)) {
            return Err(DriverError::data_service(format!("the server still has {}", section.path_of(extra))));
        }
    }
    Ok(())
}
