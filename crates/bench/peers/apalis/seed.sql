-- As done jobs look, a day's worth of them, and as many that are due tomorrow. Their ids sort before every ULID of today.
insert into apalis.workers (id, worker_type, storage_name) values ('bench-0', 'bench', 'PgStorage');
insert into apalis.jobs (id, job, job_type, status, attempts, max_attempts, run_at, lock_at, lock_by, done_at, last_result, priority)
select '00' || lpad(number::text, 24, '0'), '{}', 'bench', 'Done', 1, 25, at, at, 'bench-0', at, '{"Ok": null}', 0
from generate_series(1, {history}) as number,
     lateral (select now() - number * interval '50 ms' as at) as moment;
insert into apalis.jobs (id, job, job_type, status, attempts, max_attempts, run_at, priority)
select '00' || lpad(({history} + number)::text, 24, '0'), '{}', 'bench', 'Pending', 0, 25,
       now() + interval '1 day' + number * interval '50 ms', 0
from generate_series(1, {history}) as number;
