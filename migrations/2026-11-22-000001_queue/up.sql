-- The tables of the generic job queue (`crates/queue`, explained in `docs/queue.md`).
-- They know nothing of backups and refer to no other table.

-- What is still to do, and only that: a finished job moves to finished_jobs, so this table stays as small as the backlog.
create table jobs (
    id               bigint generated always as identity primary key,
    queue            text not null,
    kind             text not null,
    arguments        jsonb not null default '{}',
    -- Lower goes first.
    priority         smallint not null default 100,
    -- ready: can be claimed now. scheduled: becomes ready at run_at. running: somebody holds it until lease_expires_at.
    state            text not null default 'ready' check (state in ('ready', 'scheduled', 'running')),
    -- At most one unfinished job has a given key.
    unique_key       text,
    -- Attempts that count, the current one included.
    attempt          integer not null default 0 check (attempt >= 0),
    max_attempts     integer not null check (max_attempts >= 1),
    -- Grows with every claim; together with the id it names one lease.
    claim            integer not null default 0,
    run_at           timestamptz not null default now(),
    -- When run_at was set; in the future: by a clock that was ahead and has gone back since.
    put_off_at       timestamptz not null default now(),
    enqueued_at      timestamptz not null default now(),
    claimed_by       text,
    claimed_at       timestamptz,
    lease_expires_at timestamptz,
    last_error       text,
    -- While it runs, somebody wanted it to run at once: it will, as soon as this run has ended without ending the job.
    is_woken         boolean not null default false,
    constraint jobs_running_is_held check (
        (state = 'running') = (claimed_by is not null and claimed_at is not null and lease_expires_at is not null)
        and (state = 'running' or (claimed_by is null and claimed_at is null and lease_expires_at is null))
    )
) with (
    -- Every job is updated a few times and then leaves: room for in-place updates (heartbeats), and early vacuum and
    -- analyse, since dead rows and stale statistics are what makes a claim slow.
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0.0,
    autovacuum_vacuum_insert_threshold = 10000,
    autovacuum_analyze_scale_factor = 0.0,
    autovacuum_analyze_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

-- The claim: one short range of this index per queue.
create index jobs_ready on jobs (queue, priority, run_at, id) where state = 'ready';
-- The promotion of what has become due.
create index jobs_scheduled on jobs (run_at) where state = 'scheduled';
-- Rescue and overview. Not on lease_expires_at, so that a heartbeat changes no indexed column.
create index jobs_running on jobs (id) where state = 'running';
create unique index jobs_unique_key on jobs (unique_key) where unique_key is not null;

-- What is over, each with its last attempt, kept for a while; pruned by age.
create table finished_jobs (
    id           bigint primary key,
    queue        text not null,
    kind         text not null,
    arguments    jsonb not null,
    priority     smallint not null,
    outcome      text not null check (outcome in ('done', 'discarded', 'failed')),
    unique_key   text,
    attempt      integer not null,
    max_attempts integer not null,
    run_at       timestamptz not null,
    enqueued_at  timestamptz not null,
    -- Who ran the last attempt, and since when.
    claimed_by   text not null,
    claimed_at   timestamptz not null,
    finished_at  timestamptz not null,
    -- The error of a failed job, the reason of a discarded one, the last error before success of a done one.
    last_error   text
);

create index finished_jobs_finished_at on finished_jobs (finished_at);
create index finished_jobs_failed on finished_jobs (finished_at) where outcome = 'failed';

-- One row per attempt that counted and did not end with the job done, which finished_jobs tells; a snoozed or handed back
-- run leaves none. Pruned by age.
create table job_attempts (
    job_id      bigint not null,
    claim       integer not null,
    attempt     integer not null,
    kind        text not null,
    worker      text not null,
    started_at  timestamptz not null,
    finished_at timestamptz not null,
    outcome     text not null check (outcome in ('discarded', 'failed', 'retried')),
    error       text,
    primary key (job_id, claim)
);

create index job_attempts_finished_at on job_attempts (finished_at);

-- What is enqueued by the clock.
create table schedules (
    name         text primary key,
    -- Five fields, read in time_zone (an IANA name).
    cron         text not null,
    time_zone    text not null,
    next_run_at  timestamptz not null,
    last_run_at  timestamptz,
    -- The job to enqueue.
    queue        text not null,
    kind         text not null,
    arguments    jsonb not null,
    priority     smallint not null,
    delay        interval not null default '0',
    unique_key   text,
    max_attempts integer not null check (max_attempts >= 1)
);

-- The workers that are up, and what they serve; tells which queue nobody serves.
create table job_workers (
    name        text primary key,
    queues      text[] not null,
    concurrency integer not null,
    started_at  timestamptz not null default now(),
    -- Renewed by the worker's heartbeat; in the past: it is gone.
    live_until  timestamptz not null
);
