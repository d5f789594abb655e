//! Processes of an installation are started, heard, killed and started again; secrets are for their owner only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use local_installation::{Certificates, Daemon, write_private};

const PATIENCE: Duration = Duration::from_secs(10);

fn shell(script: &str, logs: &Path) -> Daemon {
    Daemon::new("shell", Path::new("/bin/sh"), &["-c", script], logs)
}

#[test]
fn a_killed_daemon_can_be_started_again_and_its_log_goes_on() {
    let logs = tempfile::tempdir().unwrap();
    let mut daemon = shell("echo \"hello $WHO\"; exec sleep 60", logs.path());
    daemon.set_environment("WHO", "world");
    daemon.start().unwrap();
    daemon.wait_for_log("hello world", PATIENCE).unwrap();
    assert!(daemon.start().is_err());
    let first = daemon.pid().unwrap();
    daemon.kill().unwrap();
    assert!(!daemon.is_running().unwrap());
    daemon.start().unwrap();
    assert_ne!(daemon.pid().unwrap(), first);
    daemon.wait_until("heard twice", PATIENCE, |daemon| daemon.log().matches("hello").count() == 2).unwrap();
    assert_eq!(daemon.terminate(PATIENCE).unwrap().signal(), Some(15));
}

#[test]
fn a_daemon_that_ends_early_fails_the_wait_with_its_last_words() {
    let logs = tempfile::tempdir().unwrap();
    let mut daemon = shell("echo 'no such file' >&2; exit 78", logs.path());
    daemon.start().unwrap();
    let error = daemon.wait_for_log("ready", PATIENCE).unwrap_err().to_string();
    assert!(error.contains("no such file"), "{error}");
    assert_eq!(daemon.wait(PATIENCE).unwrap().code(), Some(78));
}

#[test]
fn a_daemon_that_ignores_sigterm_is_an_error_and_ends_nevertheless() {
    let logs = tempfile::tempdir().unwrap();
    let mut daemon = shell("trap '' TERM; echo ready; while :; do sleep 1; done", logs.path());
    daemon.start().unwrap();
    daemon.wait_for_log("ready", PATIENCE).unwrap();
    assert!(daemon.terminate(Duration::from_millis(200)).is_err());
    assert!(!daemon.is_running().unwrap());
}

#[test]
fn a_paused_daemon_does_nothing_until_it_goes_on_and_can_be_killed_and_asked_to_stop() {
    let state = |daemon: &Daemon| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.pid().unwrap())).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
    };
    let logs = tempfile::tempdir().unwrap();
    let mut daemon = shell("trap 'echo bye; exit 0' TERM; echo ready; while :; do :; done", logs.path());
    assert!(daemon.pause().is_err());
    daemon.start().unwrap();
    daemon.wait_for_log("ready", PATIENCE).unwrap();
    daemon.pause().unwrap();
    daemon.wait_until("stopped", PATIENCE, |daemon| state(daemon) == 'T').unwrap();
    daemon.resume().unwrap();
    daemon.wait_until("going on", PATIENCE, |daemon| state(daemon) == 'R').unwrap();
    daemon.pause().unwrap();
    assert!(daemon.is_paused());
    assert!(daemon.terminate(PATIENCE).unwrap().success());
    assert!(daemon.log().contains("bye"));
    daemon.start().unwrap();
    daemon.pause().unwrap();
    daemon.kill().unwrap();
    assert!(!daemon.is_paused() && daemon.pid().is_none());
}

#[test]
fn keys_and_configuration_are_readable_by_their_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let certificates = Certificates::generate(directory.path()).unwrap();
    let secret = directory.path().join("secret");
    write_private(&secret, "x").unwrap();
    for file in [&certificates.key, &secret] {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(
        std::fs::read_to_string(&certificates.authority).unwrap().starts_with("-----BEGIN CERTIFICATE-----")
    );
}
