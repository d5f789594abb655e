//! Commands that only read: tables for people, JSON for programs.

use serde_json::{Value, json};

use crate::fake::{Answer, Fake, run};

fn backups() -> Value {
    json!([
        {"id": 8, "backup_id": "g-8", "size": 0, "status": "failed", "triggered_at": "2026-02-01T01:30:00.000Z",
         "started_at": "2026-02-01T01:30:01.000Z", "finished_at": "2026-02-01T01:31:01.000Z", "downloadable": false,
         "reason_code": "store_error", "msg": "the bucket\u{1b}[2J is full", "of_tomorrow": 1},
        {"id": 7, "backup_id": "g-7", "size": 1536, "status": "done", "triggered_at": "2026-01-31T01:30:00.000Z",
         "started_at": "2026-01-31T01:30:01.000Z", "finished_at": "2026-01-31T01:31:01.000Z", "downloadable": true},
    ])
}

#[test]
fn backups_are_listed_for_people_and_as_the_apis_own_json() {
    let fake = Fake::start(&[("GET /instances/g-1/backups", vec![Answer::new(200, backups())])]);
    let ended = fake.run("backups list g-1");
    assert_eq!(ended.code, 0, "{}", ended.err);
    let lines: Vec<&str> = ended.out.lines().collect();
    assert!(lines[0].trim_start().starts_with("ID"), "{}", ended.out);
    assert!(lines[1].contains("store_error") && lines[1].contains("2026-02-01 01:30:00"), "{}", ended.out);
    assert!(lines[2].contains("1.50 KiB") && lines[2].contains("1m 0s"), "{}", ended.out);
    let ended = fake.run("backups list g-1 --output json");
    assert_eq!(serde_json::from_str::<Value>(&ended.out).unwrap(), backups());
}

#[test]
fn a_strangers_text_cannot_paint_on_the_terminal() {
    let fake = Fake::start(&[("GET /instances/g-1/backups/8", vec![Answer::new(200, &backups()[0])])]);
    let ended = fake.run("backups show g-1 8");
    assert!(ended.out.contains("the bucket [2J is full"), "{}", ended.out);
    assert!(!ended.out.contains('\u{1b}'));
}

#[test]
fn instances_are_fetched_page_by_page() {
    let page = |guid: &str| Answer::new(200, json!([{"id": 1, "instance_id": guid, "backups": [{}, {}]}]));
    let fake = Fake::start(&[
        (
            "GET /instances?page=1&per_page=200",
            vec![page("g-1").header("link", "</instances?page=2>; rel=\"next\"")],
        ),
        ("GET /instances?page=2&per_page=200", vec![page("g-2")]),
    ]);
    let ended = fake.run("instances list");
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.contains("g-1") && ended.out.contains("g-2"), "{}", ended.out);
    let all: Value = serde_json::from_str(&fake.run("instances list -o json").out).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 2);
}

#[test]
fn the_password_comes_from_a_file_or_the_environment_and_goes_into_the_header() {
    let fake =
        Fake::start(&[("GET /instances/g-1/config", vec![Answer::new(200, json!({"retention_time": 7}))])]);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, "from-file\n").unwrap();
    let line = format!("instances config get g-1 --user olga --password-file {}", file.display());
    assert_eq!(run(&fake.url, &line, &[], "").code, 0);
    assert!(fake.run("instances config get g-1").out.contains("7 days"));
    let seen: Vec<_> = fake.requests().iter().map(|r| r.headers["authorization"].clone()).collect();
    assert_eq!(seen, ["Basic b2xnYTpmcm9tLWZpbGU=", "Basic YWRtaW46czNjcmV0"]);
}

#[test]
fn without_password_and_terminal_the_command_says_how_to_give_one() {
    let ended = run("http://127.0.0.1:1", "instances list", &[], "");
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("--password-file"), "{}", ended.err);
}

#[test]
fn a_configuration_change_sends_only_what_was_given() {
    let updated = Answer::new(200, json!({"message": "instance updated"}));
    let fake = Fake::start(&[("PUT /instances/g-1", vec![updated])]);
    let line = "instances config set g-1 --retention-time 9 --encryption-key-file -";
    let ended = run(&fake.url, line, &[("BACKUPCTL_PASSWORD", "x")], "my new key\n");
    assert_eq!(ended.code, 0, "{}", ended.err);
    let body: Value = serde_json::from_str(&fake.requests()[0].body).unwrap();
    assert_eq!(body, json!({"retention_time": 9, "encryption_key": "my new key"}));
}

#[test]
fn queues_show_what_nobody_serves_and_where_to_look_for_failures() {
    let queues = json!([
        {"queue": "backup_all_job", "ready": 1, "scheduled": 0, "running": 0, "failed": 0, "oldest_ready_at": null, "served_by": []},
        {"queue": "backup_deleter_job", "ready": 0, "scheduled": 2, "running": 1, "failed": 3, "oldest_ready_at": null, "served_by": ["w"]},
    ]);
    let fake = Fake::start(&[("GET /v2/queues", vec![Answer::new(200, queues)])]);
    let ended = fake.run("queues");
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.err.contains("No live worker serves backup_all_job"), "{}", ended.err);
    assert!(ended.err.contains("--queue backup_deleter_job --state failed"), "{}", ended.err);
}

#[test]
fn jobs_are_filtered_by_the_manager() {
    let jobs = json!([{"id": 5, "queue": "q", "kind": "k", "arguments": {"operation": "backup", "id": 7}, "state": "failed",
        "attempt": 5, "max_attempts": 5, "last_error": "agent_unreachable"}]);
    let fake =
        Fake::start(&[("GET /v2/queues/jobs?limit=100&queue=q&state=failed", vec![Answer::new(200, jobs)])]);
    let ended = fake.run("queues jobs --queue q --state failed");
    assert!(
        ended.out.contains("agent_unreachable") && ended.out.contains("id=7"),
        "{}{}",
        ended.out,
        ended.err
    );
}

#[test]
fn retention_tells_what_would_go_and_why() {
    let rows = json!([{"instance_id": "g-1", "id": 7, "backup_id": "g-7", "status": "done",
        "triggered_at": "2026-01-31T01:30:00.000Z", "action": "mark", "reason": "it is old"}]);
    let fake = Fake::start(&[("GET /v2/retention?instance_id=g-1", vec![Answer::new(200, rows)])]);
    let ended = fake.run("retention --dry-run --instance g-1");
    assert!(ended.out.contains("it is old"), "{}{}", ended.out, ended.err);
    assert!(ended.err.contains("0 would stay, 1 be marked, 0 be removed."), "{}", ended.err);
}

#[test]
fn a_password_is_hashed_without_asking_any_manager() {
    let ended = run("http://127.0.0.1:1", "hash-password", &[], "correct horse\n");
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.starts_with("$argon2id$"), "{}", ended.out);
    assert_eq!(run("http://127.0.0.1:1", "hash-password", &[], "\n").code, 2);
}

#[test]
fn the_password_to_hash_is_read_from_the_option_and_not_from_the_log_in() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, "correct horse\n").unwrap();
    let line = format!("hash-password --password-file {}", file.display());
    let ended = run("http://127.0.0.1:1", &line, &[], "");
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.starts_with("$argon2id$"), "{}", ended.out);
    assert_eq!(run("http://127.0.0.1:1", &format!("{line}-absent"), &[], "x\n").code, 2);
    let log_in = [("BACKUPCTL_PASSWORD_FILE", "/absent")];
    assert_eq!(run("http://127.0.0.1:1", "hash-password", &log_in, "x\n").code, 0);
}

#[test]
fn a_running_operation_shows_how_far_it_is() {
    let running = |bytes: u64| {
        json!({"id": 7, "status": "running", "started_at": "2026-01-31T01:30:01.000Z",
            "bytes_processed": bytes, "total_bytes_estimate": 987_u64 << 20})
    };
    let fake = Fake::start(&[
        ("GET /instances/g-1/backups/7", vec![Answer::new(200, running(223 << 20))]),
        (
            "GET /instances/g-1/restores/7",
            vec![Answer::new(200, running(0)), Answer::new(200, running(223 << 20))],
        ),
    ]);
    let backup = fake.run("backups show g-1 7").out;
    assert!(backup.contains("223 MiB of about 987 MiB") && backup.contains("Running for:"), "{backup}");
    assert!(fake.run("restores show g-1 7").out.contains("checking the stored bytes"));
    assert!(fake.run("restores show g-1 7").out.contains("223 MiB of about 987 MiB"));
}

#[test]
fn an_empty_list_of_jobs_names_the_filter_and_a_refusal_is_quoted() {
    let refused = Answer::new(400, json!({"error": "BadRequest", "description": "There is no queue x."}));
    let fake = Fake::start(&[
        ("GET /v2/queues/jobs?limit=100", vec![Answer::new(200, "[]")]),
        ("GET /v2/queues/jobs?limit=100&state=running", vec![Answer::new(200, "[]")]),
        ("GET /v2/queues/jobs?limit=100&queue=x", vec![refused]),
    ]);
    assert_eq!(fake.run("queues jobs").err, "No jobs.\n");
    assert_eq!(fake.run("queues jobs --state running").err, "No running jobs.\n");
    let ended = fake.run("queues jobs --queue x");
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("There is no queue x."), "{}", ended.err);
}

#[test]
fn a_rebuild_is_waited_for_and_shows_what_it_found() {
    let rebuild = |status: &str, done: u64| {
        let body = json!({"id": 4, "store": null, "dry_run": false, "status": status, "folders_done": done, "folders_total": 2,
                          "known": 3, "outcomes": {"adopted": 1, "incomplete": 1}, "msg": null});
        Answer::new(200, body)
    };
    let findings = json!([
        {"id": 1, "outcome": "adopted", "store": "main", "path": "p/a", "backup_id": "a-1", "instance_id": "g-1", "detail": "backup 9"},
        {"id": 2, "outcome": "incomplete", "store": "main", "path": "p/b", "backup_id": "b-1", "instance_id": null,
         "detail": "it has no metadata.json"},
    ]);
    let fake = Fake::start(&[
        ("POST /v2/catalogue/rebuild", vec![Answer::new(202, json!({"id": 4, "message": "m"}))]),
        (
            "GET /v2/catalogue/rebuilds/4",
            vec![rebuild("queued", 0), rebuild("running", 1), rebuild("done", 2)],
        ),
        ("GET /v2/catalogue/rebuilds/4/findings?after_id=0&limit=200", vec![Answer::new(200, &findings)]),
        ("GET /v2/catalogue/rebuilds/4/findings?after_id=0&limit=1000", vec![Answer::new(200, &findings)]),
    ]);
    let ended = fake.run("catalogue rebuild --store main --wait --wait-interval 1ms");
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.err.contains("Rebuild 4 running, 1 of 2 folders"), "{}", ended.err);
    for text in ["it has no metadata.json", "backup 9", "1 adopted, 1 incomplete", "2 of 2"] {
        assert!(ended.out.contains(text), "{text}: {}", ended.out);
    }
    assert_eq!(
        serde_json::from_str::<Value>(&fake.requests()[0].body).unwrap(),
        json!({"dry_run": false, "store": "main"})
    );
    let shown: Value = serde_json::from_str(&fake.run("catalogue show 4 -o json").out).unwrap();
    assert_eq!((&shown["findings"], &shown["known"]), (&findings, &json!(3)));
}
