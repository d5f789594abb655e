-- As succeeded jobs look, with their events, and as many that are due tomorrow. The triggers that write the events row by
-- row are left out, and what they would have written is inserted in bulk.
set session_replication_role = replica;
insert into procrastinate_jobs (queue_name, task_name, status, attempts)
select 'bench', 'empty', 'succeeded', 1 from generate_series(1, {history});
insert into procrastinate_events (job_id, type, at)
select id, type::procrastinate_job_event_type, now() - interval '1 hour'
from procrastinate_jobs, unnest(array['deferred', 'started', 'succeeded']) as type;
insert into procrastinate_jobs (queue_name, task_name, scheduled_at)
select 'bench', 'empty', now() + interval '1 day' + number * interval '50 ms'
from generate_series(1, {history}) as number;
insert into procrastinate_events (job_id, type, at)
select id, type::procrastinate_job_event_type, now() - interval '1 hour'
from procrastinate_jobs, unnest(array['deferred', 'scheduled']) as type where status = 'todo';
set session_replication_role = origin;
