//! By how much the database grows, table by table, and how much of that the next backups will use again.

use std::collections::BTreeMap;

use anyhow::Context;

use super::figures::Figures;
use super::stage::Stage;

const MIB: f64 = 1_048_576.0;
/// Tables that grew by less, in MiB per million backups, are summed up.
const LITTLE: f64 = 50.0;

/// The sizes of all tables, their indexes included, at one moment.
#[derive(Debug)]
pub(super) struct Growth(BTreeMap<String, f64>);

impl Growth {
    /// Begins to measure, without anything dead from before.
    pub(super) fn start(stage: &Stage) -> anyhow::Result<Self> {
        stage.execute("CREATE EXTENSION IF NOT EXISTS pg_freespacemap")?;
        stage.execute("VACUUM ANALYZE")?;
        Ok(Self(sizes(stage)?))
    }

    /// Adds what came since, per million backups.
    pub(super) fn stop(self, figures: &mut Figures, stage: &Stage, backups: f64) -> anyhow::Result<()> {
        let per_million = |bytes: f64| bytes / MIB / backups * 1_000_000.0;
        let grown: Vec<(String, f64)> = sizes(stage)?
            .into_iter()
            .map(|(table, size)| {
                let before = self.0.get(&table).copied().unwrap_or_default();
                (table, per_million(size - before))
            })
            .collect();
        let name = "growth of the database per million backups";
        figures.add(name, "MiB", grown.iter().map(|(_, size)| size).sum());
        let (many, few): (Vec<_>, Vec<_>) = grown.into_iter().partition(|(_, size)| *size >= LITTLE);
        for (table, size) in many {
            figures.add(format!("{name}, `{table}`"), "MiB", size);
        }
        figures.add(format!("{name}, all other tables"), "MiB", few.iter().map(|(_, size)| size).sum());
        stage.execute("VACUUM")?;
        let free = stage.number(
            "SELECT sum(avail) FROM pg_class c, pg_freespace(c.oid)
             WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
        )?;
        figures.add("of it free after a vacuum, for what comes next", "MiB", per_million(free));
        Ok(())
    }
}

fn sizes(stage: &Stage) -> anyhow::Result<BTreeMap<String, f64>> {
    let rows = stage.rows(
        "SELECT relname, pg_total_relation_size(oid) FROM pg_class
         WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
    )?;
    let size = |row: &Vec<String>| {
        let [table, size] = row.as_slice() else { anyhow::bail!("two columns were expected") };
        Ok((table.clone(), size.parse().with_context(|| format!("the size of {table}"))?))
    };
    rows.iter().map(size).collect()
}
