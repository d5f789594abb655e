//! The results as a page and as CSV: every raw number, and what was set.

use std::fmt::Write;

use super::measure::Cost;
use super::{Options, Series, Subjects};

/// Everything that was measured.
pub(super) struct Figures {
    options: Options,
    machine: Vec<(&'static str, String)>,
    pub(super) subjects: Vec<Subjects>,
}

impl Figures {
    pub(super) fn new(options: &Options, machine: Vec<(&'static str, String)>) -> Self {
        Self { options: options.clone(), machine, subjects: Vec::new() }
    }

    /// The page for people.
    pub(super) fn markdown(&self) -> String {
        let mut page = String::from("# How fast the agent is\n\n");
        // Writing into a String does not fail.
        let _ = self.write(&mut page);
        page
    }

    fn write(&self, page: &mut String) -> std::fmt::Result {
        let o = &self.options;
        writeln!(
            page,
            "Made by the command below, which measures again on your machine. Everything shares its cores, the database server too, whose\n\
             processor time is in no column. Medians of {} rounds, smallest and largest in brackets; the rounds take turns. MB/s are plain\n\
             bytes of the agent's stream per second (1 MB is 10⁶ bytes), the same number for all ways. The peak is the agent's own, else that of the largest\n\
             process. What is stored is synced before a backup ends, in all ways. The agent reads a backup twice when it restores: it\n\
             compares all hashes before it touches the data service, which the others do not. It compresses with two threads, and builds two\n\
             indexes at a time, because it can; `zstd` by itself compresses with one, and `pg_restore` has no choice when it reads a pipe.\n\n\
             ```sh\ncargo xtask bench agent --mebibytes {} --rounds {} --write\n```\n",
            o.rounds, o.mebibytes, o.rounds
        )?;
        writeln!(page, "| | |\n|---|---|")?;
        for (name, value) in &self.machine {
            writeln!(page, "| {name} | {value} |")?;
        }
        for subject in &self.subjects {
            self.write_subject(page, subject)?;
        }
        Ok(())
    }

    fn write_subject(&self, page: &mut String, subject: &Subjects) -> std::fmt::Result {
        writeln!(page, "\n## {}\n\n{}.\n", subject.name, subject.data)?;
        type Part = fn(&Series) -> &Vec<Cost>;
        let parts: [(&str, Part); 2] =
            [("Backup", |series| &series.backup), ("Restore", |series| &series.restore)];
        for (title, part) in parts {
            writeln!(
                page,
                "| {title} | MB/s | CPU s per GB | peak MiB | agent's speed to this |\n|---|---|---|---|---|"
            )?;
            let speed = |cost: &Cost| gigabytes(subject.bytes) * 1000.0 / cost.seconds;
            let ours =
                subject.ways.first().map(|(_, series)| median(part(series), speed)).unwrap_or_default();
            for (way, series) in &subject.ways {
                let costs = part(series);
                let rate = median(costs, speed);
                let cpu = median(costs, |cost| cost.cpu_seconds / gigabytes(subject.bytes));
                let peak = costs.iter().map(|cost| cost.peak_mib).fold(0.0, f64::max);
                let (least, most) = spread(costs, speed);
                let ratio = if *way == subject.ways.first().map(|(name, _)| *name).unwrap_or_default() {
                    String::new()
                } else {
                    format!("**{:.2}**", ours / rate)
                };
                writeln!(
                    page,
                    "| {way} | {rate:.0} ({least:.0}–{most:.0}) | {cpu:.1} | {peak:.0} | {ratio} |"
                )?;
            }
            writeln!(page)?;
        }
        let (backup, restore) = subject.small;
        writeln!(
            page,
            "The agent's peak with {} MiB of data: {backup:.0} MiB at the backup, {restore:.0} MiB at the restore.",
            self.options.small_mebibytes
        )
    }

    /// One line per measurement.
    pub(super) fn csv(&self) -> String {
        let mut text = String::from("subject,way,operation,round,bytes,seconds,cpu_seconds,peak_mib\n");
        for subject in &self.subjects {
            for (way, series) in &subject.ways {
                for (operation, costs) in [("backup", &series.backup), ("restore", &series.restore)] {
                    for (round, cost) in (1..).zip(costs) {
                        let Cost { seconds, cpu_seconds, peak_mib } = cost;
                        let way = way.replace(['`', '\\'], "").replace(',', "");
                        let _ = writeln!(
                            text,
                            "{},{way},{operation},{round},{},{seconds:.3},{cpu_seconds:.2},{peak_mib:.1}",
                            subject.name, subject.bytes
                        );
                    }
                }
            }
        }
        text
    }
}

fn gigabytes(bytes: u64) -> f64 {
    // Whole megabytes are exact enough.
    f64::from(u32::try_from(bytes / 1_000_000).unwrap_or(u32::MAX)) / 1000.0
}

fn median(costs: &[Cost], figure: impl Fn(&Cost) -> f64) -> f64 {
    let mut all: Vec<f64> = costs.iter().map(figure).collect();
    all.sort_by(f64::total_cmp);
    let upper = all.get(all.len() / 2).copied().unwrap_or_default();
    let lower = all.get(all.len().saturating_sub(1) / 2).copied().unwrap_or_default();
    f64::midpoint(lower, upper)
}

fn spread(costs: &[Cost], figure: impl Fn(&Cost) -> f64) -> (f64, f64) {
    let all = || costs.iter().map(&figure);
    (all().reduce(f64::min).unwrap_or_default(), all().reduce(f64::max).unwrap_or_default())
}
