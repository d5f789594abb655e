//! `GET /v2/audit`: everything that changes something leaves an event, and the events are found again.

use backup_core::domain::audit::AuditAction;
use reqwest::Method;
use serde_json::{Value, json};

use crate::app::{App, PASSWORD, assert_fields, assert_time, error, json as read};

async fn events(app: &App, query: &str) -> Vec<Value> {
    read(app.get(&format!("/v2/audit{query}")).await, 200).await.as_array().unwrap().clone()
}

/// `action|instance|subject` of each, oldest first.
fn lines(events: &[Value]) -> Vec<String> {
    let line = |event: &Value| {
        let text = |name: &str| event[name].as_str().unwrap_or("-").to_owned();
        format!("{}|{}|{}", text("action"), text("instance_id"), text("subject"))
    };
    events.iter().rev().map(line).collect()
}

#[tokio::test]
async fn every_request_that_changes_something_leaves_an_event_in_words() {
    let app = App::start().await;
    let (instance, _) = (app.instance("g-1"), app.instance("g-2"));
    app.own_key(&instance);
    let good = app.database.seed_backup(&instance, "done", 1).unwrap();
    app.store_parts(&instance, &good, &[b"content"]);
    let marked = app.database.seed_backup(&instance, "deleted", 2).unwrap();
    let of = |rest: &str| format!("/instances/g-1/backups{rest}");

    read(app.post("/backup_agent/backup_all", json!({})).await, 202).await;
    let first =
        read(app.post("/backup_agent/backup", json!({"instance_guid": "g-1"})).await, 201).await["id"]
            .clone();
    let second = read(app.post(&of(""), json!({})).await, 201).await["id"].clone();
    read(app.post(&of(&format!("/{second}/cancel")), json!({})).await, 202).await;
    app.get(&of(&format!("/{}/download", good.id))).await.bytes().await.unwrap();
    let source = json!({"source_instance_id": "g-1"});
    let restore = app.post(&format!("/instances/g-2/backups/{}/restore", good.id), source).await;
    let restore = read(restore, 202).await["id"].clone();
    read(app.post(&format!("/instances/g-2/restores/{restore}/cancel"), json!({})).await, 202).await;
    app.database.execute("UPDATE restores SET status = 'failed', reason_code = 'cancelled'").unwrap();
    read(app.post(&of(&format!("/{}/undelete", marked.id)), json!({})).await, 200).await;
    read(app.request(Method::DELETE, &of(&format!("/{}", good.id))).send().await.unwrap(), 200).await;
    let secret = json!({"encryption_key": "a very secret key", "retention_time": 3});
    read(app.put("/instances/g-2", secret).await, 200).await;
    let prepare = "/v1/instances/g-2/disaster-recovery/prepare";
    read(app.post(prepare, json!({"encryption_key": "another secret key"})).await, 200).await;

    let events = events(&app, "").await;
    assert_eq!(
        lines(&events),
        [
            "request_backup_all|-|every eligible instance".to_owned(),
            format!("request_backup|g-1|backup {first}"),
            format!("request_backup|g-1|backup {second}"),
            format!("cancel_backup|g-1|backup {second}"),
            format!("download_backup|g-1|backup {}", good.id),
            format!("request_restore|g-2|restore {restore} of backup {} of g-1", good.id),
            format!("request_restore|g-1|restore {restore} of backup {} into g-2", good.id),
            format!("cancel_restore|g-2|restore {restore}"),
            format!("undelete_backup|g-1|backup {}", marked.id),
            format!("delete_backup|g-1|backup {}", good.id),
            format!("remove_backup|g-1|backup {}: its removal was requested", good.id),
            "configure_instance|g-2|set encryption_key, retention_time".to_owned(),
            "configure_instance|g-2|set encryption_key".to_owned(),
        ]
    );
    for event in &events {
        let fields = ["id", "at", "actor", "address", "action", "instance_id", "subject", "request_id"];
        assert_fields(event, &fields);
        assert_time(&event["at"]);
        assert_eq!((&event["actor"], &event["address"]), (&json!("admin"), &json!("127.0.0.1")));
        assert_eq!(event["request_id"].as_str().unwrap().len(), 36);
    }
    assert!(!serde_json::to_string(&events).unwrap().contains("secret"));
}

#[tokio::test]
async fn what_is_refused_or_answered_from_memory_leaves_no_event() {
    let app = App::start().await;
    app.instance("g-1");
    let key = |request: reqwest::RequestBuilder| request.header("Idempotency-Key", "k").json(&json!({}));
    for status in [201, 200] {
        let request = key(app.request(Method::POST, "/instances/g-1/backups"));
        read(request.send().await.unwrap(), status).await;
    }
    error(app.post("/instances/g-1/backups/77/cancel", json!({})).await, 404, "NotFound").await;
    error(app.put("/instances/g-1", json!({"encryption_key": "short"})).await, 422, "EncryptionKeyTooShort")
        .await;
    read(app.post("/v1/instances/g-1/disaster-recovery/prepare", json!({})).await, 200).await;
    assert_eq!(events(&app, "").await.len(), 1);
}

#[tokio::test]
async fn repeating_oneself_does_not_fill_the_audit_trail() {
    let app = App::start().await;
    let (instance, _) = (app.instance("g-1"), app.instance("g-2"));
    app.own_key(&instance);
    let backup = app.database.seed_backup(&instance, "done", 1).unwrap();
    app.store_parts(&instance, &backup, &[b"content"]);
    let second = app.database.seed_backup(&instance, "done", 2).unwrap();
    app.store_parts(&instance, &second, &[b"content"]);
    let path = |id| format!("/instances/g-1/backups/{id}/download");
    // What is longer ago than a minute was another one.
    let old = format!(
        "INSERT INTO audit_events (at, actor, action, service_instance_guid, subject)
         VALUES (now() - interval '2 minutes', 'admin', 'download_backup', 'g-1', 'backup {}')",
        backup.id
    );
    app.database.execute(&old).unwrap();
    for _ in 0..3 {
        app.get(&path(backup.id)).await.bytes().await.unwrap();
    }
    app.get(&path(second.id)).await.bytes().await.unwrap();
    let other = app.anonymous(Method::GET, &path(backup.id)).basic_auth("eve", Some(PASSWORD));
    other.send().await.unwrap().bytes().await.unwrap();
    let third = json!({"retention_time": 3, "encryption_key": "a very secret key"});
    for body in [third.clone(), third, json!({"retention_time": 3, "min_backup_count": 2})] {
        read(app.put("/instances/g-2", body).await, 200).await;
    }
    let queued = read(app.post("/instances/g-1/backups", json!({})).await, 201).await["id"].clone();
    for _ in 0..2 {
        let cancel = format!("/instances/g-1/backups/{queued}/cancel");
        read(app.post(&cancel, json!({})).await, 202).await;
    }
    assert_eq!(
        lines(&events(&app, "").await),
        [
            format!("download_backup|g-1|backup {}", backup.id),
            format!("download_backup|g-1|backup {}", backup.id),
            format!("download_backup|g-1|backup {}", second.id),
            format!("download_backup|g-1|backup {}", backup.id),
            "configure_instance|g-2|set encryption_key, retention_time".to_owned(),
            "configure_instance|g-2|set min_backup_count".to_owned(),
            format!("request_backup|g-1|backup {queued}"),
            format!("cancel_backup|g-1|backup {queued}"),
        ]
    );
}

#[tokio::test]
async fn events_are_filtered_and_keep_the_callers_request_id() {
    let app = App::start().await;
    for guid in ["g-1", "g-2"] {
        app.instance(guid);
        let request = app.request(Method::POST, &format!("/instances/{guid}/backups")).json(&json!({}));
        read(request.header("X-Request-Id", format!("mine-{guid}")).send().await.unwrap(), 201).await;
    }
    app.database
        .execute(
            "INSERT INTO audit_events (at, actor, action, service_instance_guid)
             VALUES ('2026-02-01T01:30:00.5Z', 'olga', 'delete_backup', 'g-1'),
                    ('2026-02-02T00:00:00Z', 'worker', 'mark_backup', 'g-3')",
        )
        .unwrap();
    let found = async |query: &str| -> String {
        let mut found: Vec<String> = events(&app, query)
            .await
            .iter()
            .map(|event| {
                format!("{} {}", event["actor"].as_str().unwrap(), event["instance_id"].as_str().unwrap())
            })
            .collect();
        found.sort();
        found.join(", ")
    };
    assert_eq!(found("").await, "admin g-1, admin g-2, olga g-1, worker g-3");
    assert_eq!(found("?instance_id=g-1").await, "admin g-1, olga g-1");
    assert_eq!(found("?instance_id=unknown").await, "");
    assert_eq!(found("?actor=olga").await, "olga g-1");
    assert_eq!(found("?action=mark_backup").await, "worker g-3");
    assert_eq!(found("?before=2026-02-02").await, "olga g-1");
    assert_eq!(found("?since=2026-02-02&before=2026-02-02T00:00:00.001Z").await, "worker g-3");
    assert_eq!(
        found("?since=2026-02-01T02:30:00.500%2B01:00&before=2026-03-01").await,
        "olga g-1, worker g-3"
    );
    assert_eq!(found("?since=2026-02-01T01:30:00.501Z&before=2026-03-01").await, "worker g-3");
    assert_eq!(found("?instance_id=g-1&actor=olga&action=delete_backup&limit=1").await, "olga g-1");
    let mine = &events(&app, "?actor=admin&instance_id=g-2").await[0];
    assert_eq!(mine["request_id"], "mine-g-2");
}

#[tokio::test]
async fn pages_are_linked_and_keep_the_filter() {
    let app = App::start().await;
    app.database
        .execute(
            "INSERT INTO audit_events (actor, action, subject) SELECT 'o l&ga', 'mark_backup', n
             FROM generate_series(1, 250) AS n; INSERT INTO audit_events (actor, action) VALUES ('eve', 'mark_backup')",
        )
        .unwrap();
    let mut next = Some("/v2/audit?actor=o%20l%26ga&limit=100".to_owned());
    let (mut subjects, mut pages) = (Vec::new(), 0);
    while let Some(path) = next {
        let answer = app.get(&path).await;
        let link = answer.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
        next = link
            .map(|link| link.strip_prefix('<').unwrap().split_once(">; rel=\"next\"").unwrap().0.to_owned());
        let page = read(answer, 200).await;
        subjects.extend(
            page.as_array().unwrap().iter().map(|event| event["subject"].as_str().unwrap().to_owned()),
        );
        pages += 1;
    }
    let expected: Vec<String> = (1..=250).rev().map(|n| n.to_string()).collect();
    assert_eq!((subjects, pages), (expected, 3));
    assert_eq!(events(&app, "").await.len(), 100, "the default limit");
    assert_eq!(events(&app, "?limit=1000").await.len(), 251);
    assert_eq!(events(&app, "?limit=1000&before_id=1").await.len(), 0);
}

#[tokio::test]
async fn a_filter_that_makes_no_sense_is_refused_with_what_is_allowed() {
    let app = App::start().await;
    let known = AuditAction::ALL.iter().map(|action| action.as_str()).collect::<Vec<_>>().join(", ");
    let long = "x".repeat(261);
    for (query, words) in [
        ("limit=0", "limit must be a number from 1 to 1000."),
        ("limit=1001", "limit must be a number from 1 to 1000."),
        ("limit=many", "limit must be a number from 1 to 1000."),
        ("before_id=0", "before_id must be a number from 1 to"),
        ("before_id=x", "before_id must be a number from 1 to"),
        ("since=yesterday", "since must be a time like 2026-02-01T01:30:00Z or a date"),
        ("since=2026-02-30", "since must be a time"),
        ("before=2026-02-01T01:30:00+01:00", "a + is written as %2B"),
        ("action=delete", &format!("action must be one of {known}.")),
        (&format!("actor={long}"), "actor must be"),
        ("actor=a%00b", "actor must be"),
        ("instance_id=a%00b", "instance_id must be"),
        (&format!("instance_id={long}"), "instance_id must be"),
        ("instance=g-1", "\"instance\" is not known here; allowed are instance_id, actor,"),
    ] {
        let said = error(app.get(&format!("/v2/audit?{query}")).await, 400, "BadRequest").await;
        assert!(said.contains(words), "{query}: {said}");
    }
    assert_eq!(events(&app, "?actor=&since=").await.len(), 0, "an empty value narrows nothing");
}

#[tokio::test]
async fn an_auditor_reads_the_audit_trail() {
    let app = App::start().await;
    let eve = app.anonymous(Method::GET, "/v2/audit").basic_auth("eve", Some(PASSWORD));
    assert_eq!(read(eve.send().await.unwrap(), 200).await, json!([]));
}
