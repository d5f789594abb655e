//! Several measurements of one thing: the median, and how far apart they are.

use serde::Serialize;

/// One run of a load generator against one target.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Sample {
    /// Answers, or transactions, per second.
    pub(crate) per_second: f64,
    /// Median latency in milliseconds; the mean for pgbench, which tells no median.
    pub(crate) p50_ms: f64,
    /// 99th percentile in milliseconds; 0 for pgbench.
    pub(crate) p99_ms: f64,
}

/// The samples of one target, in the order of the rounds.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Samples(pub(crate) Vec<Sample>);

impl Samples {
    /// The median of one figure of the samples; 0 without samples.
    pub(crate) fn median(&self, figure: impl Fn(&Sample) -> f64) -> f64 {
        let mut all: Vec<f64> = self.0.iter().map(figure).collect();
        all.sort_by(f64::total_cmp);
        let upper = all.get(all.len() / 2).copied().unwrap_or_default();
        let lower = all.get(all.len().saturating_sub(1) / 2).copied().unwrap_or_default();
        f64::midpoint(lower, upper)
    }

    /// Median requests per second.
    pub(crate) fn per_second(&self) -> f64 {
        self.median(|sample| sample.per_second)
    }

    /// Smallest and largest requests per second.
    pub(crate) fn spread(&self) -> (f64, f64) {
        let rates = || self.0.iter().map(|sample| sample.per_second);
        (rates().reduce(f64::min).unwrap_or_default(), rates().reduce(f64::max).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(rates: &[f64]) -> Samples {
        Samples(rates.iter().map(|rate| Sample { per_second: *rate, ..Sample::default() }).collect())
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert!((samples(&[3.0, 1.0, 2.0]).per_second() - 2.0).abs() < 1e-9);
        assert!((samples(&[4.0, 1.0, 2.0, 3.0]).per_second() - 2.5).abs() < 1e-9);
        assert!(samples(&[]).per_second().abs() < 1e-9);
    }

    #[test]
    fn the_spread_is_from_the_smallest_to_the_largest() {
        assert_eq!(samples(&[3.0, 1.0, 2.0]).spread(), (1.0, 3.0));
    }
}
