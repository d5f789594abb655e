//! `backupctl hold` and `backupctl release`, and where holds are shown.

use serde_json::{Value, json};

use crate::fake::{Answer, Fake};

fn held(until: Value) -> Value {
    json!({"reason": "case\u{1b}[2J7", "by": "olga", "at": "2026-02-01T01:30:00.000Z", "until": until, "of_tomorrow": 1})
}

#[test]
fn a_hold_says_why_and_until_when() {
    let route = "PUT /instances/g-1/backups/7/hold";
    let answers =
        vec![Answer::new(200, held(json!("2126-02-01T00:00:00.000Z"))), Answer::new(200, held(Value::Null))];
    let fake = Fake::start(&[(route, answers)]);
    let ended = fake.run("hold g-1 7 --reason case7 --until 2126-02-01");
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(ended.out, "Backup 7 is held until 2126-02-01 00:00:00 UTC\n");
    let ended = fake.run("hold g-1 7 --reason case7");
    assert_eq!(ended.out, "Backup 7 is held until: backupctl release g-1 7\n");
    let sent: Vec<Value> =
        fake.requests().iter().map(|request| serde_json::from_str(&request.body).unwrap()).collect();
    assert_eq!(sent[0], json!({"reason": "case7", "until": "2126-02-01T00:00:00.000Z"}));
    assert_eq!(sent[1], json!({"reason": "case7"}));
}

#[test]
fn a_release_points_to_what_retention_makes_of_it() {
    let answer = Answer::new(200, json!({"message": "hold released"}));
    let fake = Fake::start(&[("DELETE /instances/g-1/backups/7/hold", vec![answer])]);
    let ended = fake.run("release g-1 7");
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.contains("backupctl retention --instance g-1"), "{}", ended.out);
}

#[test]
fn a_refused_deletion_of_a_held_backup_says_by_whom_it_is_held() {
    let refusal = json!({"error": "Locked", "description": "The backup 7 is held: case 7 (by olga)."});
    let fake = Fake::start(&[("DELETE /instances/g-1/backups/7", vec![Answer::new(423, refusal)])]);
    let ended = fake.run("backups delete g-1 7 --yes");
    assert_eq!(ended.code, 4);
    assert!(ended.err.contains("held: case 7 (by olga)"), "{}", ended.err);
}

#[test]
fn holds_are_shown_with_the_backups() {
    let backup = json!({"id": 7, "status": "done", "held": held(json!("2126-02-01T00:00:00.000Z"))});
    let fake = Fake::start(&[
        ("GET /instances/g-1/backups", vec![Answer::new(200, json!([backup]))]),
        ("GET /instances/g-1/backups/7", vec![Answer::new(200, &backup)]),
    ]);
    let list = fake.run("backups list g-1").out;
    assert!(list.contains("held: case [2J7") && !list.contains('\u{1b}'), "{list}");
    let show = fake.run("backups show g-1 7").out;
    assert!(show.contains("case [2J7 (by olga, until 2126-02-01 00:00:00 UTC)"), "{show}");
}
