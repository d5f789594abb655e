//! Every raw number of a run, and the few statistics that the tables and the plot show of them.

use std::fmt::Write;

use super::Scenario;

/// What a number is; the word stands in the CSV file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Figure {
    /// Jobs per second, from the first job's first instruction until all are finished.
    DrainRate,
    /// Jobs finished in that time; fewer than were waiting when the patience was over.
    DrainJobs,
    /// Seconds from the word to begin until all were finished.
    DrainSecondsFromGo,
    /// Milliseconds from the return of each enqueue to the job's first instruction.
    LatencyAfterCommit,
    /// Milliseconds from the call of each enqueue to the job's first instruction.
    LatencyAfterCall,
    /// Jobs per second of a bulk enqueue.
    EnqueueRate,
    /// Processor seconds of an idle worker process in a minute.
    IdleWorker,
    /// Processor seconds of the database's processes for it.
    IdleServer,
    /// Statements it sent in a minute.
    IdleStatements,
    /// Jobs per second of the bare statements.
    FloorRate,
}

impl Figure {
    fn word(self) -> &'static str {
        match self {
            Self::DrainRate => "drain_jobs_per_second",
            Self::DrainJobs => "drain_jobs",
            Self::DrainSecondsFromGo => "drain_seconds_from_go",
            Self::LatencyAfterCommit => "latency_ms_after_commit",
            Self::LatencyAfterCall => "latency_ms_after_call",
            Self::EnqueueRate => "enqueue_jobs_per_second",
            Self::IdleWorker => "idle_worker_cpu_seconds_per_minute",
            Self::IdleServer => "idle_server_cpu_seconds_per_minute",
            Self::IdleStatements => "idle_statements_per_minute",
            Self::FloorRate => "floor_jobs_per_second",
        }
    }
}

/// The numbers of one measurement.
#[derive(Debug, Clone)]
struct Record {
    figure: Figure,
    scenario: Scenario,
    name: String,
    round: u32,
    values: Vec<f64>,
}

/// All numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct Figures(Vec<Record>);

impl Figures {
    /// Remembers the numbers of one measurement of one contender, or of a floor.
    pub(super) fn add(
        &mut self,
        figure: Figure,
        scenario: Scenario,
        name: &str,
        round: u32,
        values: Vec<f64>,
    ) {
        self.0.push(Record { figure, scenario, name: name.to_owned(), round, values });
    }

    /// The numbers of all rounds, each round's told apart.
    pub(super) fn rounds(&self, figure: Figure, scenario: Scenario, name: &str) -> Vec<&[f64]> {
        let is_it =
            |record: &&Record| record.figure == figure && record.scenario == scenario && record.name == name;
        self.0.iter().filter(is_it).map(|record| record.values.as_slice()).collect()
    }

    /// The median over the rounds of each round's quantile, with the least and the most; none without a measurement.
    pub(super) fn summary(
        &self,
        figure: Figure,
        scenario: Scenario,
        name: &str,
        share: f64,
    ) -> Option<Summary> {
        let each: Vec<f64> = self
            .rounds(figure, scenario, name)
            .into_iter()
            .filter_map(|values| quantile(values, share))
            .collect();
        Some(Summary {
            median: quantile(&each, 0.5)?,
            least: quantile(&each, 0.0)?,
            most: quantile(&each, 1.0)?,
        })
    }

    /// One line per measurement; several numbers of one are divided by spaces.
    pub(super) fn csv(&self) -> String {
        let mut text = String::from("figure,scenario,contender,round,values\n");
        for record in &self.0 {
            let values: Vec<String> = record.values.iter().map(|value| format!("{value:.3}")).collect();
            let (figure, scenario) = (record.figure.word(), record.scenario.word());
            // Writing into a String does not fail.
            let _ = writeln!(
                text,
                "{figure},{scenario},\"{}\",{},{}",
                record.name,
                record.round,
                values.join(" ")
            );
        }
        text
    }
}

/// The middle and the ends of some numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Summary {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

/// The value below which this share of the numbers lies, between neighbours where it falls between two.
fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut all = values.to_vec();
    all.sort_by(f64::total_cmp);
    let last = u32::try_from(all.len().checked_sub(1)?).ok()?;
    let place = share * f64::from(last);
    let mut pairs = (0..).zip(&all).filter(|(number, _)| (f64::from(*number) - place).abs() < 1.0);
    let (number, lower) = pairs.next()?;
    let upper = pairs.next().map_or(lower, |(_, upper): (u32, _)| upper);
    Some(lower + (upper - lower) * (place - f64::from(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_between_its_neighbours() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(quantile(&values, 0.0), Some(1.0));
        assert_eq!(quantile(&values, 0.5), Some(2.5));
        assert_eq!(quantile(&values, 1.0), Some(4.0));
        assert_eq!(quantile(&[7.0], 0.95), Some(7.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn a_summary_is_of_the_rounds_and_not_of_all_numbers_together() {
        let mut figures = Figures::default();
        for (round, values) in (1..).zip([vec![1.0, 1.0, 100.0], vec![2.0, 2.0, 2.0], vec![9.0]]) {
            figures.add(Figure::LatencyAfterCommit, Scenario::Plain, "ours", round, values);
        }
        let summary = figures.summary(Figure::LatencyAfterCommit, Scenario::Plain, "ours", 0.5);
        assert_eq!(summary, Some(Summary { median: 2.0, least: 1.0, most: 9.0 }));
        assert_eq!(figures.summary(Figure::DrainRate, Scenario::Plain, "ours", 0.5), None);
    }

    #[test]
    fn every_number_is_in_the_csv_file() {
        let mut figures = Figures::default();
        figures.add(Figure::FloorRate, Scenario::Plain, "ours, batch 10", 2, vec![1.5, 2.0]);
        let line = "floor_jobs_per_second,plain,\"ours, batch 10\",2,1.500 2.000";
        assert_eq!(figures.csv().lines().nth(1), Some(line));
    }
}
