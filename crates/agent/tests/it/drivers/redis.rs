//! Redis comes back as it was, and clients see all or nothing.

use std::process::{Child, Stdio};

use backup_protocol::{OperationState, OperationStatus};
use private_services::Redis;
use serde_json::json;

use crate::harness::{Agent, Client, Process, Site, merged};

/// `DEBUG DIGEST` is how the tests compare all keys of all databases with their values and times to live.
const COMPARABLE: (&str, &str) = ("enable-debug-command", "yes");

pub(crate) fn site(redis: &Redis) -> Site {
    Site::with_driver(json!({"redis": {"host": "127.0.0.1", "port": redis.port()}}))
}

pub(crate) fn start(settings: &[(&str, &str)]) -> Redis {
    Redis::start_with(&[&[COMPARABLE], settings].concat()).unwrap()
}

pub(crate) fn digest(redis: &Redis) -> String {
    let functions = redis.run(&["FUNCTION", "LIST", "WITHCODE"]).unwrap();
    format!("{} {} {functions}", redis.run(&["DEBUG", "DIGEST"]).unwrap(), redis.run(&["DBSIZE"]).unwrap())
}

const EVERYTHING: &str = r#"
SET text "Größe ☃"
SET binary "\x00\xff\r\n$EOF:"
SETBIT bits 1000000 1
RPUSH list a b c d
SADD set 1 2 3 x
SADD numbers 1 2 3
ZADD ranking 1.5 one 2 two
HSET hash field value other "\x00"
XADD stream 1-1 name value
XGROUP CREATE stream readers 0
XREADGROUP GROUP readers me STREAMS stream >
PFADD visitors a b c
SET soon gone EX 100000
GEOADD cities 13.4 52.5 Berlin
SELECT 7
SET elsewhere 1
SELECT 0
"#;

pub(crate) fn fill(redis: &Redis) {
    redis.run_all(EVERYTHING).unwrap();
    redis.script("for n = 1, 20000 do redis.call('SET', 'key:' .. n, string.rep('v' .. n, 10)) end").unwrap();
    let function = "#!lua name=tools\nredis.register_function('answer', function() return 42 end)";
    redis.run(&["FUNCTION", "LOAD", function]).unwrap();
}

pub(crate) fn spoil(redis: &Redis) {
    redis.run_all("FLUSHALL\nFUNCTION FLUSH\nSET text spoilt\nSET made-later 1\n").unwrap();
}

pub(crate) fn settings(redis: &Redis) -> String {
    let pattern = ["CONFIG", "GET", "master*", "repl-diskless-load", "replica-read-only"];
    redis.run(&pattern).unwrap()
}

pub(crate) fn role(redis: &Redis) -> String {
    redis.run(&["ROLE"]).unwrap().lines().next().unwrap().to_owned()
}

fn error(status: OperationStatus) -> (String, String) {
    assert_eq!(status.state, OperationState::Failed, "{status:?}");
    let error = status.error.unwrap();
    (error.code, error.message)
}

#[tokio::test(flavor = "multi_thread")]
async fn all_keys_and_functions_survive_a_round_trip_and_clients_stay_connected() {
    // Both ways a server sends a snapshot: while it makes it, and from a file.
    for diskless in ["yes", "no"] {
        let redis = start(&[("repl-diskless-sync", diskless)]);
        fill(&redis);
        let (content, before) = (digest(&redis), settings(&redis));
        let site = site(&redis);
        let agent = Agent::start(&site).await;
        let version = agent.get("/v1/info").await.body["data_service_version"].clone();
        assert!(version.as_str().unwrap().split('.').count() == 3, "{version}");
        let backup = agent.backup("b").await;
        assert!(backup.total_bytes_estimate.unwrap() > 100_000);

        spoil(&redis);
        let mut reader = redis.client();
        let mut reader = reader.args(["-r", "-1", "-i", "0.01", "GET", "text"]);
        reader = reader.stdout(Stdio::null()).stderr(Stdio::null());
        let mut reader = reader.spawn().unwrap();
        agent.restore("r", &backup).await;
        assert!(matches!(reader.try_wait(), Ok(None)), "connections are not ended");
        reader.kill().unwrap();
        reader.wait().unwrap();

        assert_eq!(digest(&redis), content);
        assert_eq!(redis.run(&["FCALL", "answer", "0"]).unwrap(), "42");
        assert_eq!((settings(&redis), role(&redis).as_str()), (before, "master"));
        redis.run(&["SET", "text", "writable again"]).unwrap();
        assert!(std::fs::read_dir(site.path("scratch")).unwrap().flatten().all(|e| e.path().is_dir()));
        assert!(!site.path("scratch/redis-restore").exists());

        // And once more, over what was just restored.
        agent.restore("r2", &backup).await;
        assert_eq!(digest(&redis), content);
    }
}

/// Moves money between accounts without end; the sum stays the same in every moment.
fn writer(redis: &Redis) -> Child {
    let script = "local n = redis.call('INCR', 'moves'); local from = n % 50; local to = (n * 7) % 50;
        redis.call('HINCRBY', 'accounts', from, -1); redis.call('HINCRBY', 'accounts', to, 1)";
    let mut client = redis.client();
    client.args(["-r", "-1", "EVAL", script, "0"]).stdout(Stdio::null()).stderr(Stdio::null());
    client.spawn().unwrap()
}

const SUM: &str =
    "local sum = 0; for _, v in ipairs(redis.call('HVALS', 'accounts')) do sum = sum + v end; return sum";

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_one_moment_while_a_writer_is_busy() {
    let redis = start(&[]);
    fill(&redis);
    redis.script("for n = 0, 49 do redis.call('HSET', 'accounts', n, 100) end").unwrap();
    let mut busy = writer(&redis);
    let moves = || redis.run(&["GET", "moves"]).unwrap().parse::<u64>().unwrap_or(0);
    while moves() < 100 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let site = site(&redis);
    let agent = Agent::start(&site).await;
    let slow = json!({"rate_limit_bytes_per_second": 1_000_000});
    let before = moves();
    let backup = agent.backup_with("b", slow).await;
    assert_eq!(backup.state, OperationState::Done, "{backup:?}");
    assert!(moves() > before, "the writer goes on during the backup");
    busy.kill().unwrap();
    busy.wait().unwrap();
    let after = moves();
    redis.run(&["HSET", "accounts", "0", "1000000"]).unwrap();
    agent.restore("r", &backup).await;
    assert_eq!(redis.script(SUM).unwrap(), "5000");
    assert!((100..after).contains(&moves()), "{} of {after}", moves());
}

#[tokio::test(flavor = "multi_thread")]
async fn restored_data_are_on_the_disk_of_a_server_that_keeps_them_there() {
    for persistence in [("save", "3600 1"), ("appendonly", "yes")] {
        let mut redis = start(&[persistence]);
        fill(&redis);
        let content = digest(&redis);
        let site = site(&redis);
        let agent = Agent::start(&site).await;
        let backup = agent.backup("b").await;
        spoil(&redis);
        // The child that wrote the backup may not be gone yet.
        while redis.run(&["SAVE"]).is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        agent.restore("r", &backup).await;
        redis.kill().unwrap();
        redis.resume().unwrap();
        assert_eq!(digest(&redis), content, "{persistence:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_told_without_the_password() {
    let redis = start(&[("requirepass", "right-secret")]);
    redis.run(&["ACL", "SETUSER", "reader", "on", ">reader-secret", "+@read", "~*"]).unwrap();
    for driver in [
        json!({"password": "wrong-secret"}),
        json!({"user": "nobody", "password": "right-secret"}),
        json!({}),
        json!({"user": "reader", "password": "reader-secret"}),
    ] {
        let mut site = site(&redis);
        site.config["driver"]["redis"] = merged(site.config["driver"]["redis"].clone(), driver.clone());
        let agent = Agent::start(&site).await;
        let (code, message) = error(agent.backup_with("b", json!({})).await);
        assert_eq!(code, "data_service_access_denied", "{driver}: {message}");
        assert!(!message.contains("-secret"), "{message}");
        assert!(site.stored().is_empty());
    }
    let mut site = site(&redis);
    site.config["driver"]["redis"]["password"] = json!("right-secret");
    redis.run(&["SET", "a", "1"]).unwrap();
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    redis.run(&["SET", "a", "2"]).unwrap();
    agent.restore("r", &backup).await;
    assert_eq!(redis.run(&["GET", "a"]).unwrap(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_or_dies_half_way_is_unreachable_and_nothing_is_stored() {
    for diskless in ["yes", "no"] {
        let mut redis = start(&[("repl-diskless-sync", diskless)]);
        // What does not fit into the buffers between it and us.
        let fill = "for n = 1, 300 do redis.call('SET', n, string.rep(tostring(math.random()), 8000)) end";
        redis.script(fill).unwrap();
        redis.run(&["CONFIG", "SET", "rdbcompression", "no"]).unwrap();
        let site = site(&redis);
        let agent = Agent::start(&site).await;
        let slow = json!({"rate_limit_bytes_per_second": 2_000_000});
        assert_eq!(agent.put("/v1/backups/b", merged(Client::backup_body(), slow)).await.status, 202);
        agent.running_until("/v1/backups/b", |status| status.bytes_read > 1_000_000).await;
        redis.kill().unwrap();
        let (code, message) = error(agent.ended("/v1/backups/b").await);
        assert_eq!(code, "data_service_unreachable", "{message}");
        let (code, message) = error(agent.backup_with("b2", json!({})).await);
        assert_eq!(code, "data_service_unreachable", "{message}");
        assert!(site.stored().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_server_program_is_told_before_anything_is_touched() {
    let redis = start(&[]);
    redis.run(&["SET", "a", "1"]).unwrap();
    let mut site = site(&redis);
    site.config["driver"]["redis"]["server_program"] = json!("/does/not/exist");
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    redis.run(&["SET", "a", "2"]).unwrap();
    let (code, message) = error(agent.restore_with("r", &backup, json!({})).await);
    assert_eq!(code, "program_missing", "{message}");
    assert_eq!(redis.run(&["GET", "a"]).unwrap(), "2");
}

/// A backup with any bytes as its stream.
pub(crate) async fn forged(site: &Site, id: &str, bytes: &[u8]) -> OperationStatus {
    let file = site.path("forged");
    std::fs::write(&file, bytes).unwrap();
    let mut other =
        Site::with_driver(json!({"command": {"backup": ["/bin/cat", file], "restore": ["/bin/cat"]}}));
    other.config["stores"] = site.config["stores"].clone();
    let agent = Agent::start(&other).await;
    let status = agent.backup(id).await;
    agent.stop().await;
    let metadata = site.path("store").join(format!("prefix/guid/{}/metadata.json", status.id));
    let text = std::fs::read_to_string(&metadata).unwrap();
    let renamed = text.replace("\"name\": \"command\"", "\"name\": \"redis\"");
    let renamed = renamed.replace("\"name\":\"command\"", "\"name\":\"redis\"");
    assert_ne!(renamed, text);
    std::fs::write(&metadata, renamed).unwrap();
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_does_not_load_never_reaches_the_running_server() {
    let redis = start(&[]);
    fill(&redis);
    let site = site(&redis);
    let snapshot = site.path("snapshot.rdb");
    let saved = redis.client().arg("--rdb").arg(&snapshot).output().unwrap();
    assert!(saved.status.success());
    let whole = std::fs::read(&snapshot).unwrap();
    redis.run(&["SET", "of-today", "1"]).unwrap();
    let content = digest(&redis);

    let mut newer = whole.clone();
    newer[5..9].copy_from_slice(b"0099");
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x55;
    flipped.push(0);
    let cases = [
        (newer, "data_service_version"),
        (whole[..whole.len() / 3].to_vec(), "bad_request"),
        (flipped, "bad_request"),
        (b"SQLite format 3".to_vec(), "bad_request"),
        (b"RED".to_vec(), "bad_request"),
    ];
    let agent = Agent::start(&site).await;
    for (number, (bytes, expected)) in cases.into_iter().enumerate() {
        let backup = forged(&site, &format!("forged-{number}"), &bytes).await;
        let (code, message) = error(agent.restore_with(&format!("r{number}"), &backup, json!({})).await);
        assert_eq!(code, expected, "{number}: {message}");
        assert_eq!((digest(&redis), role(&redis).as_str()), (content.clone(), "master"));
        assert!(!site.path("scratch/redis-restore").exists());
    }
    let backup = forged(&site, "forged-whole", &whole).await;
    agent.restore("good", &backup).await;
    assert_eq!(redis.run(&["EXISTS", "of-today"]).unwrap(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_cluster_nodes_and_too_little_memory_are_refused() {
    let redis = start(&[]);
    fill(&redis);
    let first = site(&redis);
    let agent = Agent::start(&first).await;
    let backup = agent.backup("b").await;

    redis.run(&["CONFIG", "SET", "maxmemory", "1mb"]).unwrap();
    let (_, message) = error(agent.restore_with("r1", &backup, json!({})).await);
    assert!(message.contains("maxmemory"), "{message}");
    redis.run(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();

    let port = redis.port().to_string();
    let replica = start(&[("replicaof", &format!("127.0.0.1 {port}"))]);
    let mut second = site(&replica);
    second.config["stores"] = first.config["stores"].clone();
    let (_, message) = error(Agent::start(&second).await.restore_with("r2", &backup, json!({})).await);
    assert!(message.contains(&format!("replica of 127.0.0.1:{port}")), "{message}");

    let node = start(&[("cluster-enabled", "yes")]);
    let third = site(&node);
    let (_, message) = error(Agent::start(&third).await.backup_with("b", json!({})).await);
    assert!(message.contains("Redis Cluster"), "{message}");
}

/// A server that loads so slowly that there is time to look and to kill, with the backup of other data.
async fn slow_exchange() -> (Redis, Site, OperationStatus, String) {
    let redis = start(&[]);
    fill(&redis);
    let site = site(&redis);
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    agent.stop().await;
    spoil(&redis);
    redis.run(&["CONFIG", "SET", "key-load-delay", "2000"]).unwrap();
    redis.run(&["CONFIG", "SET", "loading-process-events-interval-bytes", "1024"]).unwrap();
    redis.run(&["CONFIG", "SET", "masterauth", "of-the-owner"]).unwrap();
    let content = digest(&redis);
    (redis, site, backup, content)
}

async fn wait_for_loading(redis: &Redis) {
    for _ in 0..1000 {
        if redis.run(&["INFO", "persistence"]).unwrap().contains("loading:1") {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the server never loads");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_during_the_exchange_puts_the_server_back_at_its_return() {
    let (redis, site, backup, content) = slow_exchange().await;
    let before = settings(&redis);
    let agent = Process::start(&site).await;
    assert_eq!(agent.put("/v1/restores/r", Client::restore_body(&backup)).await.status, 202);
    wait_for_loading(&redis).await;
    // Nobody sees half of the data: the server answers that it is loading.
    assert!(redis.run(&["GET", "text"]).unwrap_err().to_string().contains("LOADING"));
    agent.kill();
    redis.run(&["CONFIG", "GET", "masterauth"]).unwrap();
    assert_eq!(role(&redis), "slave");

    let agent = Process::start(&site).await;
    let ended = agent.get("/v1/restores/r").await.operation();
    assert_eq!(error(ended).0, "interrupted");
    assert_eq!((role(&redis).as_str(), settings(&redis)), ("master", before));
    assert_eq!(digest(&redis), content);
    redis.run(&["SET", "text", "writable again"]).unwrap();
    assert!(!site.path("scratch/redis-restore.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_that_was_complete_when_the_agent_was_killed_stays_complete() {
    let (old, new) = (start(&[]), start(&[]));
    fill(&new);
    let content = digest(&new);
    let site = site(&old);
    let info = old.run(&["INFO", "replication"]).unwrap();
    let id = info.lines().find_map(|line| line.strip_prefix("master_replid:")).unwrap().trim().to_owned();
    // As the agent leaves it when it dies between the transfer and its last command.
    let record = json!({"address": "127.0.0.1", "port": new.port(), "replication_id": id,
        "settings": [["repl-diskless-load", "disabled"], ["masterauth", "of-the-owner"]]});
    std::fs::write(site.path("scratch/redis-restore.json"), record.to_string()).unwrap();
    old.run(&["CONFIG", "SET", "repl-diskless-load", "swapdb"]).unwrap();
    old.run(&["REPLICAOF", "127.0.0.1", &new.port().to_string()]).unwrap();
    while !old.run(&["INFO", "replication"]).unwrap().contains("master_link_status:up") {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    drop(new);
    let _agent = Agent::start(&site).await;
    assert_eq!((role(&old).as_str(), digest(&old)), ("master", content));
    assert!(settings(&old).contains("of-the-owner"));
    assert!(!site.path("scratch/redis-restore.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_during_the_exchange_is_waited_for_and_nothing_is_claimed() {
    let (mut redis, site, backup, _) = slow_exchange().await;
    let agent = Agent::start(&site).await;
    assert_eq!(agent.put("/v1/restores/r", Client::restore_body(&backup)).await.status, 202);
    wait_for_loading(&redis).await;
    redis.kill().unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    assert_eq!(agent.get("/v1/restores/r").await.operation().state, OperationState::Running);
    redis.resume().unwrap();
    let (code, message) = error(agent.ended("/v1/restores/r").await);
    assert_eq!(code, "data_service_unreachable", "{message}");
    assert_eq!(role(&redis), "master");
    assert!(!site.path("scratch/redis-restore").exists());
}
