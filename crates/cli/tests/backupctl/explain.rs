//! `backupctl explain`.

use serde_json::{Value, json};

use crate::fake::{Answer, Fake};

fn waits() -> Value {
    json!({"instance_id": "g", "at": "2126-01-01T00:00:00.000Z", "reason": "limit",
           "summary": "backup 148 waits: 100 of 100 run under limits.running_backups; it is the first of its owner",
           "advice": "see backupctl backups show GUID 148", "since": "2026-01-01T00:00:00.000Z", "next_at": null,
           "backup_id": 148, "is_scheduled": true,
           "limit": {"name": "limits.running_backups", "value": 100, "running": 100, "kept_for": null, "ahead": 3,
                     "waiting_since": "2026-01-01T00:00:00.000Z"},
           "behind": {"kind": "restore", "id": 7, "is_running": true, "since": "2026-01-01T00:00:00.000Z"},
           "attempts": {"made": 2, "of": 5, "next_at": null, "last_error": "no\u{1b}[2J connection"},
           "next_scheduled_at": "2126-01-02T01:30:00.000Z"})
}

#[test]
fn people_read_why_for_how_long_and_what_to_do() {
    let fake = Fake::start(&[("GET /instances/g/explain", vec![Answer::new(200, waits())])]);
    let ended = fake.run("explain g");
    assert_eq!(ended.code, 0, "{}", ended.err);
    for words in [
        "Backup 148 waits: 100 of 100 run under limits.running_backups; it is the first of its owner.",
        "limits.running_backups: 100 of 100",
        "restore 7, runs for",
        "2 of 5",
        "no [2J connection",
        "2126-01-02 01:30:00",
        "What to do: see backupctl backups show g 148.",
    ] {
        assert!(ended.out.contains(words), "{words}: {}", ended.out);
    }
}

#[test]
fn what_an_older_or_quieter_manager_leaves_out_is_left_out() {
    let answer =
        json!({"reason": "scheduled", "summary": "nothing is asked for before the schedule's next run"});
    let fake = Fake::start(&[("GET /instances/g/explain", vec![Answer::new(200, answer)])]);
    let ended = fake.run("explain g");
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.starts_with("Nothing is asked for before the schedule's next run."), "{}", ended.out);
    for absent in ["Limit", "Behind", "Attempts", "What to do"] {
        assert!(!ended.out.contains(absent), "{}", ended.out);
    }
}

#[test]
fn programs_read_the_answer_itself_and_an_unknown_instance_has_its_code() {
    let fake = Fake::start(&[("GET /instances/g/explain", vec![Answer::new(200, waits())])]);
    let ended = fake.run("--output json explain g");
    assert_eq!(serde_json::from_str::<Value>(&ended.out).unwrap(), waits());
    assert_eq!(fake.run("explain h").code, 3);
}
