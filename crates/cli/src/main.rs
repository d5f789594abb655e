//! `backupctl`: parses the command line, runs the command, prints what went wrong, returns the documented exit code.

use std::io::Write;
use std::process::ExitCode;

use backup_cli::args::Cli;
use backup_cli::output::Screen;
use clap::Parser;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut screen = Screen::of_process(cli.output);
    let outcome = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(backup_cli::run(cli, &mut screen)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            let _ = write!(std::io::stderr(), "{}", error.report());
            ExitCode::from(error.exit_code())
        }
    }
}
