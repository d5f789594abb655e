//! `backup-agent check`: asks the data service for its version and lets the store doctor examine every store. It changes
//! nothing but a folder of the doctor's own, which it removes again, and does not disturb an agent that serves.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use backup_daemon::exit::Failure;
use backup_objects::{Examination, Outcome, Step};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::config::Config;
use crate::drivers;
use crate::session::LimitedSession;

const DATA_SERVICE_LIMIT: Duration = Duration::from_secs(20);
/// Columns of the report.
const WIDTH: usize = 96;

/// Arguments of `backup-agent check`.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// The configuration file
    #[arg(
        long,
        value_name = "FILE",
        env = "BACKUP_AGENT_CONFIG",
        default_value = "/etc/backup-agent/backup-agent.yml"
    )]
    config: PathBuf,
    /// Form of the report
    #[arg(long, value_enum, default_value = "table")]
    output: OutputFormat,
}

/// For people or for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    /// For people
    Table,
    /// For programs
    Json,
}

/// The exit code says it as well.
#[derive(Debug, thiserror::Error)]
#[error("not everything works; the report says what")]
struct NotWell;

/// What was found.
struct Report {
    driver: &'static str,
    version: Result<Option<String>, String>,
    asked_for: Duration,
    stores: Vec<(String, &'static str, Examination)>,
}

/// Checks and prints what was found.
///
/// # Errors
/// When something does not work, or the configuration is bad.
pub async fn run(arguments: CheckArguments) -> Result<(), Failure> {
    let report = Report::make(Config::load(&arguments.config)?).await?;
    let text = match arguments.output {
        OutputFormat::Table => report.table(),
        OutputFormat::Json => format!("{:#}\n", report.json()),
    };
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(Failure::failed(error)),
        _ => {}
    }
    if report.is_well() { Ok(()) } else { Err(Failure::failed(NotWell)) }
}

impl Report {
    async fn make(config: Config) -> Result<Self, Failure> {
        let mut stores = Vec::new();
        for (name, store) in &config.stores {
            stores.push((name.clone(), store.kind(), Examination::of(name, store).await));
        }
        let begun = Instant::now();
        let driver = config.driver.given().first().copied().unwrap_or_default();
        let asked = tokio::task::spawn_blocking(move || {
            let driver = drivers::open(&config.driver, &config.scratch_directory)?;
            driver.version(&LimitedSession::new(DATA_SERVICE_LIMIT))
        });
        let version = asked.await.map_err(Failure::failed)?.map_err(|error| error.to_string());
        Ok(Self { driver, version, asked_for: begun.elapsed(), stores })
    }

    fn is_well(&self) -> bool {
        self.version.is_ok() && self.stores.iter().all(|(_, _, found)| found.is_healthy())
    }

    fn table(&self) -> String {
        let mut text = format!("data service ({})\n", self.driver);
        let version = match &self.version {
            Ok(version) => {
                line("version", "passed", self.asked_for)
                    + &version.as_deref().map(paragraph).unwrap_or_default()
            }
            Err(error) => line("version", "FAILED", self.asked_for) + &paragraph(error),
        };
        text.push_str(&version);
        for (name, kind, found) in &self.stores {
            text.push_str(&format!("\nstore {name} ({kind})\n"));
            text.extend(found.steps.iter().map(step));
        }
        text
    }

    fn json(&self) -> Value {
        let stores: Vec<Value> = self
            .stores
            .iter()
            .map(|(name, kind, found)| {
                let steps: Vec<Value> = found.steps.iter().map(step_json).collect();
                json!({"name": name, "kind": kind, "is_healthy": found.is_healthy(), "steps": steps})
            })
            .collect();
        let (version, problem) = match &self.version {
            Ok(version) => (version.clone(), None),
            Err(error) => (None, Some(error.clone())),
        };
        json!({
            "is_healthy": self.is_well(),
            "data_service": {"driver": self.driver, "version": version, "problem": problem},
            "stores": stores,
        })
    }
}

fn step(step: &Step) -> String {
    match &step.outcome {
        Outcome::Passed => line(step.name, "passed", step.duration),
        Outcome::Skipped => format!("  {:<22}not tried\n", step.name),
        Outcome::Failed { problem, advice } => {
            line(step.name, "FAILED", step.duration) + &paragraph(problem) + &paragraph(advice)
        }
    }
}

fn step_json(step: &Step) -> Value {
    let milliseconds = u64::try_from(step.duration.as_millis()).unwrap_or(u64::MAX);
    let (outcome, problem, advice) = match &step.outcome {
        Outcome::Passed => ("passed", None, None),
        Outcome::Skipped => ("skipped", None, None),
        Outcome::Failed { problem, advice } => ("failed", Some(problem), Some(advice)),
    };
    json!({
        "name": step.name, "outcome": outcome, "duration_ms": milliseconds, "problem": problem, "advice": advice,
    })
}

fn line(name: &str, word: &str, duration: Duration) -> String {
    format!("  {name:<22}{word:<8}{:>6} ms\n", duration.as_millis())
}

/// Text below a step, broken between words.
fn paragraph(text: &str) -> String {
    let mut lines = String::new();
    let mut line = String::from("     ");
    for word in text.split_whitespace() {
        if line.chars().count().saturating_add(word.chars().count()) >= WIDTH {
            lines.push_str(&line);
            lines.push('\n');
            line = String::from("     ");
        }
        line.push(' ');
        line.push_str(word);
    }
    lines + &line + "\n"
}
