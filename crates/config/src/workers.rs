//! `workers`: the worker groups of spec 1.3, and the reading of a list of queue names wherever one is given.

use backup_core::jobs::QUEUES;
use backup_daemon::config::Mistake;
use serde::Deserialize;

/// Most workers of one group.
const MOST_WORKERS: i64 = 1000;

/// One entry of `workers`, as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerGroupSettings {
    /// Names of queues, separated by commas; none means all.
    pub queues: Option<String>,
    /// How many workers of this group run.
    #[serde(default = "one")]
    pub count: i64,
}

/// A checked worker group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerGroup {
    /// The queues it serves, in the order they were written, each once.
    pub queues: Vec<String>,
    /// How many workers claim from them.
    pub count: usize,
}

/// A worker group that cannot run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("found {found}; allowed: {allowed}")]
pub struct InvalidWorkerGroup {
    /// The offending entry.
    pub found: String,
    /// What may stand there.
    pub allowed: String,
}

impl WorkerGroup {
    /// Reads `queues` ("a, b"; none means all) and `count`, as in the configuration and on the command line.
    pub fn parse(queues: Option<&str>, count: i64) -> Result<Self, InvalidWorkerGroup> {
        Ok(Self { queues: parse_queues(queues)?, count: parse_count(count)? })
    }
}

/// The four default groups, so that one kind of work cannot block another.
pub(crate) fn default_groups() -> Vec<WorkerGroupSettings> {
    let group = |queues: Option<&str>| WorkerGroupSettings { queues: queues.map(str::to_owned), count: 1 };
    vec![
        group(Some("backup_all_job, backup_agent_backups, backup_watcher_job")),
        group(Some("restore_watcher_job")),
        group(Some("initialize_backup_deletion_job, backup_deleter_job")),
        group(None),
    ]
}

/// The checked groups, or everything that is wrong with them.
pub(crate) fn groups(settings: &[WorkerGroupSettings]) -> Result<Vec<WorkerGroup>, Vec<Mistake>> {
    let mut groups = Vec::new();
    let mut mistakes = Vec::new();
    for (index, group) in settings.iter().enumerate() {
        let mut note = |key: &str, error: InvalidWorkerGroup| {
            mistakes.push(Mistake::new(format!("workers[{index}].{key}"), error.found, error.allowed));
        };
        let queues = parse_queues(group.queues.as_deref()).map_err(|error| note("queues", error));
        let count = parse_count(group.count).map_err(|error| note("count", error));
        if let (Ok(queues), Ok(count)) = (queues, count) {
            groups.push(WorkerGroup { queues, count });
        }
    }
    if mistakes.is_empty() { Ok(groups) } else { Err(mistakes) }
}

/// Names of queues that no group serves.
pub(crate) fn unserved(groups: &[WorkerGroup]) -> Vec<&'static str> {
    let is_served = |queue: &str| groups.iter().any(|group| group.queues.iter().any(|name| name == queue));
    QUEUES.into_iter().filter(|queue| !is_served(queue)).collect()
}

fn parse_queues(text: Option<&str>) -> Result<Vec<String>, InvalidWorkerGroup> {
    let Some(text) = text else { return Ok(QUEUES.map(str::to_owned).to_vec()) };
    let mut queues: Vec<String> = Vec::new();
    for name in text.split(',').map(str::trim) {
        if !QUEUES.contains(&name) {
            let found = if name.is_empty() {
                format!("an empty entry in {text:?}")
            } else {
                format!("the queue {name:?}")
            };
            return Err(InvalidWorkerGroup { found, allowed: QUEUES.join(", ") });
        }
        if !queues.iter().any(|known| known == name) {
            queues.push(name.to_owned());
        }
    }
    Ok(queues)
}

fn parse_count(count: i64) -> Result<usize, InvalidWorkerGroup> {
    usize::try_from(count).ok().filter(|_| (1..=MOST_WORKERS).contains(&count)).ok_or_else(|| {
        InvalidWorkerGroup { found: count.to_string(), allowed: format!("1 to {MOST_WORKERS}") }
    })
}

fn one() -> i64 {
    1
}
