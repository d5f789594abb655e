//! `backupctl audit`, and tokens in place of passwords.

use serde_json::{Value, json};

use crate::fake::{Answer, Fake, run};

const GUID: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";

fn event(id: usize) -> Value {
    json!({"id": id, "at": "2026-02-01T01:30:00.000Z", "actor": "olga", "address": "10.0.0.7", "action": "delete_backup",
        "instance_id": GUID, "subject": format!("backup {id}\u{1b}[2J"), "request_id": "r-1", "of_tomorrow": 1})
}

#[test]
fn events_are_shown_with_all_there_is_to_know_and_as_the_apis_own_json() {
    let nobody = json!({"id": 7, "at": "2026-01-31T01:30:00.000Z", "actor": "worker", "address": null,
        "action": "remove_backup", "instance_id": null, "subject": null, "request_id": null});
    let events = json!([event(8), nobody]);
    let fake = Fake::start(&[("GET /v2/audit?limit=100", vec![Answer::new(200, &events)])]);
    let ended = fake.run("audit");
    assert_eq!(ended.code, 0, "{}", ended.err);
    let lines: Vec<&str> = ended.out.lines().collect();
    assert_eq!(lines[0].split_whitespace().next(), Some("TIME"));
    for part in ["2026-02-01 01:30:00", "olga", "10.0.0.7", "delete_backup", GUID, "backup 8 [2J", "r-1"] {
        assert!(lines[1].contains(part), "{part}: {}", ended.out);
    }
    assert!(lines[2].contains("worker  -  ") || lines[2].contains("worker  -"), "{}", ended.out);
    assert_eq!(serde_json::from_str::<Value>(&fake.run("audit -o json").out).unwrap(), events);
}

#[test]
fn filters_are_handed_to_the_manager() {
    let path = "GET /v2/audit?limit=5&instance_id=g-1&actor=olga&action=delete_backup\
                &since=2026-02-01T00%3A00%3A00.000Z&before=2026-02-01T01%3A30%3A00.000Z";
    let refused = Answer::new(400, json!({"error": "BadRequest", "description": "action must be one of x."}));
    let fake = Fake::start(&[
        (path, vec![Answer::new(200, "[]")]),
        ("GET /v2/audit?limit=100&action=drink", vec![refused]),
    ]);
    let line = "audit --limit 5 --instance g-1 --actor olga --action delete_backup --since 2026-02-01 \
                --before 2026-02-01T01:30:00Z";
    let ended = fake.run(line);
    assert_eq!(
        (ended.code, ended.err.as_str()),
        (0, "Nothing of this kind has happened.\n"),
        "{}",
        ended.out
    );
    let ended = fake.run("audit --action drink");
    assert!(ended.code == 2 && ended.err.contains("action must be one of x."), "{}", ended.err);
}

#[test]
fn more_than_a_page_is_fetched_page_by_page() {
    let page =
        |ids: std::ops::RangeInclusive<usize>| Answer::new(200, Value::Array(ids.rev().map(event).collect()));
    let fake = Fake::start(&[
        ("GET /v2/audit?limit=1000", vec![page(501..=1500)]),
        ("GET /v2/audit?limit=200&before_id=501", vec![page(301..=500)]),
        ("GET /v2/audit?limit=1000&before_id=501", vec![page(491..=500)]),
    ]);
    let ended = fake.run("audit --limit 1200");
    assert_eq!(ended.out.lines().count(), 1201, "{}", ended.err);
    assert!(ended.err.contains("There may be more"), "{}", ended.err);
    let ended = fake.run("audit --limit 5000");
    assert_eq!((ended.out.lines().count(), ended.err.as_str()), (1011, ""));
}

#[test]
fn a_token_of_a_file_takes_the_place_of_the_password_and_an_option_wins_over_the_environment() {
    let fake = Fake::start(&[("GET /v2/audit?limit=100", vec![Answer::new(200, "[]")])]);
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (token, password) = (file("token", "abc.def\n"), file("password", "pw\n"));
    let environment = [("BACKUPCTL_TOKEN_FILE", token.as_str()), ("BACKUPCTL_PASSWORD", "x")];
    assert_eq!(run(&fake.url, "audit", &environment, "").code, 0);
    assert_eq!(run(&fake.url, &format!("audit --token-file {token}"), &[], "").code, 0);
    assert_eq!(run(&fake.url, &format!("audit --password-file {password}"), &environment, "").code, 0);
    let seen: Vec<_> = fake.requests().iter().map(|r| r.headers["authorization"].clone()).collect();
    assert_eq!(seen, ["Bearer abc.def", "Bearer abc.def", "Basic YWRtaW46cHc="]);
    let bad = file("bad", "s3cret token\n");
    let ended = run(&fake.url, &format!("audit --token-file {bad}"), &[], "");
    assert!(ended.code == 2 && !ended.err.contains("s3cret"), "{}", ended.err);
}

#[test]
fn a_token_goes_to_the_paths_on_which_an_issuers_tokens_are_accepted() {
    let fake = Fake::start(&[
        ("GET /v1/instances/g/backups", vec![Answer::new(200, "[]")]),
        ("GET /v1/instances/g/restores", vec![Answer::new(200, "[]")]),
        ("POST /v1/instances/g/backups/7/cancel", vec![Answer::new(202, r#"{"message":"m"}"#)]),
        (
            "GET /v1/instances/g/backups/7",
            vec![Answer::new(200, r#"{"size":5,"backup_id":"b","status":"done"}"#)],
        ),
        ("GET /v1/instances/g/backups/7/download", vec![Answer::bytes(200, b"bytes")]),
        ("GET /instances/g/config", vec![Answer::new(200, "{}")]),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(file("token"), "abc.def\n").unwrap();
    let download = format!("backups download g 7 --output-file {}", file("download"));
    for command in ["backups list g", "restores list g", "backups cancel g 7", &download] {
        let ended = run(&fake.url, &format!("{command} --token-file {}", file("token")), &[], "");
        assert_eq!(ended.code, 0, "{command}: {}", ended.err);
    }
    run(&fake.url, &format!("instances config get g --token-file {}", file("token")), &[], "");
    assert_eq!(fake.requests().last().unwrap().line, "GET /instances/g/config");
}
