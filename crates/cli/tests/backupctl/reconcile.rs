//! `reconcile` for people and programs.

use serde_json::{Value, json};

use crate::fake::{Answer, Fake};

fn run(changes: &Value) -> Value {
    let mut run = json!({"id": 3, "status": "done", "phase": "folders", "instances_total": 2, "instances_done": 2,
        "differences": 0, "counts": {}, "not_compared": 0, "notes": 0, "findings": [], "next_after": null});
    for (field, value) in changes.as_object().unwrap() {
        run[field] = value.clone();
    }
    run
}

fn finding(subject: &str) -> Value {
    json!({"class": "difference", "kind": "row_without_object", "subject": subject, "instance_id": "g-1",
        "details": "nothing of it is in the store", "proposal": "bring the objects back", "outcome": null})
}

const ASKED: &str = "POST /v2/reconciliations";
const POLLED: &str = "GET /v2/reconciliations/3?limit=1";
const SHOWN: &str = "GET /v2/reconciliations/3?limit=1000";

#[test]
fn agreement_ends_with_0_and_every_difference_is_shown_and_ends_with_1() {
    let asked = || Answer::new(202, json!({"id": 3}));
    let running =
        Answer::new(200, run(&json!({"status": "running", "phase": "instances", "instances_done": 1})));
    let done = Answer::new(200, run(&json!({})));
    let fake =
        Fake::start(&[(ASKED, vec![asked()]), (POLLED, vec![running, done.clone()]), (SHOWN, vec![done])]);
    let ended = fake.run("reconcile --wait-interval 1ms");
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(
        ended.err.contains("50 % of 2 instances") && ended.err.contains("The ledgers agree."),
        "{}",
        ended.err
    );
    let body: Value = serde_json::from_str(&fake.requests()[0].body).unwrap();
    assert_eq!(body, json!({"repair": false, "deep": false}));

    let counts = json!({"row_without_object": 2});
    let first =
        run(&json!({"differences": 2, "counts": counts, "findings": [finding("backup 7")], "next_after": 9}));
    let second = run(&json!({"findings": [finding("backup 8")]}));
    let next = "GET /v2/reconciliations/3?limit=1000&after=9";
    let fake = Fake::start(&[
        (ASKED, vec![asked()]),
        (POLLED, vec![Answer::new(200, &first)]),
        (SHOWN, vec![Answer::new(200, &first)]),
        (next, vec![Answer::new(200, second)]),
    ]);
    let ended = fake.run("reconcile --repair --deep --instance g-1");
    assert_eq!(ended.code, 1, "{}", ended.err);
    for words in ["row_without_object", "backup 7", "backup 8", "bring the objects back"] {
        assert!(ended.out.contains(words), "{words}: {}", ended.out);
    }
    assert!(ended.err.contains("2 differences (2 row_without_object), 0 not compared"), "{}", ended.err);
    let body: Value = serde_json::from_str(&fake.requests()[0].body).unwrap();
    assert_eq!(body, json!({"repair": true, "deep": true, "instance_id": "g-1"}));
    let all: Value = serde_json::from_str(&fake.run("reconcile --show 3 -o json").out).unwrap();
    assert_eq!(all["findings"].as_array().unwrap().len(), 2);
}

#[test]
fn what_was_not_compared_is_never_fine() {
    let shown = |changes: Value| {
        let fake = Fake::start(&[(SHOWN, vec![Answer::new(200, run(&changes))])]);
        fake.run("reconcile --show 3")
    };
    let gap = json!({"class": "not_compared", "kind": "agent", "subject": "g-1", "details": "it cannot be reached"});
    let ended = shown(json!({"not_compared": 1, "findings": [gap]}));
    assert_eq!(ended.code, 1);
    assert!(ended.out.contains("not_compared: agent"), "{}", ended.out);
    assert!(ended.err.contains("not everything could be compared"), "{}", ended.err);
    let failed = shown(json!({"status": "failed", "msg": "the store main is not configured"}));
    assert!(failed.code == 1 && failed.err.contains("the store main"), "{}", failed.err);
    assert_eq!(shown(json!({"notes": 1})).code, 0, "an agent without a journal is a note");
}

#[test]
fn without_waiting_it_says_how_to_look_again() {
    let fake = Fake::start(&[(ASKED, vec![Answer::new(202, json!({"id": 3}))])]);
    let ended = fake.run("reconcile --no-wait");
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(format!("{}{}", ended.out, ended.err).contains("reconcile --show 3"), "{}", ended.err);
}
