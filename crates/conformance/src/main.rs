//! The program `backup-agent-conformance`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command for people talks to them")]

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};
use backup_conformance::{Credential, Outcome, Report, Restart, Target, Verdict};
use clap::{Parser, ValueEnum};
use futures_util::future::BoxFuture;
use secrecy::SecretString;

/// Checks a backup agent at a URL against the protocol
///
/// Makes some thirty small backups of the data service beside the agent into a store of its configuration, stops them, repeats
/// them and asks about them, and compares every answer with docs/agent-openapi.json. The backups are called
/// conformance-…, and the finished ones stay in the store: use a store or a prefix for trials. Exit codes: 0 every promise
/// that could be checked is kept, 1 one is broken, 2 wrong usage.
#[derive(Parser)]
#[command(name = "backup-agent-conformance", version)]
struct Arguments {
    /// Base URL of the agent, for example https://10.0.0.7:3100
    #[arg(long)]
    url: String,
    /// User of basic authentication; without it the credential is a bearer token
    #[arg(long)]
    user: Option<String>,
    /// File with the password or the token
    #[arg(long, value_name = "FILE")]
    credential_file: PathBuf,
    /// PEM file of the authority that signed the agent's certificate, when it is a private one
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Name of a store in the agent's configuration
    #[arg(long)]
    store: String,
    /// Objects are written below PREFIX/conformance-…/
    #[arg(long, value_name = "PREFIX", default_value = "conformance")]
    object_prefix: String,
    /// Bytes per second of a backup that is looked at while it runs; low enough for ten seconds of work
    #[arg(long, value_name = "BYTES", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    slow_rate: u64,
    /// Also restore: replaces the data beside the agent by what was read from it a moment before. Not in production
    #[arg(long)]
    allow_restores: bool,
    /// Shell command that kills the agent without a warning, for example: systemctl kill -s KILL backup-agent
    #[arg(long, value_name = "COMMAND", requires = "start_command")]
    kill_command: Option<String>,
    /// Shell command that starts it again, with the same journal
    #[arg(long, value_name = "COMMAND", requires = "kill_command")]
    start_command: Option<String>,
    /// How the outcomes are printed
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A line per check as it is made, and a summary
    Text,
    /// One JSON document at the end
    Json,
}

#[tokio::main]
async fn main() -> ExitCode {
    match check(Arguments::parse()).await {
        Ok(report) if report.is_conformant() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn check(arguments: Arguments) -> anyhow::Result<Report> {
    let read =
        |path: &PathBuf| std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()));
    let secret = String::from_utf8(read(&arguments.credential_file)?).context("the credential is no text")?;
    let secret = SecretString::from(secret.trim_end().to_owned());
    let credential = match arguments.user {
        Some(user) => Credential::Basic { user, password: secret },
        None => Credential::Bearer(secret),
    };
    let restart = arguments.kill_command.zip(arguments.start_command);
    let target = Target {
        url: arguments.url,
        credential,
        authority: arguments.ca_file.as_ref().map(read).transpose()?,
        store: arguments.store,
        object_prefix: arguments.object_prefix,
        slow_rate: arguments.slow_rate,
        allow_restores: arguments.allow_restores,
        restart: restart.map(|(kill, start)| -> Box<dyn Restart> { Box::new(Commands { kill, start }) }),
    };
    let is_text = arguments.output == Output::Text;
    let report = backup_conformance::run(target, |outcome| {
        if is_text {
            print(outcome)
        }
    })
    .await?;
    match arguments.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&report)?),
        Output::Text => {
            let passed = report.count(|verdict| *verdict == Verdict::Passed);
            let skipped = report.count(|verdict| matches!(verdict, Verdict::Skipped(_)));
            let failed = report.count(|verdict| matches!(verdict, Verdict::Failed(_)));
            println!("\n{passed} kept, {failed} broken, {skipped} not checked");
        }
    }
    Ok(report)
}

fn print(outcome: &Outcome) {
    match &outcome.verdict {
        Verdict::Passed => println!("kept         {}", outcome.name),
        Verdict::Skipped(reason) => println!("not checked  {}\n             {reason}", outcome.name),
        Verdict::Failed(reason) => println!("BROKEN       {}\n             {reason}", outcome.name),
    }
}

/// Commands of the operator.
struct Commands {
    kill: String,
    start: String,
}

impl Restart for Commands {
    fn kill_and_start(&self) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(async {
            for command in [&self.kill, &self.start] {
                let command = command.clone();
                let shown = command.clone();
                let ended = tokio::task::spawn_blocking(move || {
                    Command::new("/bin/sh").arg("-c").arg(command).status()
                });
                let status = ended.await?.with_context(|| format!("`{shown}` cannot be started"))?;
                if !status.success() {
                    bail!("`{shown}` ended with {status}");
                }
            }
            Ok(())
        })
    }
}
