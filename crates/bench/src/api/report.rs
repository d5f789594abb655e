//! The results as a page, as CSV and as JSON: every raw number, and what was set.

use std::fmt::Write;

use serde::Serialize;

use super::Options;
use super::lists::List;
use super::plans::Plan;
use crate::samples::Samples;

/// One request, or the constant.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Row {
    pub(super) title: &'static str,
    /// SQL statements of one request.
    pub(super) statements: Option<usize>,
    pub(super) api: Samples,
    /// The statements alone.
    pub(super) sql: Samples,
}

impl Row {
    pub(super) fn new(title: &'static str) -> Self {
        Self { title, statements: None, api: Samples::default(), sql: Samples::default() }
    }
}

/// Everything that was measured.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figures {
    options: Options,
    machine: Vec<(&'static str, String)>,
    postgresql: Vec<(String, String)>,
    /// With one backup per instance.
    pub(super) young: Vec<Row>,
    /// With the whole history.
    pub(super) old: Vec<Row>,
    pub(super) constant: Row,
    pub(super) lists: Vec<List>,
    pub(super) plans: Vec<Plan>,
}

impl Figures {
    pub(super) fn new(
        options: &Options,
        machine: Vec<(&'static str, String)>,
        postgresql: Vec<(String, String)>,
    ) -> Self {
        let constant = Row::new("a constant (floor)");
        let (young, old, lists, plans) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { options: options.clone(), machine, postgresql, young, old, constant, lists, plans }
    }

    /// The page for people.
    pub(super) fn markdown(&self) -> String {
        let mut page = String::from("# How fast the API is\n\n");
        // Writing into a String does not fail.
        let _ = self.write_head(&mut page);
        let _ = self.write_points(&mut page);
        let _ = self.write_history(&mut page);
        let _ = self.write_lists(&mut page);
        let _ = self.write_plans(&mut page);
        page
    }

    fn write_head(&self, page: &mut String) -> std::fmt::Result {
        let o = &self.options;
        writeln!(
            page,
            "Made by the command below, which measures again on your machine. Load generator, API and PostgreSQL share its cores,\n\
             so these are ratios to judge by, not what a separate database host would give. Medians of {} rounds, smallest and\n\
             largest in brackets; the rounds take turns between everything in a table.\n\n\
             ```sh\ncargo xtask bench api --instances {} --backups {} --connections {} --seconds {} --rounds {}{} --write\n```\n",
            o.rounds,
            o.instances,
            o.backups,
            o.connections,
            o.seconds,
            o.rounds,
            o.pool_size.map(|size| format!(" --pool-size {size}")).unwrap_or_default()
        )?;
        writeln!(page, "| | |\n|---|---|")?;
        for (name, value) in &self.machine {
            writeln!(page, "| {name} | {value} |")?;
        }
        let settings: Vec<String> =
            self.postgresql.iter().map(|(name, value)| format!("{name} {value}")).collect();
        writeln!(page, "| PostgreSQL | {} |", settings.join(", "))?;
        writeln!(page, "| API | release build, HTTP, defaults but for what the command says |")
    }

    fn write_points(&self, page: &mut String) -> std::fmt::Result {
        let (o, constant) = (&self.options, self.constant.api.per_second());
        writeln!(
            page,
            "\n## Requests per second, {} instances, {} backups, {} connections\n\n\
             \"SQL alone\" is the same statements of one request through `pgbench --protocol prepared`, \"constant\" an actix-web\n\
             handler with a constant answer, both in the same rounds. More than 1 is possible: pgbench holds one server connection per\n\
             client, the API shares `database.pool_size` of them among all requests, which suits a few cores better.\n\n\
             | Request | requests/s | p50 ms | p99 ms | statements | SQL alone/s | constant/s | of the slower floor |\n\
             |---|---|---|---|---|---|---|---|",
            o.instances, o.backups, o.connections
        )?;
        for row in &self.old {
            let (rate, sql) = (row.api.per_second(), row.sql.per_second());
            let (p50, p99) = (row.api.median(|one| one.p50_ms), row.api.median(|one| one.p99_ms));
            write!(page, "| `{}` | {} | {p50:.1} | {p99:.1} |", row.title, with_spread(&row.api))?;
            match row.statements {
                Some(count) => writeln!(
                    page,
                    " {count} | {} | {constant:.0} | **{:.2}** |",
                    with_spread(&row.sql),
                    rate / sql.min(constant)
                )?,
                None => writeln!(page, " | | | |")?,
            }
        }
        let (p50, p99) = (self.constant.api.median(|s| s.p50_ms), self.constant.api.median(|s| s.p99_ms));
        writeln!(
            page,
            "| {} | {} | {p50:.1} | {p99:.1} | | | | |",
            self.constant.title,
            with_spread(&self.constant.api)
        )
    }

    fn write_history(&self, page: &mut String) -> std::fmt::Result {
        writeln!(
            page,
            "\n## The same with a short history\n\nThe same instances with one backup each, and with {}.\n\n\
             | Request | short | long | long / short |\n|---|---|---|---|",
            self.options.backups.checked_div(self.options.instances).unwrap_or(1)
        )?;
        for young in &self.young {
            let Some(old) = self.old.iter().find(|row| row.title == young.title) else { continue };
            let ratio = old.api.per_second() / young.api.per_second();
            let (short, long) = (with_spread(&young.api), with_spread(&old.api));
            writeln!(page, "| `{}` | {short} | {long} | **{ratio:.2}** |", young.title)?;
        }
        Ok(())
    }

    fn write_lists(&self, page: &mut String) -> std::fmt::Result {
        if self.lists.is_empty() {
            return Ok(());
        }
        writeln!(
            page,
            "\n## `GET /instances` without paging: everything, streamed\n\n\
             | clients | MiB each | seconds | MiB/s together | API resident before, MiB | at most, MiB |\n|---|---|---|---|---|---|"
        )?;
        for list in &self.lists {
            writeln!(
                page,
                "| {} | {:.1} | {:.1} | {:.1} | {:.0} | {:.0} |",
                list.clients,
                list.mebibytes,
                list.seconds,
                list.mebibytes_per_second,
                list.resident_before_mib,
                list.peak_resident_mib
            )?;
        }
        Ok(())
    }

    fn write_plans(&self, page: &mut String) -> std::fmt::Result {
        writeln!(
            page,
            "\n## Plans with the long history\n\n| Request | Statement | Reads | Cost |\n|---|---|---|---|"
        )?;
        for plan in &self.plans {
            let statement = plan.statement.replace('|', "\\|");
            let reads = if plan.reads.is_empty() { "–".to_owned() } else { plan.reads.join(", ") };
            writeln!(page, "| {} | {statement} | {reads} | {:.1} |", plan.request, plan.cost)?;
        }
        Ok(())
    }

    /// One line per sample.
    pub(super) fn csv(&self) -> String {
        let mut csv = String::from("history,target,source,round,per_second,p50_ms,p99_ms\n");
        let old = self.old.iter().chain([&self.constant]);
        let rows = self.young.iter().map(|row| ("short", row)).chain(old.map(|row| ("long", row)));
        for (history, row) in rows {
            for (source, samples) in [("wrk", &row.api), ("pgbench", &row.sql)] {
                for (round, sample) in (1..).zip(&samples.0) {
                    let _ = writeln!(
                        csv,
                        "{history},\"{}\",{source},{round},{:.1},{:.3},{:.3}",
                        row.title, sample.per_second, sample.p50_ms, sample.p99_ms
                    );
                }
            }
        }
        csv
    }
}

fn with_spread(samples: &Samples) -> String {
    let (least, most) = samples.spread();
    format!("{:.0} ({least:.0}–{most:.0})", samples.per_second())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::Options;
    use super::*;
    use crate::samples::Sample;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn samples(rate: f64) -> Samples {
        Samples(vec![Sample { per_second: rate, p50_ms: 1.0, p99_ms: 2.0 }])
    }

    #[test]
    fn a_ratio_is_taken_to_the_slower_floor() {
        let options = Line::parse_from(["bench", "--instances", "10", "--backups", "1000"]).options;
        let mut figures = Figures::new(&options, Vec::new(), Vec::new());
        figures.constant.api = samples(5000.0);
        let row = Row { title: "GET one", statements: Some(2), api: samples(1500.0), sql: samples(2000.0) };
        figures.young = vec![Row { api: samples(3000.0), ..row.clone() }];
        figures.old = vec![row];
        let page = figures.markdown();
        let line = "| `GET one` | 1500 (1500–1500) | 1.0 | 2.0 | 2 | 2000 (2000–2000) | 5000 | **0.75** |";
        assert!(page.contains(line), "{page}");
        assert!(page.contains("| `GET one` | 3000 (3000–3000) | 1500 (1500–1500) | **0.50** |"), "{page}");
        assert!(page.contains("with 100.\n"), "{page}");
        assert!(figures.csv().contains("long,\"GET one\",pgbench,1,2000.0,1.000,2.000\n"));
    }
}
