//! How the daemons start, refuse to start, and stop: messages and exit codes.

use std::process::Output;
use std::time::Duration;

use backup_testkit::{Database, Plan};
use backup_tests::Client;
use local_installation::{Installation, Programs};
use serde_json::json;

use crate::house::{House, Pretender, quick};

fn run(program: &str, arguments: &[&str]) -> Output {
    let path = Programs::beside_this_one().unwrap().find(program).unwrap();
    std::process::Command::new(path).args(arguments).env_remove("BACKUP_MANAGER_LOG").output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout)
}

/// Prepares an installation with one setting changed; returns the path of its configuration.
fn prepared(setting: &str, value: serde_json::Value) -> (Installation, String) {
    let plan = quick("postgres://postgres@127.0.0.1:9/none")
        .setting("database.connect_timeout", "1s")
        .setting(setting, value);
    let installation = Installation::prepare(&plan.broker(Pretender::new().broker("inventory"))).unwrap();
    let file = installation.manager_file().display().to_string();
    (installation, file)
}

#[test]
fn a_wrong_configuration_stops_every_daemon_with_the_key_what_was_found_and_what_is_allowed() {
    let cases = [
        (
            "workers",
            json!([{"queues": "backup_all_job, backups"}]),
            "workers[0].queues",
            "backup_deleter_job",
        ),
        ("workers", json!([{"count": 0}]), "workers[0].count", "1"),
        ("min_backup_age", json!(-1), "min_backup_age", "0"),
        ("full_backup_repeat", json!("61 * * * *"), "full_backup_repeat", "cron"),
        ("no_such_key", json!(1), "no_such_key", ""),
    ];
    for (key, value, path, allowed) in cases {
        let (_installation, file) = prepared(key, value);
        for program in ["backup-manager-api", "backup-manager-worker"] {
            let output = run(program, &["--config", &file]);
            let text = said(&output);
            assert_eq!(output.status.code(), Some(78), "{program}, {key}: {text}");
            assert!(text.contains(path) && text.contains(allowed), "{program}, {key}: {text}");
        }
        let output = run("backup-manager-api", &["check-config", "--config", &file]);
        assert_eq!(output.status.code(), Some(78), "{}", said(&output));
    }
}

#[test]
fn an_unknown_queue_or_group_on_the_command_line_is_named() {
    let (_installation, file) = prepared("min_backup_age", json!(7));
    let output = run("backup-manager-worker", &["--config", &file, "--queues", "backup_all_job, nonsense"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(
        said(&output).contains("nonsense") && said(&output).contains("restore_watcher_job"),
        "{}",
        said(&output)
    );
    let output = run("backup-manager-worker", &["--config", &file, "--group", "9"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(said(&output).contains("1 to 4"), "{}", said(&output));
}

#[test]
fn an_unreachable_postgres_at_the_start_ends_with_69() {
    let (_installation, file) = prepared("min_backup_age", json!(7));
    for program in ["backup-manager-api", "backup-manager-worker"] {
        let output = run(program, &["--config", &file]);
        assert_eq!(output.status.code(), Some(69), "{program}: {}", said(&output));
        assert!(said(&output).contains("database"), "{program}: {}", said(&output));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_refused_and_an_unserved_queue_is_named_by_health() {
    let pretender = Pretender::new();
    let database = Database::empty().unwrap();
    let plan = pretender
        .plan(quick(&database.url()), &["i-1"])
        .worker_groups(&[(Some("backup_all_job, backup_agent_backups"), 1)]);
    let mut installation = Installation::prepare(&plan).unwrap();
    installation.start_api().unwrap();
    installation.start_workers().unwrap();
    let url = installation.http_url();
    let stranger = Client::new(&url, "admin", "wrong").unwrap();
    let (status, body) = stranger.send(reqwest::Method::GET, "/instances", None).await.unwrap();
    assert_eq!(status, 401, "{body}");
    let health = stranger.send(reqwest::Method::GET, "/v2/healthy", None).await.unwrap();
    assert_eq!(health.0, 503);
    assert!(health.1.to_string().contains("backup_deleter_job"), "{}", health.1);
    installation.workers[0].wait_for_log("no worker group", Duration::from_secs(20)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_every_daemon_in_time_with_0_and_hands_running_jobs_back() {
    let pretender = Pretender::new();
    let mut house = House::start(|plan| pretender.plan(plan, &["i-1"]), 1).await;
    pretender.agent.plan(Plan::running());
    let id = house.api.request_backup("i-1").await.unwrap();
    house
        .api
        .wait(&format!("/instances/i-1/backups/{id}"), |backup| backup["status"] == "running")
        .await
        .unwrap();
    for worker in &mut house.installation.workers {
        let status = worker.terminate(Duration::from_secs(20)).unwrap();
        assert_eq!(status.code(), Some(0), "{}", worker.log_tail(20));
    }
    let status = house.installation.api.terminate(Duration::from_secs(20)).unwrap();
    assert_eq!(status.code(), Some(0), "{}", house.installation.api.log_tail(20));
    assert_eq!(house.value("SELECT count(*) FROM jobs WHERE state = 'running'"), "0");
    assert_eq!(house.value("SELECT status FROM backups"), "running");
}
