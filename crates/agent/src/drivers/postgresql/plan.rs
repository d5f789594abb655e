//! Who restores what. Code of the databases' owners runs while tables are made, filled and indexed: in CHECK constraints, in
//! domains and their literals, in expressions of indexes and columns. So what belongs to an ordinary owner is restored by a
//! fresh role that stands in for it and has no rights outside the new database. What belongs to a superuser is restored by
//! the agent, unless it may call code of others; then by a stand-in too, one entry at a time, so that such code finds
//! nothing else of the superuser's to tamper with. See `docs/agent-protocol.md`.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::archive::{Entry, Section};
use super::taint;

#[cfg(test)]
mod tests;

/// Kinds without expressions; PostgreSQL wants a superuser for many of them.
const PLAIN: [&str; 24] = [
    "ACCESS METHOD",
    "BLOB",
    "BLOB METADATA",
    "BLOBS",
    "CAST",
    "COLLATION",
    "CONVERSION",
    "EXTENSION",
    "FOREIGN DATA WRAPPER",
    "INDEX ATTACH",
    "OPERATOR",
    "OPERATOR CLASS",
    "OPERATOR FAMILY",
    "PROCEDURAL LANGUAGE",
    "SCHEMA",
    "SERVER",
    "SHELL TYPE",
    "TEXT SEARCH CONFIGURATION",
    "TEXT SEARCH DICTIONARY",
    "TEXT SEARCH PARSER",
    "TEXT SEARCH TEMPLATE",
    "TRANSFORM",
    "TYPE",
    "USER MAPPING",
];

/// Kinds without expressions that must belong to whom their table belongs.
const SIMPLE: [&str; 4] = ["ROW SECURITY", "SEQUENCE", "SEQUENCE OWNED BY", "SEQUENCE SET"];

/// Kinds the superuser restores when everything else is there and belongs to whom it should.
const CLOSING: [&str; 9] = [
    "ACL",
    "COMMENT",
    "DEFAULT ACL",
    "PUBLICATION",
    "PUBLICATION TABLE",
    "PUBLICATION TABLES IN SCHEMA",
    "SECURITY LABEL",
    "SUBSCRIPTION",
    "SUBSCRIPTION TABLE",
];

/// What is lent with `ALTER TABLE … OWNER TO`. A sequence of a table goes with it.
const TABLES: [&str; 4] = ["TABLE", "FOREIGN TABLE", "MATERIALIZED VIEW", "VIEW"];

/// Kinds that make an object beside others, and need no rights to change those.
const MAKES_ANEW: [&str; 10] = [
    "AGGREGATE",
    "DOMAIN",
    "FOREIGN TABLE",
    "FUNCTION",
    "MATERIALIZED VIEW",
    "PROCEDURE",
    "SEQUENCE",
    "STATISTICS DATA",
    "TABLE",
    "VIEW",
];

const REFRESH: &str = "MATERIALIZED VIEW DATA";
const EVENT_TRIGGER: &str = "EVENT TRIGGER";

/// Who restores something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum By {
    /// The agent's own role, a superuser.
    #[default]
    Agent,
    /// The role that stands in for this one of [`Plan::owners`].
    Owner(usize),
}

/// A role to which objects belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) name: String,
    pub(super) is_superuser: bool,
}

/// A table, sequence or view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relation {
    pub(super) schema: String,
    pub(super) name: String,
    /// Whose it is until the end of the restore.
    pub(super) owner: usize,
}

/// Entries that one role restores, in order, and the rights it must be given for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) by: By,
    pub(super) entries: Vec<u32>,
    /// What it makes is given to its owner, a superuser, right afterwards.
    pub(super) hands_over: bool,
    /// Schemas it makes objects in.
    pub(super) schemas: BTreeSet<String>,
    /// Servers of its foreign tables.
    pub(super) servers: BTreeSet<String>,
    /// Relations of others its foreign keys point to.
    pub(super) references: Vec<Relation>,
    /// Relations of others that must be its own for the time of the step.
    pub(super) borrows: Vec<Relation>,
    /// Tables of others it fills.
    pub(super) fills: Vec<Relation>,
}

impl Step {
    fn extend(&mut self, other: Self) {
        self.entries.extend(other.entries);
        self.schemas.extend(other.schemas);
        self.servers.extend(other.servers);
        self.references.extend(other.references);
        self.fills.extend(other.fills);
    }
}

/// The whole of a database, in the order in which it is restored.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) owners: Vec<Owner>,
    pub(super) tablespaces: BTreeSet<String>,
    pub(super) before: Vec<Step>,
    /// One for each role; they read the same stream at the same time.
    pub(super) data: Vec<Step>,
    pub(super) after: Vec<Step>,
    /// What the superuser adds when the objects belong to their owners.
    pub(super) closing: Vec<u32>,
    /// Materialized views to be filled, by whom they belong to.
    pub(super) refresh: Vec<Step>,
    /// Event triggers, which must not see any of the above.
    pub(super) last: Vec<u32>,
}

impl Plan {
    /// Decides for all entries; `superusers` are the names of roles.
    ///
    /// # Errors
    /// With the kind of an entry that has no owner and is not known to be harmless.
    pub(super) fn of(entries: &[Entry], superusers: &HashSet<&str>) -> Result<Self, String> {
        let mut planner = Planner {
            by_id: entries.iter().map(|entry| (entry.id, entry)).collect(),
            relations: entries.iter().filter(|entry| is_filled(entry)).map(|e| (place(e), e.id)).collect(),
            tainted: taint::tainted(entries, superusers),
            superusers,
            plan: Self::default(),
        };
        for entry in entries.iter().filter(|entry| entry.section != Section::Session) {
            planner.add(entry)?;
        }
        Ok(planner.plan)
    }
}

struct Planner<'a> {
    by_id: HashMap<u32, &'a Entry>,
    relations: HashMap<(&'a str, &'a str), u32>,
    /// Entries whose use may run code of others.
    tainted: HashSet<u32>,
    superusers: &'a HashSet<&'a str>,
    plan: Plan,
}

impl<'a> Planner<'a> {
    fn add(&mut self, entry: &'a Entry) -> Result<(), String> {
        if entry.kind == EVENT_TRIGGER || !self.needs(entry, &[EVENT_TRIGGER]).is_empty() {
            self.plan.last.push(entry.id);
            return Ok(());
        }
        if CLOSING.contains(&entry.kind.as_str()) {
            self.plan.closing.push(entry.id);
            return Ok(());
        }
        self.plan.tablespaces.extend(entry.tablespace.clone());
        let step = self.step(entry)?;
        let steps = match entry.section {
            _ if entry.kind == REFRESH => &mut self.plan.refresh,
            Section::Data => &mut self.plan.data,
            Section::PostData => &mut self.plan.after,
            Section::PreData | Section::Session => &mut self.plan.before,
        };
        let open = match entry.section {
            Section::Data => steps.iter_mut().find(|other| other.by == step.by),
            // What is borrowed is given back at once, and what is a superuser's.
            _ if step.hands_over || !step.borrows.is_empty() => None,
            _ => steps.last_mut().filter(|last| last.by == step.by && last.borrows.is_empty()),
        };
        match open {
            Some(open) => open.extend(step),
            None => steps.push(step),
        }
        Ok(())
    }

    fn step(&mut self, entry: &'a Entry) -> Result<Step, String> {
        let by = self.by(entry)?;
        let mut step = Step { by, entries: vec![entry.id], ..Step::default() };
        if by == By::Agent {
            return Ok(step);
        }
        let kind = entry.kind.as_str();
        let is_superusers = self.superusers.contains(entry.owner.as_str());
        step.hands_over = is_superusers && entry.section != Section::Data;
        step.servers = self.needs(entry, &["SERVER"]).iter().map(|server| server.name.clone()).collect();
        if kind != REFRESH {
            step.schemas.extend(entry.schema.clone());
        }
        let (own, others): (Vec<_>, Vec<_>) =
            self.needs(entry, &TABLES).into_iter().partition(|table| table.owner == entry.owner);
        let others = others.into_iter().filter(|table| table.kind == "TABLE");
        let (others, mut borrows) = match kind {
            "FK CONSTRAINT" => (others.collect(), Vec::new()),
            "TABLE" | "TABLE ATTACH" | "STATISTICS" => (Vec::new(), others.collect::<Vec<_>>()),
            _ => (Vec::new(), Vec::new()),
        };
        if step.hands_over && !MAKES_ANEW.contains(&kind) {
            let is_its = |table: &&Entry| {
                kind != "FK CONSTRAINT" || entry.name.starts_with(&format!("{} ", table.name))
            };
            step.references = own.iter().filter(|t| !is_its(t)).filter_map(|t| self.relation(t)).collect();
            borrows.extend(own.into_iter().filter(is_its));
        }
        step.references.extend(others.into_iter().filter_map(|table| self.relation(table)));
        step.borrows = borrows.into_iter().filter_map(|table| self.relation(table)).collect();
        if is_superusers && kind == "TABLE DATA" {
            step.fills.extend(self.relation(entry));
        }
        Ok(step)
    }

    fn by(&mut self, entry: &Entry) -> Result<By, String> {
        if PLAIN.contains(&entry.kind.as_str()) {
            return Ok(By::Agent);
        }
        let filled = self.relations.get(&place(entry));
        let is_safe = match entry.section {
            // Without a table of its own it belongs to an extension, which has made the table.
            Section::Data => filled.is_none_or(|table| !self.tainted.contains(table)),
            _ => !entry.needs.iter().any(|needed| self.tainted.contains(needed)),
        };
        let is_superusers = self.superusers.contains(entry.owner.as_str());
        let is_safe = is_safe || SIMPLE.contains(&entry.kind.as_str());
        if is_safe && is_superusers || (entry.section == Section::Data && filled.is_none()) {
            return Ok(By::Agent);
        }
        match entry.owner.is_empty() {
            true => Err(format!("an object of the kind {} has no owner", entry.kind)),
            false => Ok(By::Owner(self.owner(&entry.owner))),
        }
    }

    fn owner(&mut self, name: &str) -> usize {
        let known = self.plan.owners.iter().position(|owner| owner.name == name);
        known.unwrap_or_else(|| {
            let is_superuser = self.superusers.contains(name);
            self.plan.owners.push(Owner { name: name.to_owned(), is_superuser });
            self.plan.owners.len().saturating_sub(1)
        })
    }

    fn needs(&self, entry: &Entry, kinds: &[&str]) -> Vec<&'a Entry> {
        let needed = entry.needs.iter().filter_map(|id| self.by_id.get(id).copied());
        needed.filter(|needed| kinds.contains(&needed.kind.as_str())).collect()
    }

    fn relation(&mut self, entry: &Entry) -> Option<Relation> {
        let owner = self.owner(&entry.owner);
        entry.schema.clone().map(|schema| Relation { schema, name: entry.name.clone(), owner })
    }
}

/// What can have rows, or a value, in the data section.
fn is_filled(entry: &Entry) -> bool {
    matches!(entry.kind.as_str(), "TABLE" | "SEQUENCE" | "MATERIALIZED VIEW")
}

fn place(entry: &Entry) -> (&str, &str) {
    (entry.schema.as_deref().unwrap_or_default(), &entry.name)
}
