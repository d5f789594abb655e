//! The client of backup agents against hostile ones.

use std::time::Duration;

use backup_core::clients::agent::{AgentClient, AgentCredential, AgentEndpoint, AgentError, OperationKind};
use backup_core::clients::{HttpLimits, TlsOptions};
use backup_protocol::{
    Compression, CompressionScheme, Encryption, EncryptionScheme, InstanceRef, OperationState, StartBackup,
    StopOrder,
};
use secrecy::SecretString;
use serde_json::{Value, json as value};

use crate::scripted::{Act, Scripted, json, with_header};

const LIMITS: HttpLimits = HttpLimits {
    connect: Duration::from_secs(2),
    total: Duration::from_millis(1500),
    max_answer_bytes: 64 * 1024,
};

fn client() -> AgentClient {
    AgentClient::with_limits(&TlsOptions::default(), LIMITS).unwrap()
}

fn endpoint(server: &Scripted) -> AgentEndpoint {
    let credential =
        AgentCredential::Basic { user: "manager".into(), password: SecretString::from("s3cret") };
    AgentEndpoint::new(server.url.clone(), credential)
}

fn running() -> Value {
    value!({"id": "b-1", "epoch": 3, "state": "running", "bytes_read": 10, "started_at": "2026-01-01T00:00:00Z"})
}

fn request() -> StartBackup {
    StartBackup {
        epoch: 3,
        store: "main".into(),
        object_prefix: "p/g".into(),
        instance: InstanceRef { guid: "g".into(), data_service: "files".into(), plan_guid: None },
        encryption: Encryption {
            scheme: EncryptionScheme::Age,
            key: "k".into(),
            key_id: "1".into(),
            key_envelope: None,
        },
        compression: Compression { scheme: CompressionScheme::Zstd, level: 3 },
        rate_limit_bytes_per_second: None,
        deadline: "2026-01-02T00:00:00Z".parse().unwrap(),
        part_size_limit: 1 << 30,
        backup_type: None,
    }
}

async fn status(act: Act) -> Result<Option<backup_protocol::OperationStatus>, AgentError> {
    let server = Scripted::start(vec![act]).await;
    client().status(&endpoint(&server), OperationKind::Backup, "b-1").await
}

#[tokio::test]
async fn starting_a_backup_sends_the_credential_and_the_body_to_its_path() {
    let server = Scripted::start(vec![json(202, running()), json(200, running())]).await;
    for _ in 0..2 {
        let status = client().start_backup(&endpoint(&server), "b-1", &request()).await.unwrap();
        assert_eq!(status.state, OperationState::Running);
    }
    let seen = &server.requests()[0];
    assert!(seen.starts_with("PUT /v1/backups/b-1 HTTP/1.1"), "{seen}");
    assert!(seen.contains("authorization: Basic bWFuYWdlcjpzM2NyZXQ="), "{seen}");
    assert!(seen.contains(r#""object_prefix":"p/g""#), "{seen}");
}

#[tokio::test]
async fn restores_have_their_own_path_and_cancelling_is_a_delete() {
    let server = Scripted::start(vec![json(202, running()), json(202, running())]).await;
    let (client, agent) = (client(), endpoint(&server));
    client.status(&agent, OperationKind::Restore, "b-1").await.unwrap().unwrap();
    let order = StopOrder { epoch: Some(3), unless_begun: true };
    client.cancel(&agent, OperationKind::Backup, "b-1", order).await.unwrap().unwrap();
    assert!(server.requests()[0].starts_with("GET /v1/restores/b-1 "));
    assert!(server.requests()[1].starts_with("DELETE /v1/backups/b-1?epoch=3&unless_begun=true "));
}

#[tokio::test]
async fn never_heard_of_it_is_an_answer_but_a_strangers_404_is_not() {
    let own = json(404, r#"{"error":"NotFound","description":"no such backup"}"#);
    assert!(status(own).await.unwrap().is_none());
    assert!(matches!(status(json(404, "<html>")).await, Err(AgentError::Protocol { .. })));
}

#[tokio::test]
async fn refusals_become_the_error_of_their_meaning() {
    let busy = with_header(429, "retry-after: 7", r#"{"error":"Busy","description":"full"}"#);
    let retry_after = match status(busy).await {
        Err(AgentError::Busy { retry_after }) => retry_after,
        other => panic!("{other:?}"),
    };
    assert_eq!(retry_after, Some(Duration::from_secs(7)));
    let running = r#"{"error":"OperationRunning","description":"d","running_id":"b-0"}"#;
    let conflict = status(json(409, running)).await.unwrap_err();
    assert!(matches!(&conflict, AgentError::OtherOperationRunning { id } if id == "b-0"));
    let refused = status(json(401, r#"{"error":"Unauthorized","description":"no"}"#)).await.unwrap_err();
    assert!(!refused.is_retryable());
    assert_eq!(refused.to_string(), "the backup agent refused with status 401 (Unauthorized): no");
    assert!(status(json(503, "down")).await.unwrap_err().is_retryable());
}

#[tokio::test]
async fn rubbish_redirects_and_wrong_ids_are_refused() {
    let other_id =
        value!({"id": "b-2", "epoch": 1, "state": "running", "started_at": "2026-01-01T00:00:00Z"});
    let elsewhere = with_header(302, "location: http://127.0.0.1:1/", "");
    for act in [json(200, "{"), json(200, ""), json(200, "[]"), json(204, ""), json(200, other_id), elsewhere]
    {
        assert!(matches!(status(act).await, Err(AgentError::Protocol { .. })));
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    assert!(matches!(status(Act::Flood).await, Err(AgentError::Protocol { .. })));
}

#[tokio::test]
async fn a_silent_broken_or_absent_agent_is_unreachable_and_no_message_tells_its_url_or_credential() {
    let cut = Act::Raw("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\"".into());
    for act in [Act::Silence, cut, Act::Raw(String::new()), Act::Raw("SSH-2.0-OpenSSH\r\n".into())] {
        let error = status(act).await.unwrap_err();
        assert!(matches!(error, AgentError::Unreachable { .. }), "{error:?}");
        let text = format!("{error} {error:?}");
        assert!(!text.contains("s3cret") && !text.contains("/v1/backups"), "{text}");
    }
    let server = Scripted::start(vec![]).await;
    let nobody = client().info(&endpoint(&server)).await;
    assert!(matches!(nobody, Err(AgentError::Unreachable { .. })));
}

fn page(id: &str, next: Option<&str>) -> Act {
    json(
        200,
        value!({"next": next, "operations": [{"kind": "backup", "id": id, "epoch": 1, "state": "running",
            "started_at": "2026-01-01T00:00:00Z"}]}),
    )
}

#[tokio::test]
async fn a_journal_is_read_to_its_end_page_by_page() {
    let server = Scripted::start(vec![page("b-1", Some("backup-b-1")), page("b-2", None)]).await;
    let journal = client().journal(&endpoint(&server)).await.unwrap().unwrap();
    let ids: Vec<_> = journal.iter().map(|operation| operation.id.as_str()).collect();
    assert_eq!(ids, ["b-1", "b-2"]);
    let asked = server.requests();
    assert!(asked[0].starts_with("GET /v1/operations HTTP") && asked[0].contains("authorization: Basic"));
    assert!(asked[1].starts_with("GET /v1/operations?after=backup-b-1 HTTP"), "{}", asked[1]);
}

#[tokio::test]
async fn an_agent_without_a_journal_is_no_error_and_a_hostile_one_is_no_journal() {
    for status in [404, 405] {
        let server = Scripted::start(vec![json(status, "<html>")]).await;
        assert!(client().journal(&endpoint(&server)).await.unwrap().is_none(), "{status}");
    }
    for act in [json(200, "[]"), json(200, "{}"), json(500, "{}"), json(302, ""), Act::Flood, Act::Silence] {
        let server = Scripted::start(vec![act]).await;
        assert!(client().journal(&endpoint(&server)).await.is_err());
    }
    let broken_off = Scripted::start(vec![page("b-1", Some("backup-b-1")), json(404, "{}")]).await;
    assert!(client().journal(&endpoint(&broken_off)).await.is_err(), "half a journal is none");
    let endless = (0..60).map(|number| page(&format!("b-{number}"), Some(&format!("c-{number}")))).collect();
    let endless = Scripted::start(endless).await;
    assert!(client().journal(&endpoint(&endless)).await.is_err(), "it does not end");
}
