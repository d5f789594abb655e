//! A primary and its synchronous standby: nothing committed is lost, whichever of them dies.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::path::PathBuf;
use std::process::{Command, Stdio};

use private_postgres::pair::Pair;
use private_postgres::{Options, Server};

/// Through the URL with both hosts, as a daemon connects.
fn through_url(pair: &Pair, sql: &str) -> Result<String, String> {
    let output = Command::new(pair.primary().bin_directory().join("psql"))
        .args([&pair.url("manager"), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-c", sql])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Writes rows until the server dies and returns the last one that was acknowledged.
fn write_until_it_dies(server: &Server) -> (std::thread::JoinHandle<i64>, std::sync::mpsc::Receiver<()>) {
    let url = server.url("manager");
    let psql = server.bin_directory().join("psql");
    let (sender, has_begun) = std::sync::mpsc::channel();
    let writer = std::thread::spawn(move || {
        let mut last = 0;
        loop {
            let sql = format!("INSERT INTO t VALUES ({})", last + 1);
            let output = Command::new(&psql).args([url.as_str(), "-X", "-q", "-c", &sql]).output().unwrap();
            if !output.status.success() {
                return last;
            }
            last += 1;
            sender.send(()).unwrap_or_default();
        }
    });
    (writer, has_begun)
}

#[test]
fn what_was_committed_before_the_primary_died_is_there_after_failing_over_and_back() {
    let mut pair = Pair::start(Options::default()).unwrap();
    pair.create_database("manager").unwrap();
    let url = pair.url("manager");
    through_url(&pair, "CREATE TABLE t (n bigint PRIMARY KEY)").unwrap();
    let first_port = pair.primary().port();
    let (writer, has_begun) = write_until_it_dies(pair.primary());
    has_begun.iter().take(5).for_each(drop);

    pair.fail_over().unwrap();
    let last = writer.join().unwrap();
    assert!(last >= 5);
    let found: i64 = through_url(&pair, "SELECT max(n) FROM t").unwrap().parse().unwrap();
    // One more may have been committed without an answer.
    assert!(found == last || found == last + 1, "{last} was acknowledged, {found} is there");
    assert_ne!(pair.primary().port(), first_port);
    assert!(pair.standby().is_none());
    through_url(&pair, "INSERT INTO t VALUES (1000001)").unwrap();
    assert!(pair.fail_over().is_err(), "there is nobody to fail over to");

    pair.rebuild_standby().unwrap();
    through_url(&pair, "INSERT INTO t VALUES (1000002)").unwrap();
    pair.fail_over().unwrap();
    assert_eq!(pair.primary().port(), first_port);
    assert_eq!(through_url(&pair, "SELECT count(*) FROM t WHERE n > 1000000").unwrap(), "2");
    assert_eq!(pair.url("manager"), url);
}

#[test]
fn a_commit_waits_for_the_standby_and_the_primary_works_alone_when_that_is_known_dead() {
    let mut pair = Pair::start(Options::default()).unwrap();
    let state = "SELECT sync_state || ' ' || application_name FROM pg_stat_replication";
    assert_eq!(pair.psql("postgres", state).unwrap(), "sync standby");
    pair.kill_standby().unwrap();
    pair.psql("postgres", "CREATE TABLE t (n int); INSERT INTO t VALUES (1)").unwrap();
    pair.rebuild_standby().unwrap();
    assert_eq!(pair.psql("postgres", state).unwrap(), "sync standby");
    assert_eq!(pair.standby().unwrap().psql("postgres", "TABLE t").unwrap(), "1");
}

#[test]
fn a_restarted_primary_is_followed_again_and_a_paused_one_answers_when_it_goes_on() {
    let mut pair = Pair::start(Options::default().password("it's \\secret")).unwrap();
    pair.psql("postgres", "CREATE TABLE t (n int); INSERT INTO t VALUES (1)").unwrap();
    pair.restart_primary().unwrap();
    pair.psql("postgres", "INSERT INTO t VALUES (2)").unwrap();

    pair.pause_primary().unwrap();
    let mut client = pair.primary().client("psql", "postgres");
    let mut client = client.args(["-X", "-q", "-c", "INSERT INTO t VALUES (3)"]).spawn().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pair.primary().pid().unwrap())).unwrap();
    assert!(stat.contains(") T "), "{stat}");
    assert!(client.try_wait().unwrap().is_none(), "a paused server answered");
    pair.resume_primary().unwrap();
    assert!(client.wait().unwrap().success());
    assert_eq!(pair.psql("postgres", "SELECT sum(n) FROM t").unwrap(), "6");

    pair.pause_primary().unwrap();
    pair.fail_over().unwrap();
    assert_eq!(pair.psql("postgres", "SELECT sum(n) FROM t").unwrap(), "6");
}

#[test]
fn a_pair_dropped_while_paused_leaves_no_process_and_no_file() {
    let mut pair = Pair::start(Options::default()).unwrap();
    pair.pause_primary().unwrap();
    let directories: Vec<PathBuf> =
        [pair.primary(), pair.standby().unwrap()].iter().map(|s| s.socket_directory().to_owned()).collect();
    drop(pair);
    for directory in directories {
        assert!(!directory.exists());
        for process in std::fs::read_dir("/proc").unwrap().flatten() {
            let place = std::fs::read_link(process.path().join("cwd"));
            assert!(!place.is_ok_and(|place| place.starts_with(&directory)), "{process:?} is left");
        }
    }
}
