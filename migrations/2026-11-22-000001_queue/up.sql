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
    -- In line; false: becomes so at run_at.
    is_due           boolean not null default true,
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
    -- running: somebody holds it until lease_expires_at. ready: can be claimed now. scheduled: its time has not come.
    state            text not null generated always as (
        case when claimed_by is not null then 'running' when is_due then 'ready' else 'scheduled' end
    ) stored,
    constraint jobs_running_is_held check (
        num_nulls(claimed_by, claimed_at, lease_expires_at) in (0, 3) and (is_due or claimed_by is null)
    )
) with (
    -- A claim and a heartbeat change no column that an index has, so they are written beside the old row and touch no index,
    -- if its page has room: for one more of each row. Early vacuum and analyse, since dead rows and stale statistics are
    -- what makes a claim slow.
    fillfactor = 45,
    autovacuum_vacuum_scale_factor = 0.0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0.0,
    autovacuum_vacuum_insert_threshold = 10000,
    autovacuum_analyze_scale_factor = 0.0,
    autovacuum_analyze_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

-- The claim: one short range of this index per queue. It passes over those that run, which stand in line until they leave.
create index jobs_in_line on jobs (queue, priority, run_at, id) where is_due;
-- The promotion of what has become due.
create index jobs_scheduled on jobs (run_at) where not is_due;
-- What was put off by a clock that was ahead; nothing, as a rule.
create index jobs_put_off on jobs (put_off_at) where not is_due;
create unique index jobs_unique_key on jobs (unique_key) where unique_key is not null;

-- One row per claim: which jobs to look after, and when. All that run are named here, so that they can be found without an
-- index that each claim would have to write. Not who holds what, which only jobs tells. Without a key: each claim would have
-- to write its index, and whoever changes a row has locked it before, so that it stays in its place.
create table job_claims (
    job_ids bigint[] not null,
    -- When the leases given then end, or later those that were left.
    look_at timestamptz not null
) with (
    -- A thousand ids fit into a page, and are not worth the time to compress them.
    toast_tuple_target = 8160,
    autovacuum_vacuum_scale_factor = 0.0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

create index job_claims_look_at on job_claims (look_at);

-- As an array, the ids tell the planner no number that would make it read the whole table.
create view running_jobs as
    select * from jobs
    where claimed_by is not null and id = any (array(select unnest(job_ids) from job_claims));

-- What is over, each with its last attempt, kept for a while; pruned by age.
create table finished_jobs (
    id           bigint not null,
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
    last_error   text,
    -- In the order in which they are listed and let go: one index, written at its end, does for both.
    primary key (finished_at, id)
);

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
