//! Walking a configuration before it has a type: a path of keys and indices into a JSON-like tree.

use std::fmt;

use serde_json::{Map, Value};

/// One step down the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// A place in the tree, written `a.b[0].c`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Place(pub(super) Vec<Step>);

impl Place {
    pub(super) fn key(&self, key: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Key(key.to_owned()));
        Self(steps)
    }

    pub(super) fn index(&self, index: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Index(index));
        Self(steps)
    }

    /// The last key of the path; indices do not count.
    pub(super) fn last_key(&self) -> Option<&str> {
        self.0.iter().rev().find_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
    }

    pub(super) fn get<'a>(&self, tree: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(tree, |at, step| match step {
            Step::Key(key) => at.get(key.as_str()),
            Step::Index(index) => at.get(*index),
        })
    }

    pub(super) fn get_mut<'a>(&self, tree: &'a mut Value) -> Option<&'a mut Value> {
        self.0.iter().try_fold(tree, |at, step| match step {
            Step::Key(key) => at.get_mut(key.as_str()),
            Step::Index(index) => at.get_mut(*index),
        })
    }

    /// Puts a value here, making the maps on the way; a list also accepts its next index.
    pub(super) fn set(&self, tree: &mut Value, value: Value) {
        set(tree, &self.0, value);
    }

    /// Removes a map entry; an element of a list stays, because the others would change their index.
    pub(super) fn remove(&self, tree: &mut Value) -> bool {
        let Some((Step::Key(key), parents)) = self.0.split_last() else { return false };
        match Place(parents.to_vec()).get_mut(tree) {
            Some(Value::Object(map)) => map.remove(key).is_some(),
            _ => false,
        }
    }
}

fn set(at: &mut Value, steps: &[Step], value: Value) {
    match steps.split_first() {
        None => *at = value,
        Some((Step::Key(key), rest)) => {
            if !at.is_object() {
                *at = Value::Object(Map::new());
            }
            if let Value::Object(map) = at {
                set(map.entry(key.clone()).or_insert(Value::Null), rest, value);
            }
        }
        Some((Step::Index(index), rest)) => {
            if let Value::Array(items) = at {
                if items.len() == *index {
                    items.push(Value::Null);
                }
                if let Some(item) = items.get_mut(*index) {
                    set(item, rest, value);
                }
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if position == 0 => write!(f, "{key}")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        if self.0.is_empty() { f.write_str("(the whole file)") } else { Ok(()) }
    }
}
