//! The program: killed, terminated, misconfigured.

use std::process::Command;

use backup_protocol::OperationState;
use serde_json::json;

use crate::harness::{Client, Process, Site, merged};

fn slow_site() -> Site {
    let site = Site::files();
    site.write(
        "random",
        (0..600_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect::<Vec<_>>(),
    );
    site
}

async fn start_slow_backup(agent: &Process) {
    let slow = json!({"rate_limit_bytes_per_second": 600_000, "part_size_limit": 65_536});
    let answer = agent.put("/v1/backups/b", merged(Client::backup_body(), slow)).await;
    assert_eq!(answer.status, 202);
    agent.running_until("/v1/backups/b", |status| status.parts.len() > 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_reports_interrupted_and_has_cleaned_up() {
    let site = slow_site();
    let agent = Process::start(&site).await;
    start_slow_backup(&agent).await;
    agent.kill();
    assert!(!site.stored().is_empty(), "the kill must come in the middle");

    let agent = Process::start(&site).await;
    let ended = agent.get("/v1/backups/b").await.operation();
    assert_eq!((ended.state, ended.error.unwrap().code.as_str()), (OperationState::Failed, "interrupted"));
    assert!(site.stored().is_empty(), "{:?}", site.stored());
    let repeat = agent.put("/v1/backups/b", Client::backup_body()).await;
    assert_eq!(
        (repeat.status, repeat.operation().state),
        (200, OperationState::Failed),
        "never a second run"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminated_agent_ends_cleanly() {
    let site = slow_site();
    let agent = Process::start(&site).await;
    start_slow_backup(&agent).await;
    assert_eq!(agent.terminate(), Some(0));
    assert!(site.stored().is_empty());
}

#[test]
fn check_config_names_every_mistake() {
    let site = Site::files().set("concurrency", json!(0)).set("colour", json!("red"));
    let file = site.path("bad.yml");
    std::fs::write(&file, site.config.to_string()).unwrap();
    let check = |file: &std::path::Path| {
        Command::new(env!("CARGO_BIN_EXE_backup-agent"))
            .args(["check-config", "--config"])
            .arg(file)
            .output()
            .unwrap()
    };
    let output = check(&file);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{text}");
    assert!(text.contains("colour"), "{text}");

    let good = site.path("good.yml");
    std::fs::write(&good, Site::files().config.to_string()).unwrap();
    assert_eq!(check(&good).status.code(), Some(0));
    assert_eq!(check(&site.path("absent.yml")).status.code(), Some(78));
}

#[test]
fn the_example_configuration_is_valid() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/backup-agent.example.yml");
    let text = std::fs::read_to_string(example).unwrap();
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "secret").unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let secrets = ["/etc/backup-agent/credential", "/etc/backup-agent/postgresql-password"];
    let text = secrets.iter().fold(text, |text, path| text.replace(path, secret.path().to_str().unwrap()));
    std::fs::write(file.path(), text).unwrap();
    backup_agent::Config::load(file.path()).unwrap();
}

#[test]
fn the_stores_that_the_examples_show_in_comments_are_valid() {
    for name in ["backup-agent", "backup-manager"] {
        let example = format!("{}/../../deploy/{name}.example.yml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(example).unwrap();
        let (_, section) = text.split_once("\nstores:").unwrap();
        let entries = section.lines().skip(1).take_while(|line| line.starts_with("  "));
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "secret").unwrap();
        let mut stores = String::from("stores:\n");
        for line in entries {
            let line = line.strip_prefix("  # ").map_or(line.to_owned(), |shown| format!("  {shown}"));
            let line = match line.split_once("_file: ") {
                Some((key, _)) => format!("{key}_file: {}", secret.path().display()),
                None => line,
            };
            stores.push_str(&line);
            stores.push('\n');
        }
        let site = Site::files();
        let mut config = site.config.clone();
        config.as_object_mut().unwrap().remove("stores");
        let others: String =
            config.as_object().unwrap().iter().map(|(key, value)| format!("{key}: {value}\n")).collect();
        let file = site.path("shown.yml");
        std::fs::write(&file, format!("{others}{stores}")).unwrap();
        let read = backup_agent::Config::load(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        let kinds: Vec<_> = read.stores.values().map(backup_objects::StoreConfig::kind).collect();
        assert_eq!(kinds, ["azure", "gcs", "s3", "local"], "{name}");
    }
}
