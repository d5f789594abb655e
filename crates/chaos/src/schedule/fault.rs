//! The words of a schedule: what is done to whom, when, and for how long.

use std::fmt;

use serde::Serialize;

/// How many of each party the world has; targets are drawn from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parties {
    /// API daemons.
    pub apis: usize,
    /// Worker processes, all groups together.
    pub workers: usize,
    /// Backup agents.
    pub agents: usize,
}

/// A sort of fault; what a report counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `kill -9`, started again after a while.
    KillApi,
    /// The same.
    KillWorker,
    /// The same.
    KillAgent,
    /// SIGSTOP, and SIGCONT after a while.
    PauseApi,
    /// The same, beyond the lease.
    PauseWorker,
    /// The same.
    PauseAgent,
    /// Nobody listens at the agent's address.
    AgentRefuses,
    /// Requests do not reach the agent.
    AgentDropBefore,
    /// Answers of the agent are lost.
    AgentDropAfter,
    /// The agent gets every request twice.
    AgentDuplicate,
    /// The agent gets a copy of every request a while later.
    AgentLateCopy,
    /// Requests are held back, some beyond the time-out.
    AgentDelay,
    /// Answers break off in the middle.
    AgentHalfAnswer,
    /// The agent answers rubbish.
    AgentRubbish,
    /// Somebody in front of the agent answers with a status of refusal.
    AgentError,
    /// Requests do not reach the API.
    ApiDropBefore,
    /// Answers of the API are lost.
    ApiDropAfter,
    /// The API gets every request twice.
    ApiDuplicate,
    /// Requests to the API are held back.
    ApiDelay,
    /// Answers of the API break off in the middle.
    ApiHalfAnswer,
    /// Somebody in front of the API answers with an error.
    ApiError,
    /// `kill -9` of the primary, which comes back at once.
    PostgresRestart,
    /// SIGSTOP of the primary with all its connections.
    PostgresPause,
    /// The primary dies for good, the standby takes over, a new standby is built.
    PostgresFailover,
    /// The store has no room.
    DiskFull,
    /// The database's wall clock jumps, and back.
    ClockDatabase,
    /// A worker's wall clock jumps, and back.
    ClockWorker,
    /// An agent's wall clock jumps, and back.
    ClockAgent,
}

impl Kind {
    /// All of them with their weight: how often one is drawn beyond the one of each that every sixty faults have.
    pub const ALL: [(Self, u64); 28] = [
        (Self::KillApi, 4),
        (Self::KillWorker, 12),
        (Self::KillAgent, 10),
        (Self::PauseApi, 3),
        (Self::PauseWorker, 8),
        (Self::PauseAgent, 6),
        (Self::AgentRefuses, 4),
        (Self::AgentDropBefore, 4),
        (Self::AgentDropAfter, 6),
        (Self::AgentDuplicate, 5),
        (Self::AgentLateCopy, 5),
        (Self::AgentDelay, 4),
        (Self::AgentHalfAnswer, 4),
        (Self::AgentRubbish, 5),
        (Self::AgentError, 5),
        (Self::ApiDropBefore, 2),
        (Self::ApiDropAfter, 4),
        (Self::ApiDuplicate, 3),
        (Self::ApiDelay, 2),
        (Self::ApiHalfAnswer, 2),
        (Self::ApiError, 2),
        (Self::PostgresRestart, 2),
        (Self::PostgresPause, 2),
        (Self::PostgresFailover, 1),
        (Self::DiskFull, 1),
        (Self::ClockDatabase, 2),
        (Self::ClockWorker, 2),
        (Self::ClockAgent, 3),
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("{self:?}");
        for (position, letter) in name.chars().enumerate() {
            let gap = if position > 0 && letter.is_uppercase() { " " } else { "" };
            write!(f, "{gap}{}", letter.to_lowercase())?;
        }
        Ok(())
    }
}

/// Who is hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// An API daemon, or the proxy in front of it.
    Api(usize),
    /// A worker process.
    Worker(usize),
    /// An agent, or the proxy in front of it.
    Agent(usize),
    /// The manager's database.
    Database,
    /// The store.
    Store,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(number) => write!(f, "api {}", number.saturating_add(1)),
            Self::Worker(number) => write!(f, "worker process {}", number.saturating_add(1)),
            Self::Agent(number) => write!(f, "agent {}", number.saturating_add(1)),
            Self::Database => f.write_str("database"),
            Self::Store => f.write_str("store"),
        }
    }
}

/// What a kind needs to know besides its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Parameter {
    /// Nothing.
    None,
    /// How long requests or copies are held back.
    HeldBackMs(u64),
    /// The status that is answered.
    Status(u16),
    /// Which sort of rubbish, 0 to 3.
    Rubbish(u8),
    /// By how much the clock jumps.
    JumpSeconds(i64),
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Its place in the schedule, from 1.
    pub number: usize,
    /// When it begins, counted from the first moment of the load.
    pub at_ms: u64,
    /// What happens.
    pub kind: Kind,
    /// To whom.
    pub target: Target,
    /// How long until it is healed.
    pub lasts_ms: u64,
    /// How.
    pub parameter: Parameter,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, lasts) = (seconds(self.at_ms), seconds(self.lasts_ms));
        write!(
            f,
            "{:>4}  {at:>8} s  for {lasts:>5} s  {:<18}  {}",
            self.number,
            self.kind.to_string(),
            self.target
        )?;
        match self.parameter {
            Parameter::None => Ok(()),
            Parameter::HeldBackMs(ms) => write!(f, ", by {} s", seconds(ms)),
            Parameter::Status(status) => write!(f, ", {status}"),
            Parameter::Rubbish(sort) => write!(f, ", sort {sort}"),
            Parameter::JumpSeconds(jump) => write!(f, ", by {jump} s"),
        }
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{}", ms / 1000, ms % 1000 / 100)
}
