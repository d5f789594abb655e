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
/// How often an undo is tried on a server that answers. One that does not is waited for.
const TRIES: usize = 5;
/// How long it may take to let clients in again.
const OPEN_LIMIT: Duration = Duration::from_secs(120);
/// The list of connections is a few seconds late.
const CONNECTIONS_END: Duration = Duration::from_secs(30);

/// What the next start must know about a restore.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Pending {
    before: Definitions,
    wanted: Definitions,
    /// The restore has failed, and must not be completed by a later try.
    #[serde(default)]
    is_undone: bool,
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
        let mut pending = Pending { before, wanted: self.wanted, is_undone: false };
        self.inner.record.write(&pending)?;
        let Err(error) = go(&self.inner, &session, &pending, &pending.wanted) else {
            return finish(&self.inner);
        };
        tracing::warn!(%error, "the restore fails and is undone");
        note_undone(&self.inner, &mut pending);
        match undo_at_last(&self.inner, &pending) {
            Ok(()) => finish(&self.inner)?,
            // The record stays, so that every later operation tries again.
            Err(undoing) => {
                let message = format!("the restore failed ({error}) and is not undone completely");
                return Err(undoing.within(&message));
            }
        }
        Err(error)
    }

    fn discard(self: Box<Self>) {
        // Nothing was touched.
    }
}

/// Completes what a killed agent has begun, or undoes it when that fails.
pub(super) fn recover(inner: &Inner, session: &Session) -> Result<(), DriverError> {
    let _alone = inner.recovering.lock(session)?;
    let Some(mut pending) = inner.record.read()? else { return Ok(()) };
    if !pending.is_undone {
        match go(inner, session, &pending, &pending.wanted) {
            Ok(()) => return inner.record.remove(),
            Err(error) if matches!(error, DriverError::Stopped) || is_unreachable(&error) => return Err(error),
            Err(error) => tracing::warn!(%error, "an interrupted restore cannot be completed and is undone"),
        }
        note_undone(inner, &mut pending);
    }
    undo(inner, session, &pending)?;
    inner.record.remove()
}

fn is_unreachable(error: &DriverError) -> bool {
    matches!(error, DriverError::DataService { trouble: Trouble::Unreachable, .. })
}

fn note_undone(inner: &Inner, pending: &mut Pending) {
    pending.is_undone = true;
    if let Err(error) = inner.record.write(pending) {
        tracing::warn!(%error, "that a restore is undone cannot be noted");
    }
}

/// Waits for a server that does not answer; tries the rest a few times only.
fn undo_at_last(inner: &Inner, pending: &Pending) -> Result<(), DriverError> {
    let mut pause = Duration::from_secs(1);
    let mut tries = 0_usize;
    loop {
        let Err(error) = undo(inner, &LimitedSession::new(LIMIT), pending) else { return Ok(()) };
        tracing::warn!(%error, "a restore cannot be undone yet");
        if !is_unreachable(&error) {
            tries = tries.saturating_add(1);
        }
        if tries >= TRIES {
            return Err(error);
        }
        std::thread::sleep(pause);
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

/// Brings the definitions from before back. Whatever happens to them, clients are let in again.
fn undo(inner: &Inner, session: &Session, pending: &Pending) -> Result<(), DriverError> {
    let Err(error) = exchange(inner, session, pending, &pending.before, Way::Back) else {
        let now = Definitions::read(&inner.api, session)?.without_kept(&inner.keep_users);
        let wanted = pending.before.clone().without_kept(&inner.keep_users);
        // Another try would bring the same: a queue may have expired by itself.
        if let Err(error) = compare(&now, &wanted) {
            tracing::warn!(%error, "the definitions from before a restore are back, with a difference");
        }
        return Ok(());
    };
    // The session may be why it failed.
    let session = LimitedSession::new(OPEN_LIMIT);
    let mut limits = without_all(&pending.before);
    if let Some(parameters) = limits.list_mut(Section::Parameters) {
        let known = pending.before.list(Section::Parameters).iter();
        parameters.extend(known.filter(|parameter| text(parameter, "component") == LIMITS).cloned());
    }
    let before = pending.before.clone().without_kept(&inner.keep_users);
    let opened = inner.api.post(&session, "definitions", &limits.to_value());
    if let Err(error) = opened.and_then(|()| open(inner, &session, pending, &before)) {
        tracing::error!(%error, "clients cannot be let in again yet");
    }
    Err(error)
}

/// The definitions are in use; a record that stays makes the next start import them once more.
fn finish(inner: &Inner) -> Result<(), DriverError> {
    if let Err(error) = inner.record.remove() {
        tracing::warn!(%error, "the record of a restore stays until the next try");
    }
    Ok(())
}

/// Makes the server have these definitions and no others, and makes sure of it.
fn go(inner: &Inner, session: &Session, pending: &Pending, target: &Definitions) -> Result<(), DriverError> {
    exchange(inner, session, pending, target, Way::Forward)?;
    let (now, kept) = (Definitions::read(&inner.api, session)?, &inner.keep_users);
    compare(&now.without_kept(kept), &target.clone().without_kept(kept))
}

/// Whether a restore is done or undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Forward,
    Back,
}

fn exchange(
    inner: &Inner,
    session: &Session,
    pending: &Pending,
    target: &Definitions,
    way: Way,
) -> Result<(), DriverError> {
    let (api, kept) = (&inner.api, &inner.keep_users);
    let wanted = target.clone().without_kept(kept);
    let now = Definitions::read(api, session)?;
    api.post(session, "definitions", &without_all(&now).closed().to_value())?;
    if !end_connections(inner, session)? {
        let message = "connections do not end within half a minute";
        match way {
            Way::Forward => return Err(DriverError::data_service(message)),
            // Clients who see how the definitions come back are better than clients who are kept out.
            Way::Back => tracing::warn!(message),
        }
    }
    // Adds what is missing. A definition the server does not take ends it here, before anything is removed.
    api.post(session, "definitions", &wanted.closed().to_value())?;
    let now = Definitions::read(api, session)?;
    let all = json!({"configure": ".*", "write": ".*", "read": ".*"});
    for vhost in now.vhosts() {
        api.put(session, &format!("permissions/{}/{}", encode(vhost), encode(api.user())), &all)?;
    }
    remove_others(inner, session, &now, &wanted)?;
    api.post(session, "definitions", &wanted.to_value())?;
    open(inner, session, pending, &wanted)
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

/// Ends the connections of clients, who cannot come back. False: some do not end.
fn end_connections(inner: &Inner, session: &Session) -> Result<bool, DriverError> {
    let patience = Instant::now() + CONNECTIONS_END;
    loop {
        let found = inner.api.get(session, "connections?columns=name")?;
        let names: Vec<&str> = found.as_array().into_iter().flatten().map(|one| text(one, "name")).collect();
        if names.is_empty() {
            return Ok(true);
        }
        if Instant::now() > patience {
            return Ok(false);
        }
        for name in names {
            inner.api.delete(session, &format!("connections/{}", encode(name)))?;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Whether a thing may be gone again already: a queue nobody uses within its `x-expires`, and what is bound to it.
fn may_expire(section: Section, value: &Value, wanted: &Definitions) -> bool {
    let expires = |queue: &Value| queue.get("arguments").is_some_and(|all| all.get("x-expires").is_some());
    match section {
        Section::Queues => expires(value),
        Section::Bindings if text(value, "destination_type") == "queue" => {
            let is_its = |queue: &&Value| {
                text(queue, "vhost") == text(value, "vhost") && text(queue, "name") == text(value, "destination")
            };
            wanted.list(Section::Queues).iter().find(is_its).is_some_and(expires)
        }
        _ => false,
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
        let lost = wants.iter().find(|value| !is_in(value, has) && !may_expire(section, value, wanted));
        if let Some(lost) = lost {
            return Err(DriverError::data_service(format!("the server did not take {}", section.path_of(lost))));
        }
        if let Some(extra) = has.iter().find(|value| !is_in(value, wants)) {
            return Err(DriverError::data_service(format!("the server still has {}", section.path_of(extra))));
        }
    }
    Ok(())
}
