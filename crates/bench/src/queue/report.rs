//! The results as a page for people. The raw numbers are in `figures.rs`, the picture in `plot.rs`.

use std::fmt::{self, Write};

use super::contender::Contender;
use super::figures::{Figure, Figures, Summary};
use super::{Options, Scenario, floor};

/// Everything the page tells.
pub(super) struct Report<'a> {
    pub(super) options: &'a Options,
    /// `name: value` of the machine.
    pub(super) machine: Vec<(&'static str, String)>,
    /// `name: value` of the server.
    pub(super) postgresql: Vec<(String, String)>,
    pub(super) contenders: &'a [Contender],
    /// Who is missing or failed at something, and why.
    pub(super) troubles: &'a [String],
    pub(super) figures: &'a Figures,
}

const SCENARIOS: [Scenario; 3] = [Scenario::Plain, Scenario::History, Scenario::Open];

impl Report<'_> {
    /// The page.
    pub(super) fn markdown(&self) -> String {
        let mut page = String::from("# How fast the job queue is\n\n");
        // Writing into a String does not fail.
        let _ = self.write(&mut page);
        page
    }

    fn write(&self, page: &mut String) -> fmt::Result {
        self.write_head(page)?;
        self.write_contenders(page)?;
        self.write_drain(page)?;
        self.write_latency(page)?;
        self.write_rest(page)?;
        self.write_floor(page)?;
        self.write_summary(page)
    }

    fn write_head(&self, page: &mut String) -> fmt::Result {
        let o = self.options;
        writeln!(
            page,
            "Made by the command below, which measures again on your machine: our queue and other Postgres queues on one server,\n\
             in one run, in turns, each as one worker process in its own documented fast configuration. Workers, harness and\n\
             PostgreSQL share the machine's cores, so these are ratios to judge by. Medians of {} rounds, least and most in\n\
             brackets. Every raw number is in [queue.csv](queue.csv).\n\n\
             ```sh\n{}\n```\n\n![drain and latency](queue.svg)\n",
            o.rounds,
            o.command()
        )?;
        writeln!(page, "| | |\n|---|---|")?;
        for (name, value) in self.machine.iter().filter(|(name, _)| *name != "wrk") {
            writeln!(page, "| {name} | {value} |")?;
        }
        let settings: Vec<String> =
            self.postgresql.iter().map(|(name, value)| format!("{name} {value}")).collect();
        writeln!(page, "| PostgreSQL | {} |", settings.join(", "))
    }

    fn write_contenders(&self, page: &mut String) -> fmt::Result {
        writeln!(page, "\n| Queue | Version | Set up |\n|---|---|---|")?;
        for contender in self.contenders {
            writeln!(page, "| {} | {} | {} |", contender.name(), contender.version, contender.kind.setup)?;
        }
        for trouble in self.troubles {
            writeln!(page, "\nMissing: {}.", trouble.replace('\n', " "))?;
        }
        Ok(())
    }

    fn write_drain(&self, page: &mut String) -> fmt::Result {
        let o = self.options;
        writeln!(
            page,
            "\n## {} waiting jobs, one worker process: jobs per second\n\n\
             From the first instruction of the first job until the tables say that every job is finished; start-up is not in it.\n\
             The jobs do nothing. Cut short after {} s (marked with *): then it is what was finished by that time. \"Long\n\
             history\" is beside {} finished jobs, where the queue keeps them, and as many that are due tomorrow. \"Open\n\
             transaction\" is beside one that began before and stays open, so that no dead row can be removed.\n\n\
             | Queue | plain | long history | | open transaction | |\n|---|---|---|---|---|---|",
            o.jobs, o.patience, o.history
        )?;
        for contender in self.contenders {
            let name = contender.name();
            let rate = |scenario| self.figures.summary(Figure::DrainRate, scenario, name, 0.5);
            let Some(plain) = rate(Scenario::Plain) else { continue };
            write!(page, "| {name} | {}{} |", spread(plain), self.mark(Scenario::Plain, name))?;
            for scenario in [Scenario::History, Scenario::Open] {
                match rate(scenario) {
                    Some(one) => write!(
                        page,
                        " {}{} | **{:.2}** |",
                        spread(one),
                        self.mark(scenario, name),
                        one.median / plain.median
                    )?,
                    None => write!(page, " | |")?,
                }
            }
            writeln!(page)?;
        }
        Ok(())
    }

    /// A mark for drains that were cut short.
    fn mark(&self, scenario: Scenario, name: &str) -> &'static str {
        let least = self.figures.summary(Figure::DrainJobs, scenario, name, 0.0);
        if least.is_some_and(|one| one.least < f64::from(self.options.jobs)) { "*" } else { "" }
    }

    fn write_latency(&self, page: &mut String) -> fmt::Result {
        writeln!(
            page,
            "\n## Latency on an idle worker, ms\n\n\
             From the return of the enqueue (the commit is known) to the job's first instruction, by the clock both processes share.\n\
             One job at a time after a random pause, {} in each round; fewer from those that poll, which got {} s.\n\n\
             | Queue | jobs | plain: median | 95 % | long history: median | 95 % | open transaction: median | 95 % |\n\
             |---|---|---|---|---|---|---|---|",
            self.options.samples, self.options.patience
        )?;
        for contender in self.contenders {
            let name = contender.name();
            let figure = Figure::LatencyAfterCommit;
            let all: usize = SCENARIOS
                .iter()
                .flat_map(|scenario| self.figures.rounds(figure, *scenario, name))
                .map(<[f64]>::len)
                .sum();
            if all == 0 {
                continue;
            }
            write!(page, "| {name} | {all} |")?;
            for scenario in SCENARIOS {
                for share in [0.5, 0.95] {
                    match self.figures.summary(figure, scenario, name, share) {
                        Some(one) => {
                            write!(page, " {:.2} ({:.2}–{:.2}) |", one.median, one.least, one.most)?;
                        }
                        None => write!(page, " |")?,
                    }
                }
            }
            writeln!(page)?;
        }
        Ok(())
    }

    fn write_rest(&self, page: &mut String) -> fmt::Result {
        writeln!(
            page,
            "\n## Bulk enqueue, and an idle worker\n\n\
             {} jobs at once through the queue's own interface for many, in jobs per second. An idle worker's cost in a minute:\n\
             processor seconds of its process, those of the server for its connections, and its statements.\n\n\
             | Queue | enqueue | idle: worker s/min | server s/min | statements/min |\n|---|---|---|---|---|",
            self.options.bulk
        )?;
        for contender in self.contenders {
            let name = contender.name();
            let one = |figure| self.figures.summary(figure, Scenario::Plain, name, 0.5);
            let number = |figure, digits: usize| {
                one(figure).map(|found| format!("{:.digits$}", found.median)).unwrap_or_default()
            };
            writeln!(
                page,
                "| {name} | {} | {} | {} | {} |",
                one(Figure::EnqueueRate).map(spread).unwrap_or_default(),
                number(Figure::IdleWorker, 3),
                number(Figure::IdleServer, 3),
                number(Figure::IdleStatements, 0)
            )?;
        }
        Ok(())
    }

    fn write_floor(&self, page: &mut String) -> fmt::Result {
        writeln!(
            page,
            "\n## The floor: bare statements with pgbench, two clients, jobs per second\n\n\
             \"Our statements\" are the claim and the finish of our queue, in two transactions, with everything they write: leases,\n\
             attempts, history. \"Least table\" has four columns, one index, no history: claimed by an update, finished by a delete.\n\
             The last column is our worker's drain divided by our statements.\n\n\
             | Jobs per statement | our statements | least table | our worker |\n|---|---|---|---|"
        )?;
        let drain = self.figures.summary(Figure::DrainRate, Scenario::Plain, "ours", 0.5);
        for batch in floor::BATCHES {
            let one = |what: &str| {
                self.figures.summary(
                    Figure::FloorRate,
                    Scenario::Plain,
                    &format!("{what}, batch {batch}"),
                    0.5,
                )
            };
            let (ours, least) = (one(floor::OURS), one(floor::LEAST));
            let ratio =
                drain.zip(ours).map(|(drain, floor)| format!("**{:.2}**", drain.median / floor.median));
            writeln!(
                page,
                "| {batch} | {} | {} | {} |",
                ours.map(spread).unwrap_or_default(),
                least.map(spread).unwrap_or_default(),
                ratio.unwrap_or_default()
            )?;
        }
        Ok(())
    }

    /// Ours beside the best of the others, whichever that is.
    fn write_summary(&self, page: &mut String) -> fmt::Result {
        writeln!(
            page,
            "\n## Ours beside the best of the others\n\n| | ours | best other | |\n|---|---|---|---|"
        )?;
        for scenario in SCENARIOS {
            let rate = |name: &str| self.median(Figure::DrainRate, scenario, name, 0.5);
            let best =
                self.others().filter_map(|name| Some((rate(name)?, name))).max_by(|a, b| a.0.total_cmp(&b.0));
            if let (Some(ours), Some((best, name))) = (rate("ours"), best) {
                writeln!(
                    page,
                    "| drain, {}, jobs/s | {ours:.0} | {best:.0} ({name}) | **{:.2}×** |",
                    scenario.words(),
                    ours / best
                )?;
            }
        }
        for scenario in SCENARIOS {
            let latency = |name: &str, share| self.median(Figure::LatencyAfterCommit, scenario, name, share);
            let best = self
                .others()
                .filter_map(|name| Some((latency(name, 0.5)?, name)))
                .min_by(|a, b| a.0.total_cmp(&b.0));
            if let (Some(ours), Some((best, name))) = (latency("ours", 0.95), best) {
                writeln!(
                    page,
                    "| latency, {}, ms: our 95 %, the best median | {ours:.2} | {best:.2} ({name}) | **{:.2}×** |",
                    scenario.words(),
                    ours / best
                )?;
            }
        }
        Ok(())
    }

    fn others(&self) -> impl Iterator<Item = &'static str> {
        self.contenders.iter().map(Contender::name).filter(|name| *name != "ours")
    }

    fn median(&self, figure: Figure, scenario: Scenario, name: &str, share: f64) -> Option<f64> {
        self.figures.summary(figure, scenario, name, share).map(|one| one.median)
    }
}

/// `median (least–most)`.
fn spread(summary: Summary) -> String {
    format!("{:.0} ({:.0}–{:.0})", summary.median, summary.least, summary.most)
}
