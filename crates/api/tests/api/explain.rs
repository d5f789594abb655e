//! Why the next backup of an instance has not started, as clients see it.

use backup_core::Policy;
use backup_core::domain::places::Limits;
use serde_json::Value;

use crate::app::{App, assert_fields, assert_time, error, http, json};

const FIELDS: [&str; 13] = [
    "instance_id",
    "at",
    "reason",
    "summary",
    "advice",
    "since",
    "next_at",
    "backup_id",
    "is_scheduled",
    "limit",
    "behind",
    "attempts",
    "next_scheduled_at",
];

async fn explain(app: &App) -> Value {
    let shown = json(app.get("/instances/g-1/explain").await, 200).await;
    assert_fields(&shown, &FIELDS);
    assert_time(&shown["at"]);
    shown
}

fn serve(app: &App) {
    app.database
        .execute(
            "INSERT INTO job_workers (name, queues, concurrency, live_until)
             VALUES ('w', ARRAY['backup_agent_backups'], 1, now() + interval '1 hour')",
        )
        .unwrap();
}

#[tokio::test]
async fn without_a_backup_that_waits_it_is_the_schedule_or_what_keeps_it_away() {
    let app = App::start().await;
    error(app.get("/instances/g-1/explain").await, 404, "NotFound").await;
    app.instance("g-1");
    assert_eq!(explain(&app).await["reason"], "no_schedule");
    app.database
        .execute(
            "INSERT INTO schedules (name, cron, time_zone, next_run_at, queue, kind, arguments, priority, max_attempts)
             VALUES ('full_backup', '30 1 * * *', 'UTC', '2126-01-01T01:30:00Z', 'backup_all_job', 'backup_all', '{}', 100, 5)",
        )
        .unwrap();
    let shown = explain(&app).await;
    assert_eq!(shown["reason"], "scheduled");
    assert_eq!(shown["next_scheduled_at"], "2126-01-01T01:30:00.000Z");
    app.database.execute("UPDATE service_instances SET state = 'failed'").unwrap();
    assert_eq!(explain(&app).await["reason"], "not_eligible");
    app.database.execute("UPDATE service_instances SET exclude_from_auto_backup = true").unwrap();
    assert_eq!(explain(&app).await["reason"], "excluded");
    app.database.execute("UPDATE service_instances SET deleted_at = now()").unwrap();
    assert_eq!(explain(&app).await["reason"], "instance_deleted");
}

#[tokio::test]
async fn a_backup_that_waits_names_what_it_waits_for() {
    let limits = Limits { fleet: Some(1), ..Limits::default() };
    let app = App::with(Policy { limits, ..Policy::default() }, http()).await;
    let (instance, other) = (app.instance("g-1"), app.instance("g-2"));
    app.post("/instances/g-1/backups", serde_json::json!({})).await;
    let shown = explain(&app).await;
    assert_eq!((&shown["reason"], &shown["is_scheduled"]), (&"queue_unserved".into(), &false.into()));
    serve(&app);
    let shown = explain(&app).await;
    assert_eq!(shown["reason"], "waiting_for_worker");
    let id = shown["backup_id"].as_i64().unwrap();

    // As a worker would leave it: one of another instance holds the only place.
    let running = app.database.seed_backup(&other, "running", 0).unwrap().id;
    app.database
        .execute(&format!(
            "INSERT INTO place_lines (service_broker_id, store, owner) SELECT id, 'local', 'o' FROM service_brokers;
             INSERT INTO places (backup_row_id, line_id, is_scheduled, held_since)
             SELECT b, l.id, false, CASE WHEN b = {running} THEN now() END FROM place_lines l, unnest(ARRAY[{running}, {id}]) b"
        ))
        .unwrap();
    let shown = explain(&app).await;
    assert_eq!(shown["reason"], "limit");
    let metrics = app.get("/metrics").await.text().await.unwrap();
    for (state, count) in [("held", 1), ("waiting_on_demand", 1), ("waiting_scheduled", 0)] {
        let line = format!("backup_manager_places{{broker=\"broker\",state=\"{state}\"}} {count}");
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
    let limit = &shown["limit"];
    assert_fields(limit, &["name", "value", "running", "kept_for", "ahead", "waiting_since"]);
    assert_eq!(limit["name"], "limits.running_backups");
    assert_eq!((&limit["value"], &limit["running"], &limit["ahead"]), (&1.into(), &1.into(), &0.into()));

    app.database.execute("DELETE FROM places").unwrap();
    app.database
        .execute("UPDATE jobs SET is_due = false, run_at = '2126-01-01', attempt = 2, last_error = 'no connection'")
        .unwrap();
    let shown = explain(&app).await;
    assert_eq!(
        (&shown["reason"], &shown["next_at"]),
        (&"retrying".into(), &"2126-01-01T00:00:00.000Z".into())
    );
    let attempts = &shown["attempts"];
    assert_fields(attempts, &["made", "of", "next_at", "last_error"]);
    assert_eq!((&attempts["made"], &attempts["of"]), (&2.into(), &5.into()));
    assert_eq!(attempts["last_error"], "no connection");

    let front = app.database.seed_backup(&instance, "running", 0).unwrap().id;
    app.database
        .execute(&format!(
            "INSERT INTO running_operations (service_instance_id, kind, row_id) VALUES ({}, 'backup', {front})",
            instance.id
        ))
        .unwrap();
    let shown = explain(&app).await;
    assert_eq!(shown["reason"], "behind_operation");
    assert_fields(&shown["behind"], &["kind", "id", "is_running", "since"]);
    assert_eq!(shown["behind"]["id"], front);
    let v1 = json(app.get("/v1/instances/g-1/explain").await, 200).await;
    assert_eq!(v1["reason"], "behind_operation");
}
