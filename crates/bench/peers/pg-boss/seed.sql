-- As completed jobs look, a day's worth of them, and as many that are due tomorrow.
insert into pgboss.job (name, data, state, policy, start_after, created_on, started_on, completed_on, keep_until)
select 'bench', '{}', 'completed', 'standard', at, at, at, at, at + interval '14 days'
from generate_series(1, {history}) as number,
     lateral (select now() - number * interval '50 ms' as at) as moment;
insert into pgboss.job (name, data, state, policy, start_after, keep_until)
select 'bench', '{}', 'created', 'standard', at, at + interval '14 days'
from generate_series(1, {history}) as number,
     lateral (select now() + interval '1 day' + number * interval '50 ms' as at) as moment;
