//! What took how long.

use std::time::{Duration, Instant};

/// The times of the demo's acts.
#[derive(Debug, Default)]
pub(super) struct Report {
    lines: Vec<(String, Duration, String)>,
}

impl Report {
    /// Announces an act and starts its clock.
    pub(super) fn begin(&self, text: &str) -> Instant {
        crate::run::heading(text);
        Instant::now()
    }

    /// Notes the end of an act, with a remark (amounts, rates).
    pub(super) fn end(&mut self, name: &str, begin: Instant, remark: impl Into<String>) {
        let (time, remark) = (begin.elapsed(), remark.into());
        println!("    {:.1} s{}{remark}", time.as_secs_f64(), if remark.is_empty() { "" } else { ", " });
        self.lines.push((name.to_owned(), time, remark));
    }

    /// Prints the table.
    pub(super) fn print(&self) {
        crate::run::heading("timings");
        for (name, time, remark) in &self.lines {
            println!("    {name:<34} {:>6.1} s   {remark}", time.as_secs_f64());
        }
        let total: Duration = self.lines.iter().map(|(_, time, _)| *time).sum();
        println!("    {:<34} {:>6.1} s", "all together", total.as_secs_f64());
    }
}

/// Bytes per second for people.
pub(super) fn rate(bytes: u64, time: Duration) -> String {
    let per_second = u128::from(bytes).saturating_mul(1000).checked_div(time.as_millis()).unwrap_or_default();
    format!("{}/s", indicatif::HumanBytes(u64::try_from(per_second).unwrap_or(u64::MAX)))
}
