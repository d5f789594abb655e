//! The wall clocks of real processes are moved while they run: they see it, go on, and can be moved back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    missing_docs
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use local_installation::{AgentPlan, BrokerPlan, Installation, Plan};
use private_postgres::Options;
use private_postgres::clock::Clock;
use private_postgres::pair::Pair;

const HOUR: i64 = 3600;

/// The `Date` of a server's answers, as `HH`.
fn hour_of(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let line = answer.lines().find(|line| line.to_lowercase().starts_with("date:")).unwrap();
    let time = line.split(' ').find(|word| word.contains(':') && word.len() == 8).unwrap();
    time[..2].to_owned()
}

fn wait_for(what: &str, is_met: impl Fn() -> bool) {
    // A worker that first looks at its schedules after a jump has nothing due, and nothing to log, before the next minute.
    let until = Instant::now() + Duration::from_secs(90);
    while !is_met() {
        assert!(Instant::now() < until, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Seconds the database is ahead of the machine.
fn lead(pair: &Pair) -> i64 {
    let sql = "SELECT extract(epoch FROM clock_timestamp())::bigint";
    let theirs: i64 = pair.psql("postgres", sql).unwrap().parse().unwrap();
    let ours = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    theirs - i64::try_from(ours).unwrap()
}

fn hour(pair: &Pair) -> String {
    pair.psql("postgres", "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'HH24')").unwrap()
}

#[test]
fn clocks_of_running_daemons_and_servers_jump_forth_and_back_and_all_go_on() {
    if !Clock::is_available() {
        eprintln!("skipped: libfaketime is not installed");
        return;
    }
    let files = tempfile::tempdir().unwrap();
    let mut pair = Pair::start(Options::default().clock()).unwrap();
    pair.psql("postgres", "CREATE TABLE t (n bigint)").unwrap();
    pair.create_database("manager").unwrap();
    let plan = Plan::new(pair.url("manager"))
        .agent(AgentPlan::files("agent-1", files.path()).without_tls())
        .broker(BrokerPlan::static_inventory("files", "files").instance("guid-1", "agent-1"))
        .setting("jobs.poll_interval", "200ms")
        .worker_groups(&[(None, 2)])
        .clocks();
    let mut installation = Installation::prepare(&plan).unwrap();
    installation.start().unwrap();
    let api: SocketAddr = installation.http_url().strip_prefix("http://").unwrap().parse().unwrap();
    let agent = installation.agents()[0].address();
    for jump in [3 * HOUR, -5 * HOUR, 0] {
        pair.set_clock(jump).unwrap();
        installation.daemons().for_each(|daemon| daemon.set_clock(jump).unwrap());
        wait_for("the database's jump", || (lead(&pair) - jump).abs() < 60);
        wait_for("the API's jump", || hour_of(api) == hour(&pair));
        wait_for("the agent's jump", || hour_of(agent) == hour(&pair));
        if jump > 0 {
            // What was due in the hours that were skipped is done, and logged with the new time.
            let worker = &installation.workers[0];
            wait_for("the worker's jump", || worker.log().contains(&format!("T{}:", hour(&pair))));
        }
        // Waits for the standby, whose connection the jump may have cut.
        pair.psql("postgres", &format!("INSERT INTO t VALUES ({jump})")).unwrap();
        installation.wait_until_healthy().unwrap();
    }
    let pid = installation.api.pid().unwrap();
    installation.api.kill().unwrap();
    drop((installation, pair));
    // The library's shared memory outlives a kill, and is swept before the next start.
    let left = format!("/dev/shm/faketime_shm_{pid}");
    let other = files.path().join("clock");
    Clock::create(&other).unwrap();
    let mut next = local_installation::Daemon::new("true", "/bin/true".as_ref(), &[], files.path());
    next.give_clock(&other).unwrap();
    next.start().unwrap();
    assert!(next.wait(Duration::from_secs(10)).unwrap().success());
    assert!(!std::path::Path::new(&left).exists());
}
