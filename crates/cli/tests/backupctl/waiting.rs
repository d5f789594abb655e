//! `--wait`: progress, and what the end of an operation means for the exit code.

use serde_json::{Value, json};

use crate::fake::{Answer, Fake};

const CREATE: &str = "backups create g-1 --wait --wait-interval 1ms";

fn created() -> Vec<Answer> {
    vec![Answer::new(201, json!({"id": 7, "message": "queued"}))]
}

fn state(status: &str, bytes: u64) -> Answer {
    Answer::new(
        200,
        json!({"id": 7, "status": status, "bytes_processed": bytes, "total_bytes_estimate": 4096}),
    )
}

#[test]
fn a_backup_that_ends_well_is_shown_with_its_progress_on_the_way() {
    let answers = vec![state("queued", 0), state("running", 2048), state("done", 4096)];
    let fake =
        Fake::start(&[("POST /instances/g-1/backups", created()), ("GET /instances/g-1/backups/7", answers)]);
    let ended = fake.run(CREATE);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.err.contains("Backup 7 running, 2.00 KiB of about 4.00 KiB"), "{}", ended.err);
    assert!(ended.out.contains("done"), "{}", ended.out);
}

#[test]
fn with_json_only_the_last_state_is_on_standard_output() {
    let answers = vec![state("running", 1), state("done", 4096)];
    let fake =
        Fake::start(&[("POST /instances/g-1/backups", created()), ("GET /instances/g-1/backups/7", answers)]);
    let ended = fake.run(&format!("{CREATE} -o json"));
    let last: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(last["status"], "done");
}

#[test]
fn a_backup_that_fails_is_exit_code_1_with_its_reason() {
    let failed =
        json!({"id": 7, "status": "failed", "reason_code": "store_error", "msg": "the bucket is full"});
    let fake = Fake::start(&[
        ("POST /instances/g-1/backups", created()),
        ("GET /instances/g-1/backups/7", vec![Answer::new(200, failed)]),
    ]);
    let ended = fake.run(CREATE);
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("Backup 7 failed (store_error): the bucket is full"), "{}", ended.err);
}

#[test]
fn a_manager_that_is_away_for_a_moment_is_waited_for() {
    let away = || Answer::new(503, json!({"error": "Unavailable", "description": "The database is away."}));
    let answers = vec![state("running", 1), away(), away(), state("done", 4096)];
    let fake =
        Fake::start(&[("POST /instances/g-1/backups", created()), ("GET /instances/g-1/backups/7", answers)]);
    let ended = fake.run(CREATE);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(ended.err.matches("does not answer").count(), 1, "{}", ended.err);
}

#[test]
fn waiting_can_be_bounded_and_the_backup_goes_on() {
    let fake = Fake::start(&[
        ("POST /instances/g-1/backups", created()),
        ("GET /instances/g-1/backups/7", vec![state("running", 1)]),
    ]);
    let ended = fake.run(&format!("{CREATE} --wait-timeout 50ms"));
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("backupctl backups show g-1 7"), "{}", ended.err);
}

#[test]
fn a_lost_answer_is_asked_for_again_under_the_same_key() {
    let lost = Answer::new(201, json!({"id": 7})).cut_at(0);
    let found = Answer::new(200, json!({"id": 7, "message": "queued"}));
    let fake = Fake::start(&[("POST /instances/g-1/backups", vec![lost, found])]);
    let ended = fake.run("backups create g-1");
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.contains("backupctl backups show g-1 7"), "{}", ended.out);
    let keys: Vec<_> = fake.requests().iter().map(|r| r.headers["idempotency-key"].clone()).collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn a_restore_from_another_instance_names_it_in_the_request() {
    let fake = Fake::start(&[
        ("POST /instances/g-2/backups/7/restore", vec![Answer::new(202, json!({"id": 3}))]),
        (
            "GET /instances/g-2/restores/3",
            vec![Answer::new(200, json!({"id": 3, "backup_id": 7, "status": "done"}))],
        ),
    ]);
    let ended = fake.run("restores create g-2 7 --source-instance g-1 --wait --wait-interval 1ms");
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(fake.requests()[0].body, r#"{"source_instance_id":"g-1"}"#);
    assert!(ended.out.contains("Of backup"), "{}", ended.out);
}

#[test]
fn a_restore_to_a_moment_needs_no_backup_and_sends_the_moment() {
    let fake = Fake::start(&[
        ("POST /instances/g-2/restores", vec![Answer::new(202, json!({"id": 3}))]),
        ("POST /instances/g-2/backups/7/restore", vec![Answer::new(202, json!({"id": 4}))]),
    ]);
    let moment = r#"{"recovery_target_time":"2026-02-01T01:30:00.000Z"}"#;
    for what in ["", "7 "] {
        let made = fake.run(&format!("restores create g-2 {what}--to-time 2026-02-01T01:30:00Z"));
        assert_eq!(made.code, 0, "{}", made.err);
    }
    assert!(fake.requests().iter().all(|request| request.body == moment));
    assert_eq!(fake.run("restores create g-2").code, 2);
}
