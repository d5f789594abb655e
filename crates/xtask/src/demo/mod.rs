//! `cargo xtask demo`: one real backup and one real restore from request to verified data. `scenario.rs` is the story,
//! `stage.rs` the servers and processes it plays on, `fingerprint.rs` the proof.

mod api;
pub mod dataset;
mod farewell;
pub mod fingerprint;
mod follow;
mod report;
mod scenario;
mod stage;

use std::process::ExitCode;

use clap::ValueEnum;
use tokio::signal::unix::{SignalKind, signal};

use crate::run::complain;

use report::Report;
use stage::Stage;

/// What the caller wants.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Leave everything running afterwards, until Ctrl-C.
    pub keep: bool,
    /// Whom to kill during the backup.
    pub chaos: Option<Chaos>,
    /// The programs are built already.
    pub no_build: bool,
}

/// Parties that can be killed during the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Chaos {
    /// The backup agent.
    Agent,
    /// The workers that watch the backup.
    Worker,
    /// The API.
    Api,
}

/// Runs the demo; 0 only if everything compared equal, 130 when it was interrupted.
pub fn main(options: &Options) -> ExitCode {
    let prepared = crate::prepare::prepare().and_then(|()| {
        if options.no_build {
            return Ok(());
        }
        crate::run::heading("building the workspace");
        crate::run::cargo(&["build", "--workspace"], &[])
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match prepared.and_then(|()| runtime.map_err(Into::into)) {
        Ok(runtime) => runtime.block_on(play(options)),
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

async fn play(options: &Options) -> ExitCode {
    let mut report = Report::default();
    let mut stage = None;
    let interrupted = wait_for_interrupt();
    tokio::pin!(interrupted);
    let result = tokio::select! {
        biased;
        () = &mut interrupted => None,
        result = scenario::play(options, &mut stage, &mut report) => Some(result),
    };
    let code = match result {
        Some(Ok(())) => {
            if let Some(stage) = stage.as_ref().filter(|_| options.keep) {
                farewell::explain_kept(stage);
                interrupted.await;
                println!("\nending …");
            }
            ExitCode::SUCCESS
        }
        Some(Err(error)) => {
            complain(&error);
            if let Some(stage) = &mut stage {
                farewell::show_logs(stage);
            }
            ExitCode::FAILURE
        }
        None => {
            println!("\ninterrupted, cleaning up …");
            ExitCode::from(130)
        }
    };
    tokio::task::block_in_place(|| stage.as_mut().map(Stage::end));
    code
}

/// Returns at Ctrl-C or SIGTERM; never, if the system does not let us listen for them.
async fn wait_for_interrupt() {
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
