//! From the tree to the daemon's own type, collecting mistakes: a wrong key is noted and taken out, and the rest
//! is tried again, so that one start shows as many mistakes as possible.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::Segment;

use super::environment::{FromEnvironment, reread};
use super::error::Mistake;
use super::tree::{Place, Step};

/// More mistakes than this in one file are not worth listing.
const MOST_MISTAKES: usize = 30;

/// Turns the tree into `T`; `None` when that is impossible. What is wrong is added to `mistakes` in both cases.
pub(super) fn deserialize<T: DeserializeOwned>(
    mut tree: Value,
    from_environment: &FromEnvironment,
    mistakes: &mut Vec<Mistake>,
) -> Option<T> {
    let mut removed: Vec<String> = Vec::new();
    loop {
        let error = match serde_path_to_error::deserialize::<_, T>(tree.clone()) {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let message = error.inner().to_string();
        let place = precise(place_of(error.path()), &message);
        if reread_from_environment(&mut tree, &place, from_environment) {
            continue;
        }
        let shown = place.to_string();
        if removed.contains(&shown) {
            return None;
        }
        mistakes.push(describe(&tree, &place, &message, from_environment));
        if mistakes.len() >= MOST_MISTAKES || !place.remove(&mut tree) {
            return None;
        }
        removed.push(shown);
    }
}

/// A text from the environment becomes what it looks like, once the type has refused it as a text.
fn reread_from_environment(tree: &mut Value, place: &Place, from_environment: &FromEnvironment) -> bool {
    if !from_environment.contains_key(&place.to_string()) {
        return false;
    }
    match place.get_mut(tree) {
        Some(Value::String(text)) => match reread(text) {
            Some(value) => {
                place.set(tree, value);
                true
            }
            None => false,
        },
        _ => false,
    }
}

fn place_of(path: &serde_path_to_error::Path) -> Place {
    let steps = path.iter().filter_map(|segment| match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    Place(steps.collect())
}

/// Adds the key's own name where serde knows only the map around it.
fn precise(place: Place, message: &str) -> Place {
    let named = quoted_after(message, "unknown field ").or_else(|| quoted_after(message, "missing field "));
    match named {
        Some(key) if place.last_key() != Some(key) || message.starts_with("missing") => place.key(key),
        _ => place,
    }
}

fn describe(tree: &Value, place: &Place, message: &str, from_environment: &FromEnvironment) -> Mistake {
    let by =
        from_environment.get(&place.to_string()).map(|name| format!(" (from {name})")).unwrap_or_default();
    let path = place.to_string();
    if message.starts_with("missing field") {
        return Mistake::new(path, "nothing", "a value; the key is required");
    }
    if message.starts_with("unknown field") {
        let allowed = message.split_once(", ").map_or("no keys here", |(_, rest)| rest);
        return Mistake::new(path, format!("an unknown key{by}"), allowed.trim_start_matches("expected "));
    }
    let (reason, allowed) = match message.split_once(", expected ") {
        Some((reason, allowed)) => (reason, allowed.to_owned()),
        None => (message, "a valid value".to_owned()),
    };
    let structured = ["a map", "a sequence", "struct", "tuple"].iter().any(|kind| allowed.starts_with(kind));
    let value = place.get(tree).unwrap_or(&Value::Null);
    let found = match value {
        _ if structured || is_secret(place) || looks_secret(value) => kind(value).to_owned(),
        Value::String(text) if message.contains(", expected ") => format!("{text:?}"),
        Value::Number(_) | Value::Bool(_) if message.contains(", expected ") => value.to_string(),
        Value::String(_) | Value::Number(_) | Value::Bool(_) => format!("{value} ({reason})"),
        _ => kind(value).to_owned(),
    };
    Mistake::new(path, format!("{found}{by}"), plain(&allowed))
}

/// Serde's names for types, as an operator would say them.
fn plain(allowed: &str) -> String {
    let number = |bits: &str| matches!(bits, "8" | "16" | "32" | "64" | "size");
    match allowed {
        "a map" => "keys with values below it".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a string" => "a text (in quotes, if it looks like something else)".to_owned(),
        "a boolean" => "true or false".to_owned(),
        _ if allowed.starts_with("struct ") => "keys with values below it".to_owned(),
        _ if allowed.strip_prefix('u').is_some_and(number) => "a whole number from 0".to_owned(),
        _ if allowed.strip_prefix('i').is_some_and(number) => "a whole number".to_owned(),
        _ => allowed.to_owned(),
    }
}

/// Whether the key's name says that its value must not be shown.
fn is_secret(place: &Place) -> bool {
    let key = place.last_key().unwrap_or_default().to_lowercase();
    let secretive = ["password", "secret", "token", "key", "credential", "url", "hash"];
    !key.ends_with("_path") && secretive.iter().any(|word| key.contains(word))
}

/// Whether a text could be a connection string or a key that landed under the wrong name.
fn looks_secret(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() > 60 || text.contains('@') || text.contains("password"))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "keys with values",
    }
}

fn quoted_after<'a>(message: &'a str, start: &str) -> Option<&'a str> {
    message.strip_prefix(start)?.strip_prefix('`')?.split('`').next()
}
