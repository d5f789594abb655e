//! Environment variables over the file: `PREFIX__DATABASE__URL` is the key `database.url`. A number steps into a
//! list that the file has (`…__SERVICE_BROKERS__0__PASSWORD`); a whole list or map is given as YAML or JSON.

use std::collections::BTreeMap;

use serde_json::Value;

use super::tree::{Place, Step};

/// What the environment set, and with which variable. The values stay text until the type wants otherwise
/// (see [`reread`]), so that a password of digits stays a password.
pub(super) type FromEnvironment = BTreeMap<String, String>;

/// Puts every variable with the prefix into the tree.
pub(super) fn overlay(
    tree: &mut Value,
    prefix: &str,
    environment: impl IntoIterator<Item = (String, String)>,
) -> FromEnvironment {
    let prefix = format!("{prefix}__");
    let ours: BTreeMap<String, String> =
        environment.into_iter().filter(|(name, _)| name.starts_with(&prefix)).collect();
    let mut set = FromEnvironment::new();
    for (name, text) in ours {
        let place = place_of(tree, name.strip_prefix(&prefix).unwrap_or_default());
        forget_the_other_way(tree, &place);
        let value = if text == "null" { Value::Null } else { Value::String(text) };
        place.set(tree, value);
        set.insert(place.to_string(), name);
    }
    set
}

/// Reads a text from the environment as YAML, for a key whose type is not text. `None` when that changes nothing.
pub(super) fn reread(text: &str) -> Option<Value> {
    let lines: String = text.lines().map(|line| format!("  {line}\n")).collect();
    let mut parsed = super::parse_yaml(&format!("value:\n{lines}")).ok()?;
    parsed.get_mut("value").map(Value::take).filter(|value| !value.is_string())
}

fn place_of(tree: &Value, name: &str) -> Place {
    let mut place = Place::default();
    for part in name.split("__") {
        let here = place.get(tree);
        let step = match (here, part.parse::<usize>()) {
            (Some(Value::Array(_)), Ok(index)) => Step::Index(index),
            (Some(Value::Object(map)), _) => Step::Key(
                // Keys chosen by the operator (names of stores) may have capitals and dashes; variables cannot.
                map.keys()
                    .find(|key| key.replace(['-', '.'], "_").eq_ignore_ascii_case(part))
                    .cloned()
                    .unwrap_or_else(|| part.to_lowercase()),
            ),
            _ => Step::Key(part.to_lowercase()),
        };
        place.0.push(step);
    }
    place
}

/// A secret given by the environment wins over the file's other way to give it: `x` over `x_file` and back.
fn forget_the_other_way(tree: &mut Value, place: &Place) {
    let Some((Step::Key(last), parents)) = place.0.split_last() else { return };
    let other = match last.strip_suffix("_file") {
        Some(plain) => plain.to_owned(),
        None => format!("{last}_file"),
    };
    Place(parents.to_vec()).key(&other).remove(tree);
}
