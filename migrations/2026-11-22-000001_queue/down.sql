drop table job_workers;
drop table schedules;
drop table job_attempts;
drop table finished_jobs;
drop view running_jobs;
drop table job_claims;
drop table jobs;
