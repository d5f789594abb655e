//! Backups in a store across the network, and the command that checks stores.

use std::process::{Command, Output};

use backup_protocol::OperationState;
use private_stores::{Proxy, S3Server};
use rand::RngCore as _;
use serde_json::{Value, json};

use crate::harness::{Agent, Client, Process, Site, merged};

const CHUNK: usize = 5 * 1024 * 1024;

fn s3(url: &str) -> Value {
    json!({"main": {
        "kind": "s3", "bucket": S3Server::BUCKET, "endpoint": url, "path_style": true, "allow_http": true,
        "prefix": "agents", "access_key_id": S3Server::KEY_ID, "secret_access_key": S3Server::SECRET,
    }})
}

/// A site with data that cannot be compressed.
fn site(url: &str, size: usize) -> (Site, Vec<u8>) {
    let site = Site::files().set("stores", s3(url)).set("chunk_size", json!(CHUNK));
    let mut data = vec![0; size];
    rand::rng().fill_bytes(&mut data);
    site.write("folder/data", &data);
    (site, data)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_in_s3_survives_broken_connections_and_restores() {
    let server = S3Server::start().await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let (site, data) = site(&format!("http://{}", proxy.address()), 33_000_000);
    let agent = Agent::start(&site).await;
    proxy.cut_up(&[12_000_000, 9_000_000]);
    proxy.cut_down(&[20_000_000]);
    let backup = agent.backup_with("b", json!({"part_size_limit": 17_000_000})).await;
    assert_eq!(backup.state, OperationState::Done, "{backup:?}");
    assert!(backup.parts.len() > 1);
    assert!(server.bucket_directory().join("agents/prefix/guid/b/data.00001").exists());
    std::fs::remove_dir_all(site.data().join("folder")).unwrap();
    agent.restore("r", &backup).await;
    assert!(std::fs::read(site.data().join("folder/data")).unwrap() == data);
    assert_eq!(proxy.cuts(), 3);
    assert_eq!(server.unfinished_pieces().unwrap(), 0);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_was_killed_in_the_middle_of_an_upload_leaves_nothing_in_s3() {
    let server = S3Server::start().await.unwrap();
    let (site, _) = site(&server.url(), 40_000_000);
    let agent = Process::start(&site).await;
    let slow = json!({"rate_limit_bytes_per_second": 8_000_000});
    assert_eq!(agent.put("/v1/backups/b", merged(Client::backup_body(), slow)).await.status, 202);
    agent.running_until("/v1/backups/b", |_| server.unfinished_pieces().unwrap() > 2).await;
    agent.kill();
    assert!(server.unfinished_pieces().unwrap() > 0, "the kill must come in the middle");

    let agent = Process::start(&site).await;
    let ended = agent.get("/v1/backups/b").await.operation();
    assert_eq!((ended.state, ended.error.unwrap().code.as_str()), (OperationState::Failed, "interrupted"));
    assert_eq!(server.unfinished_pieces().unwrap(), 0);
    assert!(!server.bucket_directory().join("agents/prefix/guid/b/owner").exists());
    let journal = std::fs::read_dir(site.path("scratch").join("operations")).unwrap();
    let mut names = journal.map(|file| file.unwrap().file_name().into_string().unwrap());
    assert!(!names.any(|name| name.ends_with(".upload")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_backup_leaves_no_unfinished_upload() {
    let server = S3Server::start().await.unwrap();
    let (site, _) = site(&server.url(), 40_000_000);
    let agent = Agent::start(&site).await;
    let slow = json!({"rate_limit_bytes_per_second": 8_000_000});
    assert_eq!(agent.put("/v1/backups/b", merged(Client::backup_body(), slow)).await.status, 202);
    agent.running_until("/v1/backups/b", |_| server.unfinished_pieces().unwrap() > 2).await;
    assert_eq!(agent.delete("/v1/backups/b").await.status, 200);
    assert_eq!(agent.ended("/v1/backups/b").await.state, OperationState::Cancelled);
    assert_eq!(server.unfinished_pieces().unwrap(), 0);
    agent.stop().await;
}

async fn check(site: &Site, arguments: &[&str]) -> Output {
    let file = site.path("backup-agent.yml");
    std::fs::write(&file, site.config.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_backup-agent"));
    command.arg("check").arg("--config").arg(&file).args(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_tells_a_person_and_a_program_what_works() {
    let server = S3Server::start().await.unwrap();
    let (site, _) = site(&server.url(), 1);
    let well = check(&site, &[]).await;
    let said = String::from_utf8(well.stdout).unwrap();
    assert_eq!(well.status.code(), Some(0), "{said}");
    assert!(said.contains("store main (s3)\n  open                  passed"), "{said}");
    assert!(said.contains("data service (files)"), "{said}");

    let mut stores = s3(&server.url());
    stores["main"]["secret_access_key"] = json!("quite-wrong");
    let ill = check(&site.set("stores", stores), &["--output", "json"]).await;
    assert_eq!(ill.status.code(), Some(1));
    let (text, complaint) = (String::from_utf8(ill.stdout).unwrap(), String::from_utf8(ill.stderr).unwrap());
    assert!(!text.contains("quite-wrong") && !complaint.contains("quite-wrong"), "{text}{complaint}");
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["is_healthy"], json!(false));
    let write =
        report["stores"][0]["steps"].as_array().unwrap().iter().find(|step| step["name"] == "write").unwrap();
    assert_eq!(write["outcome"], "failed");
    assert!(write["problem"].as_str().unwrap().contains("signature is wrong"), "{write}");
}
