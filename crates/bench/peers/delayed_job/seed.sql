-- Finished jobs are deleted. As jobs look that are due tomorrow; its times are UTC without saying so.
insert into delayed_jobs (handler, run_at, created_at, updated_at)
select E'--- !ruby/struct:Empty\nnothing: \n',
       (now() at time zone 'utc') + interval '1 day' + number * interval '50 ms', now() at time zone 'utc', now() at time zone 'utc'
from generate_series(1, {history}) as number;
