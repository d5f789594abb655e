//! Exit codes of all daemons and the frame around their `main`: 0 fine, 1 failed at run time, 2 wrong usage
//! (given by the command-line parser), 69 a service needed at the start is unreachable, 78 bad configuration.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io::Write;
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::tls::TlsError;

/// Failed at run time.
pub const FAILED: u8 = 1;
/// A service needed at the start cannot be reached (`EX_UNAVAILABLE` of sysexits.h).
pub const UNAVAILABLE: u8 = 69;
/// The configuration cannot be used (`EX_CONFIG` of sysexits.h).
pub const BAD_CONFIGURATION: u8 = 78;

/// Why a daemon ends: a message for the operator and the exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// Failed at run time; the error's sources are part of the message.
    pub fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { code: FAILED, message: chain(error.into().as_ref()) }
    }

    /// A service needed at the start is unreachable.
    pub fn unavailable(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { code: UNAVAILABLE, message: chain(error.into().as_ref()) }
    }

    /// The configuration cannot be used.
    pub fn bad_configuration(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { code: BAD_CONFIGURATION, message: chain(error.into().as_ref()) }
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::bad_configuration(error)
    }
}

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Self {
        Self::bad_configuration(error)
    }
}

/// Runs a daemon's `main` on a multi-threaded Tokio runtime and turns its end into an exit code; a failure is
/// printed once to standard error as `program: message`.
pub fn run_main(program: &str, main: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    let result = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let result = runtime.block_on(main);
            // Work that blocks in a thread of its own must not hold up the end of the process.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(Failure::failed(error)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(std::io::stderr(), "{program}: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

/// An error and its sources in one line, outermost first; a source that its parent already quotes is not repeated.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let more = source.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = source.source();
    }
    text
}
