//! What an operator sees: queues, jobs, the dry run of retention, health.

use serde_json::{Value, json};

use crate::app::{App, assert_fields, assert_time, error, json as read};

#[tokio::test]
async fn queues_and_their_jobs_are_shown() {
    let app = App::start().await;
    app.instance("g-1");
    read(app.post("/instances/g-1/backups", json!({})).await, 201).await;
    let queues = read(app.get("/v2/queues").await, 200).await;
    assert_eq!(queues.as_array().unwrap().len(), 7);
    let queue =
        queues.as_array().unwrap().iter().find(|queue| queue["queue"] == "backup_agent_backups").unwrap();
    assert_fields(
        queue,
        &["queue", "ready", "scheduled", "running", "failed", "oldest_ready_at", "served_by"],
    );
    assert_eq!((queue["ready"].as_i64(), queue["served_by"].clone()), (Some(1), json!([])));
    assert_time(&queue["oldest_ready_at"]);
    let jobs =
        read(app.get("/v2/queues/jobs?queue=backup_agent_backups&state=ready&limit=5").await, 200).await;
    assert_eq!(jobs.as_array().unwrap().len(), 1);
    assert_fields(
        &jobs[0],
        &[
            "id",
            "queue",
            "kind",
            "arguments",
            "state",
            "attempt",
            "max_attempts",
            "run_at",
            "claimed_by",
            "lease_expires_at",
            "last_error",
            "finished_at",
        ],
    );
    assert_eq!(jobs[0]["state"], "ready");
    assert_eq!(read(app.get("/v2/queues/jobs?state=failed").await, 200).await, json!([]));
    let said = error(app.get("/v2/queues/jobs?queue=other&state=ready").await, 400, "BadRequest").await;
    assert!(said.starts_with("queue must be one of backup_all_job, backup_agent_backups, "), "{said}");
}

#[tokio::test]
async fn jobs_of_every_state_are_shown_when_none_is_asked_for_running_ones_first() {
    let app = App::start().await;
    for guid in ["g-1", "g-2", "g-3", "g-4"] {
        app.instance(guid);
        read(app.post(&format!("/instances/{guid}/backups"), json!({})).await, 201).await;
    }
    let nth = |number: u8| format!("(SELECT id FROM jobs ORDER BY id LIMIT 1 OFFSET {number})");
    let failed = nth(0);
    for statement in [
        format!("UPDATE jobs SET is_due = false, run_at = now() + interval '1 hour' WHERE id = {}", nth(2)),
        format!("INSERT INTO job_claims (job_ids, look_at) VALUES (ARRAY[{}], now())", nth(3)),
        format!(
            "UPDATE jobs SET claimed_by = 'w', claimed_at = now(), lease_expires_at = now() WHERE id = {}",
            nth(3)
        ),
        format!(
            "INSERT INTO finished_jobs SELECT id, queue, kind, arguments, priority, 'failed', null, 1, max_attempts, run_at, \
             enqueued_at, 'w', now(), now(), 'no' FROM jobs WHERE id = {failed}"
        ),
        format!("DELETE FROM jobs WHERE id = {failed}"),
    ] {
        app.database.execute(&statement).unwrap();
    }
    let states = async |query: &str| -> Vec<String> {
        let jobs = read(app.get(&format!("/v2/queues/jobs{query}")).await, 200).await;
        jobs.as_array().unwrap().iter().map(|job| job["state"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(states("").await, ["running", "ready", "scheduled", "failed"]);
    assert_eq!(states("?queue=backup_agent_backups&limit=2").await, ["running", "ready"]);
    assert_eq!(states("?state=failed").await, ["failed"]);
    assert_eq!(states("?queue=backup_all_job").await, Vec::<String>::new());
}

#[tokio::test]
async fn the_dry_run_of_retention_says_what_would_happen_and_changes_nothing() {
    let app = App::start().await;
    for guid in ["g-1", "g-2"] {
        let instance = app.instance(guid);
        for age in [20, 19, 18, 17, 16, 15, 1] {
            app.database.seed_backup(&instance, "done", age).unwrap();
        }
    }
    let all = read(app.get("/v2/retention").await, 200).await;
    assert_eq!(all.as_array().unwrap().len(), 14);
    let one = read(app.get("/v2/retention?instance_id=g-2").await, 200).await;
    let one = one.as_array().unwrap();
    assert_eq!(one.len(), 7);
    assert!(one.iter().all(|entry| entry["instance_id"] == "g-2"));
    let count = |action: &str| one.iter().filter(|entry| entry["action"] == action).count();
    assert_eq!((count("mark"), count("keep"), count("remove")), (2, 5, 0));
    for entry in one {
        assert_fields(
            entry,
            &["instance_id", "id", "backup_id", "status", "triggered_at", "action", "reason"],
        );
        assert!(!entry["reason"].as_str().unwrap().is_empty());
    }
    let done = "SELECT count(*) FROM backups WHERE status = 'done'";
    assert_eq!(app.database.value(done).unwrap().unwrap(), "14");
}

#[tokio::test]
async fn health_is_200_when_every_queue_is_served_and_names_the_unserved_ones_else() {
    let app = App::start().await;
    let said = error(app.get("/v2/healthy").await, 503, "Unhealthy").await;
    assert!(said.contains("restore_watcher_job"), "{said}");
    let queues = "ARRAY['backup_all_job','backup_agent_backups','backup_watcher_job','restore_watcher_job','initialize_backup_deletion_job','backup_deleter_job','update_instance_state_job']";
    app.database
        .execute(&format!("INSERT INTO job_workers (name, queues, concurrency, live_until) VALUES ('w', {queues}, 1, now() + interval '1 hour')"))
        .unwrap();
    let healthy: Value = read(app.get("/v2/healthy").await, 200).await;
    assert_eq!(healthy["status"], "healthy");
    app.database
        .execute("INSERT INTO service_brokers (name, last_error) VALUES ('broken', 'timed out')")
        .unwrap();
    let healthy: Value = read(app.get("/v2/healthy").await, 200).await;
    assert_eq!(healthy["failing_service_brokers"], json!(["broken"]), "a warning, no outage");
}
