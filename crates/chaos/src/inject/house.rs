//! The hand for processes, proxies, their clocks and the disk. Nothing it does takes long, so one thread does it all.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use local_installation::{Daemon, Installation};

use super::{Desk, mischief, wait_until};
use crate::disk::SmallDisk;
use crate::facts::Millis;
use crate::proxy::{FaultProxy, Times};
use crate::schedule::{Fault, Kind, Parameter, Target};

/// How often it looks whether a process has ended by itself.
const ROUND_MS: Millis = 500;

pub(super) struct House<'a> {
    installation: &'a mut Installation,
    roads: &'a [FaultProxy],
    gates: &'a [FaultProxy],
    disk: Option<&'a SmallDisk>,
    /// Those that are down because we killed them.
    killed: BTreeSet<Target>,
    /// When each running fault began, and how many requests its proxy had met by then.
    begun: BTreeMap<usize, (Millis, u64)>,
}

impl<'a> House<'a> {
    pub(super) fn new(
        installation: &'a mut Installation,
        roads: &'a [FaultProxy],
        gates: &'a [FaultProxy],
        disk: Option<&'a SmallDisk>,
    ) -> Self {
        Self { installation, roads, gates, disk, killed: BTreeSet::new(), begun: BTreeMap::new() }
    }

    /// Does and heals all of them.
    pub(super) fn run(mut self, faults: &[Fault], desk: &Desk<'_>) -> anyhow::Result<()> {
        // Ends before beginnings of the same moment.
        let ends = faults.iter().map(|fault| (fault.at_ms.saturating_add(fault.lasts_ms), 0, fault));
        let begins = faults.iter().map(|fault| (fault.at_ms, 1, fault));
        let mut moments: Vec<(Millis, u8, &Fault)> = ends.chain(begins).collect();
        moments.sort_by_key(|(at, order, fault)| (*at, *order, fault.number));
        let mut next_round = 0;
        for (at, order, fault) in moments {
            while desk.stopwatch.now() < at {
                if desk.stopwatch.now() >= next_round {
                    self.look_after(desk)?;
                    next_round = desk.stopwatch.now().saturating_add(ROUND_MS);
                }
                wait_until(desk.stopwatch, at.min(next_round));
            }
            match order {
                0 => self.heal(fault, desk),
                _ => self.inflict(fault, desk),
            }
            .with_context(|| format!("fault {fault}"))?;
        }
        self.look_after(desk)
    }

    fn inflict(&mut self, fault: &Fault, desk: &Desk<'_>) -> anyhow::Result<()> {
        let begun = desk.began(fault);
        let met = self.proxy(fault).map_or(0, met);
        self.begun.insert(fault.number, (begun, met));
        match (fault.kind, fault.parameter) {
            (Kind::KillApi | Kind::KillWorker | Kind::KillAgent, _) => {
                self.killed.insert(fault.target);
                let daemon = self.daemon(fault.target)?;
                let process = daemon.pid();
                if daemon.is_running()? {
                    daemon.kill()?;
                }
                if let Some(process) = process.filter(|_| fault.kind == Kind::KillWorker) {
                    desk.history.worker_killed(begun, process);
                }
                Ok(())
            }
            (Kind::PauseApi | Kind::PauseWorker | Kind::PauseAgent, _) => self.daemon(fault.target)?.pause(),
            (Kind::ClockWorker | Kind::ClockAgent, Parameter::JumpSeconds(jump)) => {
                self.daemon(fault.target)?.set_clock(jump)
            }
            (Kind::DiskFull, _) => self.disk.map_or(Ok(()), SmallDisk::fill),
            _ => {
                let mischief = mischief::of(fault).context("no proxy can do this")?;
                let proxy = self.proxy(fault).context("there is no such proxy")?;
                proxy.inject(mischief, Times::UntilHealed);
                Ok(())
            }
        }
    }

    fn heal(&mut self, fault: &Fault, desk: &Desk<'_>) -> anyhow::Result<()> {
        let (begun, met_before) = self.begun.remove(&fault.number).unwrap_or_default();
        let requests = self.proxy(fault).map(|proxy| met(proxy).saturating_sub(met_before));
        match fault.kind {
            Kind::KillApi | Kind::KillWorker | Kind::KillAgent => {
                self.killed.remove(&fault.target);
                let daemon = self.daemon(fault.target)?;
                if !daemon.is_running()? {
                    daemon.start()?;
                }
            }
            Kind::PauseApi | Kind::PauseWorker | Kind::PauseAgent => self.daemon(fault.target)?.resume()?,
            Kind::ClockWorker | Kind::ClockAgent => self.daemon(fault.target)?.set_clock(0)?,
            Kind::DiskFull => self.disk.map_or(Ok(()), SmallDisk::drain)?,
            _ => self.proxy(fault).context("there is no such proxy")?.heal(),
        }
        desk.ended(*fault, begun, requests);
        Ok(())
    }

    /// Starts again what has ended by itself, and notes it.
    fn look_after(&mut self, desk: &Desk<'_>) -> anyhow::Result<()> {
        let apis = (0..self.gates.len()).map(Target::Api);
        let workers = (0..self.installation.workers.len()).map(Target::Worker);
        let agents = (0..self.installation.agents().len()).map(Target::Agent);
        let all: Vec<Target> = apis.chain(workers).chain(agents).collect();
        for target in all {
            if self.killed.contains(&target) {
                continue;
            }
            let daemon = self.daemon(target)?;
            if !daemon.is_running()? {
                desk.accident(format!("{} ended by itself: {}", daemon.name(), daemon.log_tail(3)));
                daemon.start()?;
            }
        }
        Ok(())
    }

    fn daemon(&mut self, target: Target) -> anyhow::Result<&mut Daemon> {
        match target {
            Target::Api(number) => self.installation.apis_mut().nth(number),
            Target::Worker(number) => self.installation.workers.get_mut(number),
            Target::Agent(number) => {
                self.installation.agents_mut().get_mut(number).map(|agent| &mut agent.daemon)
            }
            Target::Database | Target::Store => None,
        }
        .with_context(|| format!("there is no {target}"))
    }

    /// The proxy that a fault concerns, if it concerns one.
    fn proxy(&self, fault: &Fault) -> Option<&'a FaultProxy> {
        mischief::of(fault)?;
        match fault.target {
            Target::Api(number) => self.gates.get(number),
            Target::Agent(number) => self.roads.get(number),
            Target::Worker(_) | Target::Database | Target::Store => None,
        }
    }
}

fn met(proxy: &FaultProxy) -> u64 {
    proxy.counts().faults.values().sum()
}
