-- As settled jobs look, a day's worth of them, and as many that are due tomorrow.
insert into finished_jobs (id, queue, kind, arguments, priority, outcome, attempt, max_attempts, run_at, enqueued_at,
                           claimed_by, claimed_at, finished_at)
select -number, 'bench', 'empty', '{}', 100, 'done', 1, 10, at, at, 'bench/1', at, at
from generate_series(1, {history}) as number,
     lateral (select now() - number * interval '50 ms' as at) as moment;
insert into jobs (queue, kind, is_due, max_attempts, run_at)
select 'bench', 'empty', false, 10, now() + interval '1 day' + number * interval '50 ms'
from generate_series(1, {history}) as number;
