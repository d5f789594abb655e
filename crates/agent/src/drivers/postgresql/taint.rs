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
            users.entry(entry.id).or_default().extend(&entry.needs);
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

#[cfg(test)]
mod tests {
    use super::super::archive::Section;
    use super::*;

    fn entry((id, kind, owner, needs): &(u32, &str, &str, &[u32])) -> Entry {
        Entry {
            id: *id,
            kind: (*kind).to_owned(),
            name: String::new(),
            schema: None,
            tablespace: None,
            owner: (*owner).to_owned(),
            section: Section::PreData,
            needs: needs.to_vec(),
        }
    }

    #[test]
    fn code_of_others_taints_all_that_needs_it() {
        type Case<'a> = (&'a str, &'a [(u32, &'a str, &'a str, &'a [u32])], &'a [u32]);
        let cases: [Case<'_>; 9] = [
            ("nothing", &[], &[]),
            ("superusers only", &[(1, "FUNCTION", "admin", &[]), (2, "TABLE", "admin", &[1])], &[]),
            ("a table of others", &[(1, "TABLE", "eve", &[]), (2, "VIEW", "admin", &[1])], &[1, 2]),
            (
                "a chain",
                &[(1, "FUNCTION", "eve", &[]), (2, "DOMAIN", "admin", &[1]), (3, "TABLE", "admin", &[2])],
                &[1, 2, 3],
            ),
            (
                "what others neither have nor use stays clean, functions excepted",
                &[(1, "TABLE", "eve", &[]), (2, "TABLE", "admin", &[]), (3, "FUNCTION", "admin", &[])],
                &[1, 3],
            ),
            ("schemas and sequences run nothing", &[(1, "SCHEMA", "eve", &[]), (2, "TABLE", "admin", &[1])], &[]),
            (
                "a partition and its parent taint each other",
                &[
                    (1, "TABLE", "admin", &[]),
                    (2, "TABLE", "eve", &[]),
                    (3, "TABLE ATTACH", "eve", &[1, 2]),
                    (4, "INDEX", "admin", &[1]),
                ],
                &[1, 2, 3, 4],
            ),
            (
                "a circle comes to an end",
                &[(1, "FUNCTION", "eve", &[2]), (2, "TABLE", "admin", &[1]), (3, "TABLE", "admin", &[3])],
                &[1, 2],
            ),
            ("what is needed may be missing", &[(1, "TABLE", "eve", &[99])], &[1]),
        ];
        for (name, entries, expected) in cases {
            let entries: Vec<Entry> = entries.iter().map(entry).collect();
            let tainted = tainted(&entries, &HashSet::from(["admin"]));
            assert_eq!(tainted, expected.iter().copied().collect(), "{name}");
        }
    }
}
