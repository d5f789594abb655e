//! Which objects of a dump may run code that a superuser has not written. A function counts whoever it belongs to: what its
//! body calls is recorded nowhere. What functions, types and tables an object itself uses, PostgreSQL records.

use std::collections::{HashMap, HashSet};

use super::archive::Entry;

/// Kinds whose use runs code that nobody has looked into.
const CODE: [&str; 4] = ["AGGREGATE", "CAST", "FUNCTION", "PROCEDURE"];
/// Kinds whose use runs no code, whoever they belong to.
const INERT: [&str; 4] = ["EXTENSION", "SCHEMA", "SEQUENCE", "SERVER"];

/// The entries that bear such code, and all that need them.
pub(super) fn tainted(entries: &[Entry], superusers: &HashSet<&str>) -> HashSet<u32> {
    let mut users: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in entries {
        for needed in &entry.needs {
            users.entry(*needed).or_default().push(entry.id);
        }
        // A partition checks what its parent demands.
        if entry.kind == "TABLE ATTACH" {
            for one in &entry.needs {
                users.entry(*one).or_default().extend(entry.needs.iter().filter(|other| *other != one));
            }
        }
    }
    let bears = |entry: &&Entry| {
        let kind = entry.kind.as_str();
        let is_others = !entry.owner.is_empty() && !superusers.contains(entry.owner.as_str());
        CODE.contains(&kind) || (is_others && !INERT.contains(&kind))
    };
    let has_others = entries.iter().filter(bears).any(|entry| !superusers.contains(entry.owner.as_str()));
    let mut tainted = HashSet::new();
    if !has_others {
        return tainted;
    }
    let mut open: Vec<u32> = entries.iter().filter(bears).map(|entry| entry.id).collect();
    while let Some(id) = open.pop() {
        if tainted.insert(id) {
            open.extend(users.get(&id).into_iter().flatten());
        }
    }
    tainted
}
