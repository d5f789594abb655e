//! Tests of the seven queues: the real handlers, a real Postgres, an agent and brokers that speak HTTP and misbehave.
//! One step of the runner at a time; instead of sleeping, the clock moves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod world;

mod backup_agent_backups;
mod backup_all_job;
mod backup_deleter_job;
mod backup_watcher_job;
mod deletion_gate;
mod limits;
mod pitr;
mod rebuild_catalogue;
mod reconcile;
mod rehearsals;
mod restore_watcher_job;
mod schedules;
mod second_thoughts;
mod update_instance_state_job;
