//! At most once, in order, never forgotten.

use std::time::Duration;

use backup_protocol::OperationState;
use serde_json::{Value, json};

use crate::harness::{Agent, Client, KEY, Site, merged};

/// A backup that takes minutes unless it is stopped.
fn slow() -> Value {
    merged(Client::backup_body(), json!({"rate_limit_bytes_per_second": 20_000}))
}

fn site_with_data() -> Site {
    let site = Site::files();
    site.write("big", vec![1_u8; 3_000_000]);
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_start_starts_nothing() {
    let site = site_with_data();
    let agent = Agent::start(&site).await;
    let first = agent.put("/v1/backups/b", Client::backup_body()).await;
    assert_eq!((first.status, first.operation().state), (202, OperationState::Running));
    let repeat = agent.put("/v1/backups/b", Client::backup_body()).await;
    assert_eq!(repeat.status, 200);
    let done = agent.ended("/v1/backups/b").await;
    assert_eq!(done.state, OperationState::Done);
    let objects = site.stored();
    let repeat = agent.put("/v1/backups/b", Client::backup_body()).await;
    assert_eq!((repeat.status, repeat.operation()), (200, done));
    assert_eq!(site.stored(), objects);
}

#[tokio::test(flavor = "multi_thread")]
async fn epochs_only_grow() {
    let site = site_with_data();
    let agent = Agent::start(&site).await;
    let with_epoch = |epoch: i64| merged(Client::backup_body(), json!({"epoch": epoch}));
    assert_eq!(agent.put("/v1/backups/b", with_epoch(5)).await.status, 202);
    assert_eq!(agent.put("/v1/backups/b", with_epoch(4)).await.refusal(), (409, "StaleEpoch"));
    let higher = agent.put("/v1/backups/b", with_epoch(7)).await;
    assert_eq!((higher.status, higher.operation().epoch), (200, 7));
    let done = agent.ended("/v1/backups/b").await;
    assert_eq!((done.state, done.epoch), (OperationState::Done, 7));
    assert_eq!(agent.put("/v1/backups/b", with_epoch(6)).await.refusal(), (409, "StaleEpoch"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_operation_is_refused_with_the_id_of_the_first() {
    let site = site_with_data();
    let agent = Agent::start(&site).await;
    let done = agent.backup("done").await;
    assert_eq!(agent.put("/v1/backups/slow", slow()).await.status, 202);
    let other = agent.put("/v1/backups/other", Client::backup_body()).await;
    assert_eq!((other.refusal(), &other.body["running_id"]), ((409, "OperationRunning"), &json!("slow")));
    let restore = agent.put("/v1/restores/r", Client::restore_body(&done)).await;
    assert_eq!((restore.refusal(), &restore.body["running_id"]), ((409, "OperationRunning"), &json!("slow")));
    assert_eq!(agent.get("/v1/backups/other").await.status, 404, "a refused start leaves no trace");
    assert_eq!(agent.put("/v1/backups/done", Client::backup_body()).await.status, 200, "known ones answer");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_limit_of_several_the_agent_is_busy() {
    let site = site_with_data().set("concurrency", json!(2));
    let agent = Agent::start(&site).await;
    assert_eq!(agent.put("/v1/backups/one", slow()).await.status, 202);
    assert_eq!(agent.put("/v1/backups/two", slow()).await.status, 202);
    let third = agent.put("/v1/backups/three", slow()).await;
    assert_eq!(third.refusal(), (429, "Busy"));
    assert!(third.retry_after.unwrap().parse::<u32>().unwrap() > 0);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_stops_at_once_and_removes_partial_objects() {
    let site = site_with_data();
    let agent = Agent::start(&site).await;
    let small_parts =
        merged(slow(), json!({"part_size_limit": 1024, "rate_limit_bytes_per_second": 1_500_000}));
    site.write(
        "random",
        (0..200_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect::<Vec<_>>(),
    );
    agent.put("/v1/backups/b", small_parts).await;
    agent
        .running_until("/v1/backups/b", |status| !status.parts.is_empty() || status.bytes_read > 2_500_000)
        .await;
    for _ in 0..2 {
        let cancelled = agent.delete("/v1/backups/b").await;
        assert_eq!((cancelled.status, cancelled.operation().state), (200, OperationState::Cancelled));
    }
    assert!(site.stored().is_empty());
    assert_eq!(agent.backup("next").await.state, OperationState::Done, "the agent is free again");
    let kept = agent.delete("/v1/backups/next").await;
    assert_eq!(kept.operation().state, OperationState::Done, "a finished backup is not removed by a cancel");
    assert!(site.stored().contains(&"metadata.json".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_to_stop_with_an_older_epoch_is_refused_and_one_without_is_not() {
    let site = site_with_data();
    let agent = Agent::start(&site).await;
    assert_eq!(agent.put("/v1/backups/b", merged(slow(), json!({"epoch": 5}))).await.status, 202);
    let stale = agent.delete("/v1/backups/b?epoch=4").await;
    assert_eq!((stale.refusal(), &stale.body["newest_epoch"]), ((409, "StaleEpoch"), &json!(5)));
    assert_eq!(agent.get("/v1/backups/b").await.operation().state, OperationState::Running);
    let spared = agent.delete("/v1/backups/b?epoch=6&unless_begun=true").await.operation();
    assert_eq!((spared.state, spared.epoch), (OperationState::Running, 6), "it has begun");
    let stale = agent.put("/v1/backups/b", merged(slow(), json!({"epoch": 5}))).await;
    assert_eq!((stale.refusal(), &stale.body["newest_epoch"]), ((409, "StaleEpoch"), &json!(6)));
    assert_eq!(agent.delete("/v1/backups/b?epoch=six").await.refusal(), (400, "BadRequest"));
    let stopped = agent.delete("/v1/backups/b").await.operation();
    assert_eq!((stopped.state, stopped.error), (OperationState::Cancelled, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stopped_before_it_began_is_never_begun_whatever_the_epoch() {
    let site = site_with_data();
    let agent = Agent::start(&site).await;
    let remembered = agent.delete("/v1/backups/b?epoch=3&unless_begun=true").await.operation();
    assert_eq!((remembered.state, remembered.epoch), (OperationState::Cancelled, 3));
    assert_eq!(remembered.error.unwrap().code, "never_begun");
    agent.stop().await;
    let agent = Agent::start(&site).await;
    for (epoch, status) in [(2, 409), (3, 200), (4, 200)] {
        let late = agent.put("/v1/backups/b", merged(slow(), json!({"epoch": epoch}))).await;
        assert_eq!(late.status, status, "{epoch}");
    }
    assert_eq!(agent.get("/v1/backups/b").await.operation().state, OperationState::Cancelled);
    assert!(site.stored().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_is_kept_by_the_agent() {
    let site = site_with_data();
    let agent = Agent::start(&site).await;
    let deadline = json!({"deadline": chrono::Utc::now() + chrono::TimeDelta::milliseconds(1500)});
    agent.put("/v1/backups/b", merged(slow(), deadline)).await;
    let ended = agent.ended("/v1/backups/b").await;
    assert_eq!((ended.state, ended.error.unwrap().code.as_str()), (OperationState::Failed, "timed_out"));
    assert!(site.stored().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_agent_reports_interrupted_after_its_return() {
    let site = site_with_data();
    let agent = Agent::start(&site).await;
    let done = agent.backup("done").await;
    agent.put("/v1/backups/b", slow()).await;
    agent.running_until("/v1/backups/b", |status| status.bytes_read > 0).await;
    agent.stop().await;
    let agent = Agent::start(&site).await;
    let ended = agent.get("/v1/backups/b").await.operation();
    assert_eq!((ended.state, ended.error.unwrap().code.as_str()), (OperationState::Failed, "interrupted"));
    assert_eq!(agent.get("/v1/backups/done").await.operation(), done, "what was done stays done");
    assert_eq!(site.stored(), ["data.00001", "metadata.json", "owner"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_somebody_else_are_neither_overwritten_nor_removed() {
    let site = site_with_data();
    let folder = site.path("store").join("prefix/guid/b");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("metadata.json"), "precious").unwrap();
    let agent = Agent::start(&site).await;
    let failed = agent.backup_with("b", json!({})).await;
    assert_eq!(failed.error.unwrap().code, "store_error");
    agent.delete("/v1/backups/b").await;
    assert_eq!(std::fs::read_to_string(folder.join("metadata.json")).unwrap(), "precious");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_never_holds_a_key_and_belongs_to_one_agent() {
    let site = site_with_data();
    let agent = Agent::start(&site).await;
    let done = agent.backup("b").await;
    agent.restore("r", &done).await;
    let journal = site.path("scratch").join("operations");
    let mut seen = 0;
    for file in std::fs::read_dir(&journal).unwrap().map(|f| f.unwrap().path()) {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(!text.contains(KEY));
        seen += usize::from(text.contains("\"done\""));
    }
    assert_eq!(seen, 2);
    let second = backup_agent::serve(serde_json::from_value(site.config.clone()).unwrap()).await;
    assert!(second.err().unwrap().to_string().contains("in use by another agent"));
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_is_listed_page_by_page_without_keys() {
    let site = Site::files();
    let agent = Agent::start(&site).await;
    let empty = agent.get("/v1/operations").await;
    assert_eq!((empty.status, empty.body), (200, json!({"operations": [], "next": null})));
    let backup = agent.backup("b-1").await;
    agent.backup("b-2").await;
    agent.restore("a-restore", &backup).await;
    agent.delete("/v1/backups/never-begun").await;
    let mut seen = Vec::new();
    let mut path = "/v1/operations?limit=1".to_owned();
    loop {
        let page = agent.get(&path).await.body;
        assert!(!page.to_string().contains("battery"), "{page}");
        for operation in page["operations"].as_array().unwrap() {
            let words = ["kind", "id", "state"].map(|field| operation[field].as_str().unwrap().to_owned());
            assert!(
                operation["finished_at"].is_string() && operation["cleanup_pending"] == false,
                "{operation}"
            );
            seen.push(words.join(" "));
        }
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/operations?limit=1&after={next}");
    }
    let expected =
        ["backup b-1 done", "backup b-2 done", "backup never-begun cancelled", "restore a-restore done"];
    assert_eq!(seen, expected);
    for wrong in ["limit=0", "limit=1001", "limit=x", "after=", "after=dream-1"] {
        let answer = agent.get(&format!("/v1/operations?{wrong}")).await;
        assert_eq!(answer.refusal(), (400, "BadRequest"), "{wrong}");
    }
}
