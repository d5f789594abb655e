//! The figures as a page for people and as rows for programs.

use std::fmt::Write;

use super::Options;
use super::demands::{self, Demand};
use super::figures::Figure;
use super::shape::BROKERS;

/// Everything measured.
#[derive(Debug)]
pub(super) struct Report {
    options: Options,
    about: Vec<(String, String)>,
    /// By number of instances, in the order of the options.
    runs: Vec<(u32, Vec<Figure>)>,
}

const PARTS: [(char, &str); 5] = [
    ('d', "Synchronisation: all brokers are asked for all instances"),
    ('a', "`backup_all_job` over the whole fleet, all due at once"),
    ('b', "Steady state: as many backups per hour as instances, a tenth running, each watched every 10 s"),
    ('e', "The same while all agents of one broker take requests and never answer"),
    ('c', "Retention over a hundred backups per instance, one of each expired"),
];

impl Report {
    pub(super) fn new(options: &Options, about: Vec<(String, String)>) -> Self {
        Self { options: options.clone(), about, runs: Vec::new() }
    }

    /// Adds what was measured with one number of instances.
    pub(super) fn add(&mut self, instances: u32, figures: Vec<Figure>) {
        self.runs.push((instances, figures));
    }

    /// `docs/benchmarks/fleet.md`.
    pub(super) fn markdown(&self) -> String {
        let mut page = self.head();
        let _ = writeln!(page, "\n## What was promised\n\n| | found | demanded | |\n|---|---|---|---|");
        for Demand { of, found, demanded, is_kept } in self.demands() {
            let verdict = if is_kept { "kept" } else { "**not kept**" };
            let _ = writeln!(page, "| {of} | {found} | {demanded} | {verdict} |");
        }
        for (part, title) in PARTS {
            let names = self.names(part);
            if names.is_empty() {
                continue;
            }
            let sizes: Vec<String> = self.runs.iter().map(|(instances, _)| instances.to_string()).collect();
            let _ = writeln!(page, "\n## {part}. {title}\n\n| | {} | factor | demanded |", sizes.join(" | "));
            let _ = writeln!(page, "|---|{}---|---|", "---|".repeat(sizes.len()));
            for name in names {
                let _ = writeln!(page, "{}", self.row(part, &name));
            }
        }
        page
    }

    /// What was promised, and what was found with the largest fleet.
    pub(super) fn demands(&self) -> Vec<Demand> {
        demands::of(&self.runs)
    }

    /// `docs/benchmarks/fleet.csv`.
    pub(super) fn csv(&self) -> String {
        let mut rows = "part,figure,unit,instances,value\n".to_owned();
        for (instances, figures) in &self.runs {
            for Figure { part, name, unit, value, .. } in figures {
                let _ = writeln!(rows, "{part},\"{name}\",{unit},{instances},{value:.4}");
            }
        }
        rows
    }

    fn head(&self) -> String {
        let mut page = include_str!("head.md")
            .replace("{command}", &self.options.command())
            .replace("{brokers}", &BROKERS.to_string())
            .replace("{count}", &self.options.count.to_string());
        page.push_str("| | |\n|---|---|\n");
        for (name, value) in &self.about {
            let _ = writeln!(page, "| {name} | {value} |");
        }
        page
    }

    /// Names of a part's figures, those that only some runs have included.
    fn names(&self, part: char) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for figure in self.runs.iter().flat_map(|(_, figures)| figures).filter(|figure| figure.part == part) {
            if !names.contains(&figure.name) {
                names.push(figure.name.clone());
            }
        }
        names
    }

    fn row(&self, part: char, name: &str) -> String {
        let of_run =
            |figures: &[Figure]| figures.iter().find(|one| one.part == part && one.name == name).cloned();
        let found: Vec<Option<Figure>> = self.runs.iter().map(|(_, figures)| of_run(figures)).collect();
        let values =
            found.iter().map(|one| one.as_ref().map_or_else(|| "–".to_owned(), |one| number(one.value)));
        let unit = found.iter().flatten().map(|one| one.unit).find(|unit| !unit.is_empty());
        let unit = unit.map(|unit| format!(", {unit}")).unwrap_or_default();
        let factor = match (found.first().cloned().flatten(), found.last().cloned().flatten()) {
            (Some(small), Some(large)) if self.runs.len() > 1 && small.value.abs() > 1e-9 => {
                format!("{}×", number(large.value / small.value))
            }
            _ => String::new(),
        };
        let demanded = found.iter().flatten().find_map(|one| one.demanded);
        let demanded = demanded.map(|most| format!("below {}", number(most))).unwrap_or_default();
        format!("| {name}{unit} | {} | {factor} | {demanded} |", values.collect::<Vec<_>>().join(" | "))
    }
}

/// Three significant digits, no more.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        small if small >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}
