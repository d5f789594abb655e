//! What was measured, as numbers with names, and the share of a list.

use serde::Serialize;

use super::process::Usage;

/// What is promised of the memory of a worker, whatever it does.
const DEMANDED_MIB: f64 = 64.0;

/// One number.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figure {
    /// The part it belongs to.
    pub(super) part: char,
    pub(super) name: String,
    pub(super) unit: &'static str,
    pub(super) value: f64,
    /// What it must stay below with the largest fleet, if anybody has promised that.
    pub(super) demanded: Option<f64>,
}

/// The numbers of one part, in order.
#[derive(Debug)]
pub(super) struct Figures {
    part: char,
    pub(super) all: Vec<Figure>,
}

impl Figures {
    pub(super) fn new(part: char) -> Self {
        Self { part, all: Vec::new() }
    }

    pub(super) fn add(&mut self, name: impl Into<String>, unit: &'static str, value: f64) {
        self.add_demanded(name, unit, value, None);
    }

    /// One that must stay below something.
    pub(super) fn add_demanded(
        &mut self,
        name: impl Into<String>,
        unit: &'static str,
        value: f64,
        demanded: Option<f64>,
    ) {
        self.all.push(Figure { part: self.part, name: name.into(), unit, value, demanded });
    }

    /// Puts a title in front of the names of the figures from this one on.
    pub(super) fn title_from(&mut self, first: usize, title: &str) {
        for figure in self.all.iter_mut().skip(first) {
            figure.name = format!("{title}: {}", figure.name);
        }
    }

    /// CPU and memory of every process, the CPU as a share of one core.
    pub(super) fn add_usage(&mut self, usage: &[Usage], seconds: f64) {
        for Usage { name, cpu_seconds, peak_mib } in usage {
            if *cpu_seconds < 0.005 && peak_mib.is_some() {
                continue;
            }
            self.add(format!("CPU of {name}"), "s", *cpu_seconds);
            self.add(format!("cores busy with {name}"), "", cpu_seconds / seconds);
            if let Some(peak) = peak_mib {
                let demanded = name.starts_with("worker").then_some(DEMANDED_MIB);
                self.add_demanded(format!("resident memory of {name}, at most"), "MiB", *peak, demanded);
            }
        }
    }

    /// Median, 99th percentile and number of some lags in milliseconds.
    pub(super) fn add_lags(&mut self, name: &str, mut lags: Vec<f64>, demanded_p99: Option<f64>) {
        lags.sort_by(f64::total_cmp);
        self.add(format!("{name}, number"), "", count(lags.len()));
        if lags.is_empty() {
            return;
        }
        self.add(format!("{name}, p50"), "ms", share(&lags, 0.5));
        self.add_demanded(format!("{name}, p99"), "ms", share(&lags, 0.99), demanded_p99);
        self.add(format!("{name}, largest"), "ms", share(&lags, 1.0));
    }
}

/// The value that this share of a sorted list does not exceed.
pub(super) fn share(sorted: &[f64], share: f64) -> f64 {
    let (mut found, mut passed) = (0.0, 0.0);
    for value in sorted {
        if passed >= share * count(sorted.len()) {
            break;
        }
        found = *value;
        passed += 1.0;
    }
    found
}

/// A number of things, as a float.
pub(super) fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}

/// Microseconds as milliseconds.
pub(super) fn milliseconds(micros: i64) -> f64 {
    i32::try_from(micros / 10).map_or(f64::INFINITY, |tens| f64::from(tens) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_a_list_is_one_of_its_values() {
        let all: Vec<f64> = (1..=100).map(f64::from).collect();
        let near = |found: f64, expected: f64| (found - expected).abs() < 1e-9;
        assert!(
            near(share(&all, 0.5), 50.0) && near(share(&all, 0.99), 99.0) && near(share(&all, 1.0), 100.0)
        );
        assert!(near(share(&[7.0], 0.5), 7.0));
    }
}
