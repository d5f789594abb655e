-- Finished jobs are deleted. As `add_jobs` leaves jobs that are due tomorrow.
insert into graphile_worker._private_tasks (identifier) values ('empty') on conflict do nothing;
insert into graphile_worker._private_jobs (task_id, payload, run_at)
select (select id from graphile_worker._private_tasks where identifier = 'empty'), '{}',
       now() + interval '1 day' + number * interval '50 ms'
from generate_series(1, {history}) as number;
