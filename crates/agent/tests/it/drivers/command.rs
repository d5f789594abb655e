//! The operator's own programs: a small data service of one file, with `cat` as its tools.

use std::os::unix::fs::PermissionsExt;

use backup_protocol::{OperationState, OperationStatus};
use serde_json::{Value, json};

use crate::harness::{Agent, Client, Process, Site, merged};

/// A shell script of the operator's.
fn script(site: &Site, name: &str, text: &str) -> Value {
    let path = site.path(name);
    std::fs::write(&path, format!("#!/bin/sh\nset -eu\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    json!([path, site.data()])
}

/// The data are one file, loaded as `fresh` and renamed in the end.
fn site() -> Site {
    let mut site = Site::with_driver(json!({}));
    site.config["driver"] = json!({"command": {
        "backup": script(&site, "backup", "test \"$PASSWORD\" = secret; cat \"$1/content\""),
        "restore": script(&site, "restore", "cat > \"$1/fresh\"; echo \"$BACKUP_AGENT_RESTORE\" > \"$1/ended\""),
        "commit": script(&site, "commit", "mv \"$1/fresh\" \"$1/content\""),
        "discard": script(&site, "discard", "rm -f \"$1/fresh\"; echo \"$BACKUP_AGENT_RESTORE\" >> \"$1/discarded\""),
        "estimate": script(&site, "estimate", "stat -c %s \"$1/content\""),
        "version": script(&site, "version", "echo '1.2.3'; echo 'some warning' >&2"),
        "environment": {"COLOUR": "blue"},
        "secret_environment": {"PASSWORD": "secret"},
    }});
    site.write("content", content());
    site
}

fn content() -> Vec<u8> {
    (0..800_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

fn read(site: &Site, name: &str) -> Option<Vec<u8>> {
    std::fs::read(site.data().join(name)).ok()
}

fn error(status: OperationStatus) -> (OperationState, String, String) {
    let error = status.error.unwrap();
    (status.state, error.code, error.message)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_backup_program_writes_is_what_the_restore_program_reads() {
    let site = site();
    let agent = Agent::start(&site).await;
    let info = agent.get("/v1/info").await;
    assert_eq!(info.body["data_service_version"], json!("1.2.3"));
    let backup = agent.backup("b").await;
    assert_eq!(backup.total_bytes_estimate, Some(3_200_000));
    site.write("content", "spoilt");
    agent.restore("r", &backup).await;
    assert_eq!(read(&site, "content").unwrap(), content());
    assert_eq!(read(&site, "ended").unwrap(), b"r\n");
    assert_eq!((read(&site, "fresh"), read(&site, "discarded")), (None, None));
    assert!(!site.path("scratch/command-restore.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_output_is_a_backup_as_well() {
    let site = site();
    site.write("content", "");
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    site.write("content", "spoilt");
    agent.restore("r", &backup).await;
    assert_eq!(read(&site, "content").unwrap(), b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_fails_after_its_output_fails_the_backup_without_telling_secrets() {
    let mut site = site();
    let text = "cat \"$1/content\"; echo \"no luck with $PASSWORD: No space left on device\" >&2; exit 3";
    site.config["driver"]["command"]["backup"] = script(&site, "backup", text);
    let agent = Agent::start(&site).await;
    let (state, code, message) = error(agent.backup_with("b", json!({})).await);
    assert_eq!((state, code.as_str()), (OperationState::Failed, "disk_full"), "{message}");
    assert!(message.contains("exit code 3") && message.contains("no luck"), "{message}");
    assert!(!message.contains("secret"), "{message}");
    assert!(site.stored().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_killed_half_way_fails_the_backup() {
    let mut site = site();
    let text = "head -c 2000000 \"$1/content\"; kill -9 $$";
    site.config["driver"]["command"]["backup"] = script(&site, "backup", text);
    let agent = Agent::start(&site).await;
    let (state, code, message) = error(agent.backup_with("b", json!({})).await);
    assert_eq!((state, code.as_str()), (OperationState::Failed, "data_service_error"), "{message}");
    assert!(site.stored().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_not_there_is_missing_from_the_start_and_later() {
    let site = site();
    let agent = Agent::start(&site).await;
    std::fs::remove_file(site.path("backup")).unwrap();
    let (_, code, message) = error(agent.backup_with("b", json!({})).await);
    assert_eq!(code, "program_missing", "{message}");
    agent.stop().await;
    let config = serde_json::from_value(site.config.clone()).unwrap();
    let refused = format!("{:?}", backup_agent::serve(config).await.err().unwrap());
    assert!(refused.contains("there is no program"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_fails_is_discarded_and_the_data_stay() {
    for (part, text) in [
        ("restore", "head -c 1000 > \"$1/fresh\"; echo 'access denied' >&2; exit 1"),
        ("restore", "head -c 1000 > \"$1/fresh\""),
        ("restore", "cat > \"$1/fresh\"; echo 'access denied' >&2; exit 1"),
        ("commit", "echo 'access denied' >&2; exit 1"),
    ] {
        let mut site = site();
        let agent = Agent::start(&site).await;
        let backup = agent.backup("b").await;
        agent.stop().await;
        site.config["driver"]["command"][part] = script(&site, part, text);
        site.write("content", "of today");
        let agent = Agent::start(&site).await;
        let (state, code, message) = error(agent.restore_with("r", &backup, json!({})).await);
        assert_eq!(state, OperationState::Failed);
        match text.contains("denied") {
            true => assert_eq!(code, "data_service_access_denied", "{text}: {message}"),
            false => assert!(message.contains("before the end of its input"), "{message}"),
        }
        assert_eq!(read(&site, "content").unwrap(), b"of today");
        assert_eq!((read(&site, "fresh"), read(&site, "discarded").unwrap()), (None, b"r\n".to_vec()));
    }
}

/// The rest fits the pipe, so that nothing but the program's end tells.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_program_that_leaves_the_end_of_a_small_backup_unread_has_failed() {
    for text in ["head -c 2 > \"$1/fresh\"", "head -c 2 > \"$1/fresh\"; sleep 2", "exit 0"] {
        let mut site = site();
        site.write("content", "of yesterday");
        let agent = Agent::start(&site).await;
        let backup = agent.backup("b").await;
        agent.stop().await;
        site.config["driver"]["command"]["restore"] = script(&site, "restore", text);
        site.write("content", "of today");
        let agent = Agent::start(&site).await;
        let (state, _, message) = error(agent.restore_with("r", &backup, json!({})).await);
        assert_eq!(state, OperationState::Failed);
        assert!(message.contains("before the end of its input"), "{text}: {message}");
        assert_eq!(read(&site, "content").unwrap(), b"of today");
    }
}

/// A daemon in a session of its own, which nobody but the test ends.
const DAEMON: &str = "setsid sh -c 'echo $$ > \"$0/daemon\"; exec sleep 600' \"$1\"";

fn end_daemon(site: &Site) {
    let pid = String::from_utf8(read(site, "daemon").unwrap()).unwrap();
    let pid = nix::unistd::Pid::from_raw(pid.trim().parse().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_inherits_standard_error_or_an_answer_holds_nothing_up() {
    let mut site = site();
    let wait = "while ! test -s \"$1/daemon\"; do sleep 0.1; done";
    let text = format!("{DAEMON} > /dev/null & {wait}; cat > \"$1/fresh\"");
    site.config["driver"]["command"]["restore"] = script(&site, "restore", &text);
    let agent = Agent::start(&site).await;
    let backup = agent.backup("b").await;
    site.write("content", "spoilt");
    agent.restore("r", &backup).await;
    assert_eq!(read(&site, "content").unwrap(), content());
    end_daemon(&site);
    agent.stop().await;

    std::fs::remove_file(site.data().join("daemon")).unwrap();
    let text = format!("{DAEMON} & {wait}; echo 1.2.3");
    site.config["driver"]["command"]["version"] = script(&site, "version", &text);
    let agent = Agent::start(&site).await;
    assert_eq!(agent.backup("b2").await.state, OperationState::Done);
    end_daemon(&site);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_whose_output_somebody_keeps_open_fails_because_it_may_be_incomplete() {
    let mut site = site();
    let wait = "while ! test -s \"$1/daemon\"; do sleep 0.1; done";
    let text = format!("cat \"$1/content\"; {DAEMON} & {wait}");
    site.config["driver"]["command"]["backup"] = script(&site, "backup", &text);
    let agent = Agent::start(&site).await;
    let (state, _, message) = error(agent.backup_with("b", json!({})).await);
    assert_eq!(state, OperationState::Failed);
    assert!(message.contains("keeps its output open"), "{message}");
    end_daemon(&site);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_discard_has_begun_to_remove_is_never_put_in_use() {
    let mut site = site();
    for part in ["commit", "discard"] {
        site.config["driver"]["command"][part] = script(&site, part, "exit 1");
    }
    site.write("fresh", "loaded");
    let record = json!({"restore": "r", "is_loaded": true});
    std::fs::write(site.path("scratch/command-restore.json"), record.to_string()).unwrap();
    let agent = Agent::start(&site).await;
    agent.stop().await;
    let left = std::fs::read(site.path("scratch/command-restore.json")).unwrap();
    let left: Value = serde_json::from_slice(&left).unwrap();
    assert_eq!(left, json!({"restore": "r", "is_loaded": false}));
}

/// A restore that reads its input slowly, so that there is time to kill somebody.
async fn half_way(site: &mut Site) -> (Process, OperationStatus) {
    let agent = Agent::start(site).await;
    let backup = agent.backup("b").await;
    agent.stop().await;
    // The program's own reading ends in `ended` only at the end of input.
    let text = "echo x > \"$1/begun\"; while read -r _; do sleep 1; done; echo whole > \"$1/ended\"";
    site.config["driver"]["command"]["restore"] = script(site, "restore", text);
    site.write("content", "of today");
    let agent = Process::start(site).await;
    assert_eq!(agent.put("/v1/restores/r", Client::restore_body(&backup)).await.status, 202);
    while read(site, "begun").is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    (agent, backup)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_never_looks_like_the_end_of_input_and_its_restore_is_discarded() {
    let mut site = site();
    let (agent, _) = half_way(&mut site).await;
    agent.kill();
    let agent = Process::start(&site).await;
    let (state, code, _) = error(agent.get("/v1/restores/r").await.operation());
    assert_eq!((state, code.as_str()), (OperationState::Failed, "interrupted"));
    assert_eq!(read(&site, "content").unwrap(), b"of today");
    assert_eq!(read(&site, "discarded").unwrap(), b"r\n");
    assert_eq!(read(&site, "ended"), None);
    assert!(!site.path("scratch/command-restore.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_restore_is_killed_and_discarded() {
    let mut site = site();
    let (agent, _) = half_way(&mut site).await;
    assert_eq!(agent.delete("/v1/restores/r").await.operation().state, OperationState::Cancelled);
    assert_eq!(read(&site, "content").unwrap(), b"of today");
    assert_eq!(read(&site, "discarded").unwrap(), b"r\n");
    assert_eq!(read(&site, "ended"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_whose_exchange_was_interrupted_is_completed() {
    let site = site();
    site.write("fresh", "loaded");
    let record = json!({"restore": "r", "is_loaded": true});
    std::fs::write(site.path("scratch/command-restore.json"), record.to_string()).unwrap();
    let agent = Agent::start(&site).await;
    assert_eq!(read(&site, "content").unwrap(), b"loaded");
    assert!(!site.path("scratch/command-restore.json").exists());
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_backups_until_an_interrupted_restore_is_ended() {
    let mut site = site();
    let text = "test -e \"$1/may\"; mv \"$1/fresh\" \"$1/content\"";
    site.config["driver"]["command"]["commit"] = script(&site, "commit", text);
    site.config["driver"]["command"]["discard"] = script(&site, "discard", "test -e \"$1/may\"");
    site.write("fresh", "loaded");
    let record = json!({"restore": "r", "is_loaded": true});
    std::fs::write(site.path("scratch/command-restore.json"), record.to_string()).unwrap();
    let agent = Agent::start(&site).await;
    let (_, code, message) = error(agent.backup_with("b", json!({})).await);
    assert_eq!(code, "data_service_error", "{message}");
    assert!(message.contains("interrupted restore"), "{message}");
    assert!(site.stored().is_empty());
    site.write("may", "");
    agent.backup("b2").await;
    // The commit failed once, so the restore is being undone, and no later commit may run on what is left of it.
    assert!(read(&site, "content").unwrap() != b"loaded");
    assert!(!site.path("scratch/command-restore.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_backup_kills_its_program() {
    let mut site = site();
    let text = "echo $$ > \"$1/pid\"; head -c 1000000 \"$1/content\"; exec sleep 600";
    site.config["driver"]["command"]["backup"] = script(&site, "backup", text);
    let agent = Agent::start(&site).await;
    assert_eq!(agent.put("/v1/backups/b", merged(Client::backup_body(), json!({}))).await.status, 202);
    agent.running_until("/v1/backups/b", |status| status.bytes_read > 900_000).await;
    assert_eq!(agent.delete("/v1/backups/b").await.operation().state, OperationState::Cancelled);
    let pid = String::from_utf8(read(&site, "pid").unwrap()).unwrap();
    assert!(!std::path::Path::new("/proc").join(pid.trim()).exists());
}
