//! SQL that reads every row of every table of a database, values stored apart included.

use std::str::FromStr;

/// For `\gexec` of psql: one query per table, each answering with one line. Foreign tables are left out, because their
/// rows are elsewhere; so are temporary ones.
pub(super) const READ_ALL: &str = r"
SELECT format('SELECT count(*), coalesce(sum(length((whole.*)::text)), 0) FROM ONLY %I.%I AS whole', nspname, relname)
FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind IN ('r', 'm') AND relispopulated AND relpersistence <> 't'
  AND nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
ORDER BY n.oid, pg_class.oid \gexec
SELECT count(*), coalesce(sum(length(data)), 0) FROM pg_largeobject;
";

/// What was read of one database, or of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reads {
    pub(super) tables: u64,
    pub(super) rows: u64,
}

impl Reads {
    pub(super) fn add(&mut self, other: Self) {
        self.tables = self.tables.saturating_add(other.tables);
        self.rows = self.rows.saturating_add(other.rows);
    }
}

impl FromStr for Reads {
    type Err = std::num::ParseIntError;

    /// The answer to [`READ_ALL`]: the last line is of the large objects, which are no table.
    fn from_str(answer: &str) -> Result<Self, Self::Err> {
        let lines: Vec<&str> = answer.lines().filter(|line| !line.trim().is_empty()).collect();
        let mut reads = Self::default();
        for line in lines.iter().rev().skip(1) {
            let rows = line.split('|').next().unwrap_or_default().trim().parse()?;
            reads.add(Self { tables: 1, rows });
        }
        Ok(reads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_but_the_last_is_a_table() {
        let reads: Reads = "3|12\n0|0\n40|9\n5|10240\n".parse().unwrap();
        assert_eq!(reads, Reads { tables: 3, rows: 43 });
        assert_eq!("0|0\n".parse(), Ok(Reads::default()));
        assert!("x|0\n0|0\n".parse::<Reads>().is_err());
    }
}
