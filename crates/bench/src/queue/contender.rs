//! Who takes part, and what the harness must know of each one's tables. What runs is in `crates/bench/peers`.

use super::process::Program;

/// How an adapter comes to the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// It is this program.
    Ours,
    /// npm installs its `package.json`.
    Npm,
    /// pip installs its `requirements.txt` into a virtual environment.
    Pip,
    /// It needs these packages of Debian's.
    Debian(&'static [&'static str]),
    /// Cargo builds it, as a workspace of its own.
    Cargo,
}

/// A queue, how it is set up, and its tables.
#[derive(Debug)]
pub(super) struct Kind {
    /// Its name on the command line, in the tables and of its databases.
    pub(super) name: &'static str,
    pub(super) source: Source,
    /// How it is set up, for readers.
    pub(super) setup: &'static str,
    /// The files of its adapter: name and content.
    pub(super) files: &'static [(&'static str, &'static str)],
    /// The table of its jobs.
    pub(super) table: &'static str,
    /// True for rows of jobs that the harness enqueued and that are not over.
    pub(super) pending: &'static str,
    /// Answers with what replaces `{marker}` in `pending`, asked before anything is enqueued.
    pub(super) marker: &'static str,
    /// Removes all jobs.
    pub(super) clear: &'static str,
    /// Makes `{history}` finished jobs, where it keeps them, and as many that are due tomorrow.
    pub(super) seed: &'static str,
    /// How often an idle worker looks when nothing wakes it, if that is how it finds a new job; else 0.
    pub(super) polling_ms: u64,
}

/// A queue that is installed.
#[derive(Debug)]
pub(super) struct Contender {
    pub(super) kind: &'static Kind,
    pub(super) program: Program,
    /// Its version and that of its runtime.
    pub(super) version: String,
}

impl Contender {
    pub(super) fn name(&self) -> &'static str {
        self.kind.name
    }
}

/// Takes the files of an adapter into the program.
macro_rules! files {
    ($folder:literal: $($name:literal),+) => {
        &[$(($name, include_str!(concat!("../../peers/", $folder, "/", $name)))),+]
    };
}

/// Everybody, ours first.
pub(super) const KINDS: [Kind; 7] = [
    Kind {
        name: "ours",
        source: Source::Ours,
        setup: "as the worker daemon sets it up, 100 jobs at a time",
        files: &[],
        table: "jobs",
        pending: "is_due",
        marker: "select 0",
        clear: "truncate jobs, job_claims, finished_jobs, job_attempts",
        seed: include_str!("../../peers/ours/seed.sql"),
        polling_ms: 0,
    },
    Kind {
        name: "graphile-worker",
        source: Source::Npm,
        setup: "as its page on performance: `concurrentJobs` 24, `localQueue.size` 500, `completeJobBatchDelay` 0, `addJobs`",
        files: files!("graphile-worker": "package.json", "main.mjs"),
        table: "graphile_worker._private_jobs",
        pending: "id > {marker}",
        marker: "select coalesce(max(id), 0) from graphile_worker._private_jobs",
        clear: "truncate graphile_worker._private_jobs",
        seed: include_str!("../../peers/graphile-worker/seed.sql"),
        polling_ms: 0,
    },
    Kind {
        name: "pg-boss",
        source: Source::Npm,
        setup: "`batchSize` 100, `localConcurrency` 4, `burstWhenBatchFull`, `notify` and `useListenNotify`; `insert`",
        files: files!("pg-boss": "package.json", "main.mjs"),
        table: "pgboss.job",
        pending: "name = 'bench' and state < 'completed' and start_after <= now()",
        marker: "select 0",
        clear: "truncate pgboss.job",
        seed: include_str!("../../peers/pg-boss/seed.sql"),
        polling_ms: 0,
    },
    Kind {
        name: "procrastinate",
        source: Source::Pip,
        setup: "asynchronous connector (psycopg with its C parts), `concurrency` 20, `listen_notify`; `batch_defer_async`",
        files: files!("procrastinate": "requirements.txt", "main.py"),
        table: "procrastinate_jobs",
        pending: "id > {marker} and status in ('todo', 'doing')",
        marker: "select coalesce(max(id), 0) from procrastinate_jobs",
        clear: "truncate procrastinate_jobs, procrastinate_events, procrastinate_periodic_defers",
        seed: include_str!("../../peers/procrastinate/seed.sql"),
        polling_ms: 0,
    },
    Kind {
        name: "delayed_job",
        source: Source::Debian(&["ruby-delayed-job", "ruby-delayed-job-active-record", "ruby-pg"]),
        setup: "Active Record, `sleep_delay` 1 instead of 5; it polls, runs one job at a time, and has no bulk enqueue: 1,000 per transaction",
        files: files!("delayed_job": "main.rb"),
        table: "delayed_jobs",
        pending: "id > {marker}",
        marker: "select coalesce(max(id), 0) from delayed_jobs",
        clear: "truncate delayed_jobs",
        seed: include_str!("../../peers/delayed_job/seed.sql"),
        polling_ms: 1000,
    },
    Kind {
        name: "apalis",
        source: Source::Cargo,
        setup: "`batch_size` 100, `concurrency` 100, `parallelize`, `with_pubsub` and a poll every 100 ms; `push_bulk`",
        files: files!("apalis": "Cargo.toml", "src/main.rs"),
        table: "apalis.jobs",
        pending: "id > '{marker}' and status in ('Pending', 'Queued', 'Running')",
        marker: "select coalesce(max(id), '') from apalis.jobs",
        clear: "truncate apalis.jobs",
        seed: include_str!("../../peers/apalis/seed.sql"),
        polling_ms: 0,
    },
    Kind {
        name: "graphile_worker_rs",
        source: Source::Cargo,
        setup: "`concurrency` 24; drain: `local_queue` of 500, `complete_job_batch_delay` 1 ms; latency and idle: fetched directly, as its guide advises for rare jobs (with the local queue and no `refetch_delay`, this version asks without pause while idle, and a job then began after 0.4 ms); `add_jobs`",
        files: files!("graphile_worker_rs": "Cargo.toml", "src/main.rs"),
        table: "graphile_worker._private_jobs",
        pending: "id > {marker}",
        marker: "select coalesce(max(id), 0) from graphile_worker._private_jobs",
        clear: "truncate graphile_worker._private_jobs cascade",
        seed: include_str!("../../peers/graphile-worker/seed.sql"),
        polling_ms: 0,
    },
];
