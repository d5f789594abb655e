//! Rehearsals of Redis.

use std::path::PathBuf;

use backup_protocol::OperationState;
use serde_json::json;

use super::{
    checks, details, error, file_of_rehearsal, kill_scratch_server, left, numbered_processes, processes,
    until,
};
use crate::drivers::redis::{digest, fill, forged, role, settings, site, spoil, start};
use crate::harness::{Agent, Client, Process, Site};

fn assert_nothing_stays(site: &Site) {
    assert_eq!((left(site), processes(site)), (Vec::<PathBuf>::new(), Vec::<String>::new()));
    assert!(!site.path("scratch/redis-restore").exists());
    assert!(!site.path("scratch/redis-restore.json").exists());
}

/// Many keys, so that an exchange takes its time.
const MANY: &str = "for n = 1, 300000 do redis.call('SET', 'many:' .. n, string.rep('v' .. n, 4)) end";
/// Is there as long as an exchange lasts.
const RECORD: &str = "redis-restore.json";

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_backup_is_rehearsed_in_a_server_of_its_own() {
    let mut redis = start(&[]);
    fill(&redis);
    let site = site(&redis);
    let agent = Agent::start(&site).await;
    let capabilities = agent.get("/v1/info").await.body["capabilities"].clone();
    assert!(capabilities.as_array().unwrap().contains(&json!("rehearse")), "{capabilities}");
    let backup = agent.backup("b").await;
    spoil(&redis);
    redis.run(&["CONFIG", "SET", "masterauth", "of-the-owner"]).unwrap();
    let (content, before) = (digest(&redis), settings(&redis));

    let expected = [
        ("keys", "20013 keys in 2 databases, 1 of them with a time to live, as loaded"),
        ("values", "20013 keys were read: 1 hash, 1 list, 2 set, 1 stream, 20006 string, 2 zset"),
        ("functions", "1 libraries, as loaded"),
    ];
    let passed = checks(&agent.rehearse("t", &backup).await);
    assert_eq!(details(&passed), expected);
    assert_eq!((digest(&redis), settings(&redis), role(&redis).as_str()), (content, before, "master"));
    assert!(!redis.run(&["INFO", "commandstats"]).unwrap().contains("replicaof"), "it was left alone");
    assert_nothing_stays(&site);

    // Not even a running server is needed.
    redis.kill().unwrap();
    let passed = checks(&agent.rehearse("t2", &backup).await);
    assert_eq!(details(&passed), expected);
    assert_nothing_stays(&site);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_backup_the_running_server_would_refuse_fails_its_rehearsal() {
    let redis = start(&[("databases", "40")]);
    fill(&redis);
    redis.run_all("SELECT 39\nSET last 1\n").unwrap();
    let site = site(&redis);
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    checks(&agent.rehearse("fine", &backup).await);

    redis.run(&["CONFIG", "SET", "maxmemory", "1mb"]).unwrap();
    let failed = agent.rehearse("small", &backup).await;
    assert!(error(&failed).2.contains("maxmemory"), "{failed:?}");

    let snapshot = site.path("snapshot.rdb");
    assert!(redis.client().arg("--rdb").arg(&snapshot).output().unwrap().status.success());
    let whole = std::fs::read(&snapshot).unwrap();
    let broken = forged(&site, "broken", &whole[..whole.len() / 3]).await;
    let failed = agent.rehearse("broken", &broken).await;
    let (state, code, message) = error(&failed);
    assert_eq!((state, code), (OperationState::Failed, "bad_request"), "{message}");
    assert_nothing_stays(&site);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_redis_server_program_the_rehearsal_says_what_is_missing() {
    let redis = start(&[]);
    let mut site = site(&redis);
    site.config["driver"]["redis"]["server_program"] = json!("/does/not/exist");
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    let failed = agent.rehearse("t", &backup).await;
    let (state, code, message) = error(&failed);
    assert_eq!((state, code), (OperationState::Failed, "program_missing"));
    assert!(message.contains("package redis-server"), "{message}");
    assert_nothing_stays(&site);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scratch_redis_that_dies_or_is_not_wanted_any_more_ends_the_rehearsal() {
    let redis = start(&[]);
    redis.script(MANY).unwrap();
    let site = site(&redis);
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    let body = Client::restore_body(&backup);

    assert_eq!(agent.put("/v1/rehearsals/t1", body.clone()).await.status, 202);
    until("the exchange begins", || file_of_rehearsal(&site, RECORD).is_some()).await;
    kill_scratch_server(&site, "redis.sock");
    let failed = agent.ended("/v1/rehearsals/t1").await;
    assert_eq!(error(&failed).1, "data_service_unreachable", "{failed:?}");
    assert_nothing_stays(&site);

    assert_eq!(agent.put("/v1/rehearsals/t2", body).await.status, 202);
    until("the exchange begins", || file_of_rehearsal(&site, RECORD).is_some()).await;
    assert_eq!(agent.delete("/v1/rehearsals/t2").await.status, 200);
    assert_eq!(agent.ended("/v1/rehearsals/t2").await.state, OperationState::Cancelled);
    assert_nothing_stays(&site);
    checks(&agent.rehearse("t3", &backup).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scratch_redis_ends_with_the_agent() {
    let redis = start(&[]);
    redis.script(MANY).unwrap();
    let site = site(&redis);
    let agent = Process::start(&site).await;
    let backup = agent.backup("b").await;
    assert_eq!(agent.put("/v1/rehearsals/t", Client::restore_body(&backup)).await.status, 202);
    until("the exchange begins", || file_of_rehearsal(&site, RECORD).is_some()).await;
    assert!(numbered_processes(&site).len() >= 2, "the scratch server and the one that hands the data over");
    agent.kill();
    until("both servers end by themselves", || processes(&site).is_empty()).await;
    assert!(!left(&site).is_empty());
    let agent = Process::start(&site).await;
    assert_eq!(error(&agent.get("/v1/rehearsals/t").await.operation()).1, "interrupted");
    assert_nothing_stays(&site);
}
