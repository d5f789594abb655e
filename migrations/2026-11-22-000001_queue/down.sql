drop table job_workers;
drop table schedules;
drop table job_attempts;
drop table finished_jobs;
drop table jobs;
