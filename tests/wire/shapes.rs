//! The objects of the contract: which fields they have at least, and of which type. More fields are allowed.

use serde_json::Value;

/// The type of a field.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// A whole number.
    Int,
    /// A whole number, or null.
    IntOrNull,
    Text,
    TextOrNull,
    Bool,
    /// `2023-04-11T08:52:48.209Z`
    Time,
    TimeOrNull,
    /// One of the five statuses; others may never appear.
    Status,
    /// An object with these fields.
    Object(Fields),
    /// An array of objects with these fields.
    Array(Fields),
}

pub(crate) type Fields = &'static [(&'static str, Kind)];

use Kind::{Array, Bool, Int, IntOrNull, Object, Status, Text, TextOrNull, Time, TimeOrNull};

pub(crate) const BACKUP: Fields = &[
    ("id", Int),
    ("backup_id", Text),
    ("size", Int),
    ("status", Status),
    ("triggered_at", Time),
    ("started_at", TimeOrNull),
    ("finished_at", TimeOrNull),
    ("downloadable", Bool),
    ("reason_code", TextOrNull),
    ("msg", TextOrNull),
    ("bytes_processed", IntOrNull),
    ("checksum", TextOrNull),
];

pub(crate) const RESTORE: Fields = &[
    ("id", Int),
    ("backup_id", Int),
    ("status", Status),
    ("triggered_at", Time),
    ("started_at", TimeOrNull),
    ("finished_at", TimeOrNull),
    ("metadata", Object(&[("restored_from", Time)])),
    ("reason_code", TextOrNull),
    ("msg", TextOrNull),
    ("bytes_processed", IntOrNull),
];

pub(crate) const CONFIGURATION: Fields = &[
    ("min_backup_count", Int),
    ("retention_time", Int),
    ("min_encryption_key_length", Int),
    ("exclude_from_auto_backup", Bool),
    ("backup_type", TextOrNull),
];

const TASK: Fields = &[
    ("id", Int),
    ("task_id", Text),
    ("status", Status),
    ("msg", TextOrNull),
    ("created_at", Time),
    ("updated_at", Time),
];

pub(crate) const INSTANCE: Fields = &[
    ("id", Int),
    ("instance_id", Text),
    (
        "backups",
        Array(&[
            ("id", Int),
            ("instance_id", Int),
            ("backup_id", Text),
            ("size", Int),
            ("is_downloadable", Bool),
            ("backup_agent_task", Object(TASK)),
        ]),
    ),
    ("restores", Array(&[("id", Int), ("instance_id", Int), ("backup_agent_tasks", Array(TASK))])),
    ("service_broker", Text),
    ("state", Text),
    ("deployment_name", TextOrNull),
    ("plan_guid", TextOrNull),
    ("service_guid", TextOrNull),
    ("backup_guid", Text),
    ("organization_guid", TextOrNull),
    ("space_guid", TextOrNull),
    ("last_done_at", TimeOrNull),
];

pub(crate) const BEGUN: Fields = &[("id", Int), ("message", Text)];
pub(crate) const MESSAGE: Fields = &[("message", Text)];

/// The object has all these fields, each of its type.
pub(crate) fn check(object: &Value, fields: Fields) {
    assert!(object.is_object(), "not an object: {object}");
    for (name, kind) in fields {
        let value = object.get(name).unwrap_or_else(|| panic!("{name} is missing in {object}"));
        assert!(fits(value, *kind), "{name} is not {kind:?} in {object}");
    }
}

/// An array of such objects.
pub(crate) fn check_all(array: &Value, fields: Fields) -> &[Value] {
    let all = array.as_array().unwrap_or_else(|| panic!("not an array: {array}"));
    all.iter().for_each(|object| check(object, fields));
    all
}

/// Numbers and times fall.
pub(crate) fn check_newest_first(all: &[Value]) {
    for pair in all.windows(2) {
        assert!(pair[0]["id"].as_i64() > pair[1]["id"].as_i64(), "not newest first: {pair:?}");
        assert!(
            pair[0]["triggered_at"].as_str() >= pair[1]["triggered_at"].as_str(),
            "not newest first: {pair:?}"
        );
    }
}

fn fits(value: &Value, kind: Kind) -> bool {
    match kind {
        Int => value.is_i64(),
        Text => value.is_string(),
        Bool => value.is_boolean(),
        Time => value.as_str().is_some_and(is_time),
        Status => ["queued", "running", "done", "failed", "deleted"].iter().any(|known| value == known),
        IntOrNull => value.is_null() || fits(value, Int),
        TextOrNull => value.is_null() || fits(value, Text),
        TimeOrNull => value.is_null() || fits(value, Time),
        Object(fields) => {
            check(value, fields);
            true
        }
        Array(fields) => {
            check_all(value, fields);
            true
        }
    }
}

fn is_time(text: &str) -> bool {
    form(text) == "0000-00-00T00:00:00.000Z"
}

fn form(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
}

/// Whatever looks like a time has the one form.
pub(crate) fn check_times(value: &Value, what: &str) {
    match value {
        Value::String(text) => {
            assert!(!form(text).starts_with("0000-00-00") || is_time(text), "{what}: the time {text}");
        }
        Value::Array(all) => all.iter().for_each(|inner| check_times(inner, what)),
        Value::Object(fields) => fields.values().for_each(|inner| check_times(inner, what)),
        _ => {}
    }
}

/// `{"error": "OneCamelCaseWord", "description": "A sentence."}` and nothing else.
pub(crate) fn check_error(body: &Value, what: &str) {
    let names: Vec<&str> =
        body.as_object().map(|fields| fields.keys().map(String::as_str).collect()).unwrap_or_default();
    assert!(names.len() == 2 && names.contains(&"error") && names.contains(&"description"), "{what}: {body}");
    let word = body["error"].as_str().unwrap_or_default();
    let is_camel_case =
        word.starts_with(|c: char| c.is_ascii_uppercase()) && word.chars().all(|c| c.is_ascii_alphanumeric());
    assert!(is_camel_case && word.contains(|c: char| c.is_ascii_lowercase()), "{what}: {body}");
    let sentence = body["description"].as_str().unwrap_or_default();
    assert!(sentence.contains(' ') && sentence.ends_with('.'), "{what}: not a sentence: {body}");
    for trace in ["<html", "panicked", ".rs:", "stack backtrace"] {
        assert!(!sentence.contains(trace), "{what}: {body}");
    }
}
