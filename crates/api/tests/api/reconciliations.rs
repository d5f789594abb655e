//! Asking for a comparison of the ledgers, reading what it has found, and the metrics.

use serde_json::{Value, json as value};

use crate::app::{App, assert_fields, assert_time, error, json};

#[tokio::test]
async fn a_reconciliation_is_recorded_once_and_shown() {
    let app = App::start().await;
    app.instance("g-1");
    error(app.get("/v2/reconciliations/latest").await, 404, "NotFound").await;
    let asked = json(app.post("/v2/reconciliations", value!({"repair": true})).await, 202).await;
    let again =
        json(app.post("/v2/reconciliations", value!({"repair": true, "deep": "false"})).await, 202).await;
    assert_eq!(asked, again, "one of a kind at a time");
    let other = json(app.post("/v2/reconciliations", value!({"instance_id": "g-1"})).await, 202).await;
    assert_ne!(asked["id"], other["id"]);
    assert_eq!(
        app.database.value("SELECT count(*) FROM jobs WHERE kind = 'reconcile'").unwrap().unwrap(),
        "2"
    );
    let shown = json(app.get(&format!("/v2/reconciliations/{}", asked["id"])).await, 200).await;
    assert_eq!(
        (&shown["status"], &shown["repair"], &shown["deep"]),
        (&value!("queued"), &value!(true), &value!(false))
    );
    assert_eq!(shown["requested_by"], "admin");
    assert_time(&shown["requested_at"]);
    let latest = json(app.get("/v2/reconciliations/latest").await, 200).await;
    assert_eq!((&latest["id"], &latest["instance_id"]), (&other["id"], &value!("g-1")));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_its_name() {
    let app = App::start().await;
    let refused = |body: Value| app.post("/v2/reconciliations", body);
    assert!(error(refused(value!({"repairs": true})).await, 400, "BadRequest").await.contains("repairs"));
    assert!(error(refused(value!({"repair": "maybe"})).await, 400, "BadRequest").await.contains("repair"));
    error(refused(value!({"instance_id": "nobody"})).await, 404, "NotFound").await;
    error(app.get("/v2/reconciliations/7").await, 404, "NotFound").await;
    error(app.get("/v2/reconciliations/x").await, 400, "BadRequest").await;
    error(app.get("/v2/reconciliations/latest?limit=0").await, 400, "BadRequest").await;
}

/// A complete reconciliation with two differences and a gap.
fn complete(app: &App) {
    let sql = "INSERT INTO reconciliations (requested_by, is_repair, is_deep, status, counts, not_compared, finished_at)
               VALUES ('worker', false, false, 'done', '{\"size_mismatch\": 2}', 1, now() - interval '90 seconds');
               INSERT INTO reconciliation_findings (reconciliation_id, class, kind, subject, details)
               SELECT 1, class, kind, subject, 'd' FROM (VALUES ('difference', 'size_mismatch', 'a'),
                   ('difference', 'size_mismatch', 'b'), ('not_compared', 'agent', 'g-1')) AS v (class, kind, subject)";
    app.database.execute(sql).unwrap();
}

#[tokio::test]
async fn findings_come_page_by_page() {
    let app = App::start().await;
    complete(&app);
    let first = json(app.get("/v2/reconciliations/1?limit=2").await, 200).await;
    assert_eq!((&first["differences"], &first["not_compared"]), (&value!(2), &value!(1)));
    assert_eq!(first["findings"].as_array().unwrap().len(), 2);
    let fields = ["class", "kind", "subject", "instance_id", "details", "repair", "proposal", "outcome"];
    assert_fields(&first["findings"][0], &fields);
    let after = &first["next_after"];
    let second = json(app.get(&format!("/v2/reconciliations/1?limit=2&after={after}")).await, 200).await;
    assert_eq!(
        (&second["findings"][0]["class"], &second["next_after"]),
        (&value!("not_compared"), &Value::Null)
    );
}

#[tokio::test]
async fn metrics_tell_what_runs_waits_and_differs() {
    let app = App::start().await;
    let instance = app.instance("g-1");
    let before = app.get("/metrics").await;
    assert_eq!(before.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let before = before.text().await.unwrap();
    assert!(!before.contains("reconciliation"), "without any there is no number to trust: {before}");
    app.database.seed_backup(&instance, "queued", 0).unwrap();
    app.database.seed_backup(&instance, "done", 0).unwrap();
    app.post("/backup_agent/backup_all", value!({})).await;
    complete(&app);
    let text = app.get("/metrics").await.text().await.unwrap();
    for line in [
        "backup_manager_operations{kind=\"backup\",status=\"queued\"} 1",
        "backup_manager_operations{kind=\"restore\",status=\"running\"} 0",
        "backup_manager_jobs{queue=\"backup_all_job\",state=\"ready\"} 1",
        "backup_manager_queue_workers{queue=\"backup_all_job\"} 0",
        "backup_manager_reconciliation_findings{kind=\"size_mismatch\"} 2",
        "backup_manager_reconciliation_findings{kind=\"row_without_object\"} 0",
        "backup_manager_reconciliation_not_compared 1",
        "# TYPE process_resident_memory_bytes gauge",
        "# TYPE process_cpu_seconds_total counter",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    let age = text.lines().find_map(|line| line.strip_prefix("backup_manager_reconciliation_age_seconds "));
    assert!(age.unwrap().parse::<u32>().unwrap() >= 90);
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/alerts.yml");
    let rules = std::fs::read_to_string(rules).unwrap();
    let words = rules.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let alerted: Vec<_> = words.filter(|word| word.starts_with("backup_manager_")).collect();
    assert!(alerted.len() > 5, "{alerted:?}");
    for name in alerted {
        assert!(text.contains(&format!("# TYPE {name} gauge")), "deploy/alerts.yml: {name}");
    }
    let form = |line: &str| line.starts_with("# ") || line.rsplit(' ').next().unwrap().parse::<f64>().is_ok();
    assert!(text.lines().all(form), "{text}");
}
