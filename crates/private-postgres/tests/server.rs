//! A real server is started, stopped, killed and removed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs
)]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use private_postgres::{Options, Server};

#[test]
fn a_started_server_answers_and_leaves_nothing_behind_when_dropped() {
    let server = Server::start().unwrap();
    assert_eq!(server.psql("postgres", "SELECT 1 + 1").unwrap(), "2");
    assert_eq!(server.url("x"), format!("postgres://postgres@127.0.0.1:{}/x", server.port()));
    let directory: PathBuf = server.socket_directory().to_owned();
    let pid = server.pid().unwrap();
    drop(server);
    assert!(!directory.exists());
    assert!(!PathBuf::from(format!("/proc/{pid}")).exists());
}

#[test]
fn data_survive_a_restart_and_a_kill_on_the_same_port() {
    let mut server = Server::start_with(Options::default().durable()).unwrap();
    let port = server.port();
    server.create_database("größe").unwrap();
    server.psql("größe", "CREATE TABLE t (n int); INSERT INTO t VALUES (42)").unwrap();
    server.restart().unwrap();
    server.kill().unwrap();
    assert!(server.psql("größe", "TABLE t").is_err());
    server.resume().unwrap();
    assert_eq!(server.port(), port);
    assert_eq!(server.psql("größe", "TABLE t").unwrap(), "42");
}

#[test]
fn a_password_is_demanded_when_set() {
    let server = Server::start_with(Options::default().password("s3cret")).unwrap();
    assert_eq!(server.psql("postgres", "SELECT current_user").unwrap(), "postgres");
    let refused =
        server.client("psql", "postgres").env("PGPASSWORD", "wrong").args(["-c", "SELECT 1"]).output();
    assert!(!refused.unwrap().status.success());
}

#[test]
fn the_server_outlives_the_thread_that_started_it() {
    let server = std::thread::spawn(|| Server::start().unwrap()).join().unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(server.psql("postgres", "SELECT 1").unwrap(), "1");
}

#[test]
fn a_failing_statement_is_an_error_with_the_server_s_words() {
    let server = Server::start().unwrap();
    let error = server.psql("postgres", "SELECT 1; SELECT * FROM nowhere").unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
}

#[test]
fn a_killed_owner_takes_the_server_along_and_the_next_one_sweeps_its_directory() {
    let name = "a_killed_owner_takes_the_server_along_and_the_next_one_sweeps_its_directory";
    if std::env::var_os("OWNER").is_some() {
        let server = Server::start().unwrap();
        own_until_killed(&server);
    }
    let (process, directory) = kill_the_owner(name);
    let patience = Instant::now() + Duration::from_secs(10);
    while std::fs::read_to_string(process.join("stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(Instant::now() < patience, "the server outlived its owner");
        std::thread::sleep(Duration::from_millis(10));
    }
    let _next = Server::start().unwrap();
    assert!(!directory.exists());
}

#[test]
fn a_server_that_was_paused_when_its_owner_was_killed_is_swept_whole() {
    let name = "a_server_that_was_paused_when_its_owner_was_killed_is_swept_whole";
    if std::env::var_os("OWNER").is_some() {
        let mut server = Server::start().unwrap();
        server.pause().unwrap();
        own_until_killed(&server);
    }
    let (_, directory) = kill_the_owner(name);
    let _next = Server::start().unwrap();
    assert!(!directory.exists());
    let patience = Instant::now() + Duration::from_secs(10);
    let works_there = |process: &std::fs::DirEntry| {
        std::fs::read_link(process.path().join("cwd")).is_ok_and(|place| place.starts_with(&directory))
    };
    while std::fs::read_dir("/proc").unwrap().flatten().any(|process| works_there(&process)) {
        assert!(Instant::now() < patience, "stopped processes are left");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// In the process that is to be killed: tells where the server is.
fn own_until_killed(server: &Server) -> ! {
    println!("\nstarted {} {}", server.pid().unwrap(), server.socket_directory().display());
    std::thread::sleep(Duration::from_secs(60));
    panic!("nobody killed the owner");
}

/// Runs the test of this name in a process of its own, kills that, and returns the server's `/proc` folder and directory.
fn kill_the_owner(test: &str) -> (PathBuf, PathBuf) {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("OWNER", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let line = lines.map(Result::unwrap).find(|line| line.starts_with("started ")).unwrap();
    let mut words = line.split(' ').skip(1);
    let process = PathBuf::from(format!("/proc/{}", words.next().unwrap()));
    let directory = PathBuf::from(words.next().unwrap());
    assert!(process.exists() && directory.exists());
    owner.kill().unwrap();
    owner.wait().unwrap();
    (process, directory)
}
