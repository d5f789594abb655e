//! A run under way: what is measured of whom, told at the terminal as it comes, and remembered.

use std::time::Duration;

use anyhow::bail;

use super::contender::{Contender, KINDS};
use super::figures::{Figure, Figures};
use super::lane::Lane;
use super::stage::Stage;
use super::{Measure, Options, Scenario, drain, floor, idle, install, latency, tell};

/// What is asked for and what has been found so far.
pub(super) struct Run<'a> {
    pub(super) options: &'a Options,
    pub(super) figures: Figures,
    /// Who is missing or failed at something, and why.
    pub(super) troubles: Vec<String>,
}

impl Run<'_> {
    /// Those who take part and could be installed.
    ///
    /// # Errors
    /// When somebody is asked for who does not exist.
    pub(super) fn install(&mut self) -> anyhow::Result<Vec<Contender>> {
        let only = &self.options.only;
        if let Some(unknown) = only.iter().find(|name| KINDS.iter().all(|kind| kind.name != name.as_str())) {
            let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
            bail!("there is no contender `{unknown}`; there are {}", names.join(", "));
        }
        let mut contenders = Vec::new();
        for kind in KINDS.iter().filter(|kind| only.is_empty() || only.iter().any(|name| name == kind.name)) {
            match install::install(kind) {
                Ok(contender) => contenders.push(contender),
                Err(error) => self.trouble(format!("{}, which cannot be installed: {error:#}", kind.name)),
            }
        }
        Ok(contenders)
    }

    /// Makes the databases of a contender; tells whether that worked.
    pub(super) fn makes_tables(&mut self, stage: &Stage, contender: &Contender) -> bool {
        let wanted = self.options.scenarios();
        let scenarios = [Scenario::Plain, Scenario::History]
            .into_iter()
            .filter(|one| *one == Scenario::Plain || wanted.contains(one));
        for scenario in scenarios {
            if let Err(error) = Lane::prepare(stage, contender, scenario, self.options.history) {
                self.trouble(format!("{}, which has no tables: {error:#}", contender.name()));
                return false;
            }
        }
        true
    }

    /// The bare statements.
    pub(super) fn floor(
        &mut self,
        stage: &Stage,
        contenders: &[Contender],
        round: u32,
    ) -> anyhow::Result<()> {
        let jobs = self.options.jobs;
        for batch in floor::BATCHES {
            let mut rates = vec![(floor::LEAST, floor::least(stage, jobs, batch)?)];
            if let Some(ours) = contenders.iter().find(|contender| contender.name() == "ours") {
                let mut lane = Lane::open(stage, ours, Scenario::Plain)?;
                rates.push((floor::OURS, floor::ours(stage, &mut lane, jobs, batch)?));
            }
            for (what, rate) in rates {
                let name = format!("{what}, batch {batch}");
                println!("floor, {name}: {rate:.0} jobs/s");
                self.figures.add(Figure::FloorRate, Scenario::Plain, &name, round, vec![rate]);
            }
        }
        Ok(())
    }

    /// The bulk enqueue.
    pub(super) fn enqueue(&mut self, stage: &Stage, contender: &Contender, round: u32) -> anyhow::Result<()> {
        let lane = Lane::open(stage, contender, Scenario::Plain)?;
        lane.clear()?;
        let rate = f64::from(self.options.bulk) / lane.fill(self.options.bulk)?;
        println!("{}, bulk enqueue: {rate:.0} jobs/s", contender.name());
        self.figures.add(Figure::EnqueueRate, Scenario::Plain, contender.name(), round, vec![rate]);
        lane.clear()
    }

    /// Drain and latency of one contender in one scenario; an open transaction is open for both.
    pub(super) fn visit(
        &mut self,
        stage: &Stage,
        contender: &Contender,
        scenario: Scenario,
        round: u32,
    ) -> anyhow::Result<()> {
        let mut lane = Lane::open(stage, contender, scenario)?;
        let patience = Duration::from_secs(self.options.patience.into());
        let (name, words) = (contender.name(), scenario.words());
        lane.clear()?;
        let mut open = None;
        if self.options.measures(Measure::Drain) {
            lane.fill(self.options.jobs)?;
            lane.tidy()?;
            open = (scenario == Scenario::Open).then(|| lane.hold()).transpose()?;
            let drain = drain::measure(&mut lane, self.options.jobs, patience)?;
            println!("{name}, drain, {words}: {:.0} jobs/s ({} jobs)", drain.rate(), drain.jobs);
            let mut add = |figure, value| self.figures.add(figure, scenario, name, round, vec![value]);
            add(Figure::DrainRate, drain.rate());
            add(Figure::DrainJobs, f64::from(drain.jobs));
            add(Figure::DrainSecondsFromGo, drain.seconds_from_go);
            // What the open transaction keeps from being removed is part of that scenario.
            if scenario == Scenario::Open { lane.remove_pending()? } else { lane.clear()? }
        }
        if self.options.measures(Measure::Latency) {
            if scenario == Scenario::Open && open.is_none() {
                open = Some(lane.hold()?);
            }
            let found = latency::measure(&lane, self.options.samples, patience)?;
            self.figures.add(Figure::LatencyAfterCommit, scenario, name, round, found.after_commit.clone());
            self.figures.add(Figure::LatencyAfterCall, scenario, name, round, found.after_call);
            let mut one_round = Figures::default();
            one_round.add(Figure::LatencyAfterCommit, scenario, name, round, found.after_commit);
            let at = |share| one_round.summary(Figure::LatencyAfterCommit, scenario, name, share);
            if let (Some(median), Some(high)) = (at(0.5), at(0.95)) {
                println!(
                    "{name}, latency, {words}: median {:.2} ms, 95 % {:.2} ms",
                    median.median, high.median
                );
            }
        }
        drop(open);
        lane.clear()
    }

    /// All workers side by side, without work.
    pub(super) fn idle(&mut self, stage: &Stage, contenders: &[Contender]) -> anyhow::Result<()> {
        let mut lanes = Vec::new();
        for contender in contenders {
            lanes.push(Lane::open(stage, contender, Scenario::Plain)?);
        }
        let duration = Duration::from_secs(self.options.idle_seconds.into());
        for (lane, cost) in lanes.iter().zip(idle::measure(stage, &lanes, duration)?) {
            let name = lane.contender.name();
            println!(
                "{name}, idle: worker {:.3} s, server {:.3} s, {:.0} statements a minute",
                cost.worker, cost.server, cost.statements
            );
            let mut add = |figure, value| self.figures.add(figure, Scenario::Plain, name, 1, vec![value]);
            add(Figure::IdleWorker, cost.worker);
            add(Figure::IdleServer, cost.server);
            add(Figure::IdleStatements, cost.statements);
        }
        Ok(())
    }

    /// Remembers a failure of one contender, with which the run goes on.
    pub(super) fn note(&mut self, name: &str, what: &str, result: anyhow::Result<()>) {
        if let Err(error) = result {
            self.trouble(format!("{name}, at {what}: {error:#}"));
        }
    }

    fn trouble(&mut self, text: String) {
        tell(&format!("MISSING: {text}"));
        if !self.troubles.contains(&text) {
            self.troubles.push(text);
        }
    }
}
