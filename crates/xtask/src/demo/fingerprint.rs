//! Everything a PostgreSQL server holds, as comparable facts: databases, roles, definitions, rows, sequences, large objects,
//! grants, comments. Two servers with equal fingerprints are the same to their users.

use std::collections::BTreeMap;

use anyhow::Context;
use private_postgres::Server;

/// The facts of one server, by where they were found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fingerprint {
    facts: BTreeMap<String, Vec<String>>,
}

impl Fingerprint {
    /// Takes it through `psql`; reads every row.
    ///
    /// # Errors
    /// When a query fails, for example because a database is not there while it is listed.
    pub fn take(server: &Server) -> anyhow::Result<Self> {
        let mut fingerprint = Self::default();
        fingerprint.add("server", &server.psql("postgres", include_str!("fingerprint/server.sql"))?)?;
        let databases = "SELECT datname FROM pg_database WHERE datallowconn ORDER BY datname";
        for database in server.psql("postgres", databases)?.lines() {
            let facts = server.psql(database, include_str!("fingerprint/database.sql"));
            fingerprint
                .add(database, &facts.with_context(|| format!("fingerprint of the database {database}"))?)?;
        }
        Ok(fingerprint)
    }

    /// How many facts there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.facts.values().map(Vec::len).sum()
    }

    /// Tells whether nothing was found, which cannot be.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// What differs, one line each; empty when all is equal.
    #[must_use]
    pub fn differences(&self, after: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        let keys: std::collections::BTreeSet<&String> = self.facts.keys().chain(after.facts.keys()).collect();
        for key in keys {
            match (self.facts.get(key), after.facts.get(key)) {
                (Some(before), None) => lines.push(format!("- {key}: gone (was {})", shown(before))),
                (None, Some(after)) => lines.push(format!("+ {key}: {}", shown(after))),
                (Some(before), Some(after)) if before != after => {
                    lines.push(format!("! {key}: {}\n      now: {}", shown(before), shown(after)));
                }
                _ => {}
            }
        }
        lines
    }

    fn add(&mut self, place: &str, text: &str) -> anyhow::Result<()> {
        for line in text.lines() {
            let mut columns = line.splitn(3, '\t');
            let (Some(kind), Some(name), Some(value)) = (columns.next(), columns.next(), columns.next())
            else {
                anyhow::bail!("the fingerprint of {place} has a line that is no fact: {line:?}");
            };
            let values = self.facts.entry(format!("{place}: {kind} {name}")).or_default();
            values.push(value.to_owned());
            values.sort_unstable();
        }
        Ok(())
    }
}

/// Enough of the values for a person to see what is meant.
fn shown(values: &[String]) -> String {
    let text = values.join(" | ");
    match text.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
