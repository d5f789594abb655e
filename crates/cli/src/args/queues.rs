//! `backupctl queues …`

use clap::{Args, Subcommand, ValueEnum};

/// Options of `queues`; without a command it shows the overview.
#[derive(Debug, Args)]
pub struct QueuesArgs {
    /// What to show instead of the overview.
    #[command(subcommand)]
    pub command: Option<QueuesCommand>,
}

/// Commands about queues.
#[derive(Debug, Subcommand)]
pub enum QueuesCommand {
    /// Lists jobs: of all queues and in all states, unless told otherwise
    Jobs {
        /// Only of this queue [default: all]
        #[arg(long)]
        queue: Option<String>,
        /// Only in this state [default: all]
        #[arg(long, value_enum)]
        state: Option<JobState>,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
}

/// States of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum JobState {
    /// Waits for a worker
    Ready,
    /// Waits for its time
    Scheduled,
    /// A worker has it
    Running,
    /// Given up
    Failed,
}

impl JobState {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Failed => "failed",
        }
    }
}
