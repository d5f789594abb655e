//! Ten thousand connections at once.

use std::process::Command;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::house::House;

const CROWD: usize = 10_000;

/// The kernel's limit on open files is what a service unit would raise; `prlimit` does it here.
fn raise_limit(pid: u32) {
    let pid = pid.to_string();
    let limits = Command::new("prlimit")
        .args(["--pid", &pid, "--nofile", "--noheadings", "--output", "HARD"])
        .output();
    let hard = String::from_utf8(limits.unwrap().stdout).unwrap().trim().to_owned();
    let raised = Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={hard}:{hard}")]).status();
    assert!(raised.unwrap().success());
    let enough = hard == "unlimited" || hard.parse::<usize>().unwrap() > CROWD + 500;
    assert!(enough, "the hard limit on open files is {hard}; {CROWD} connections need more");
}

fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// In KiB.
fn memory(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_connections_leave_room_for_a_normal_client_and_nothing_behind() {
    let mut house = House::start().await;
    let pid = house.installation.api.pid().unwrap();
    raise_limit(pid);
    raise_limit(std::process::id());
    house.is_unharmed_by("nothing yet").await;
    let files_before = open_files(pid);
    let memory_before = memory(pid);
    let mut peaks = Vec::new();
    for round in 1..=4 {
        let mut crowd = Vec::new();
        for number in 0..CROWD {
            let mut stream = TcpStream::connect(house.http).await.unwrap();
            match number % 10 {
                0 => stream.write_all(b"GET /instances HTTP/1.1\r\nHost: x\r\nX-Half").await.unwrap(),
                1 => stream
                    .write_all(b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
                    .await
                    .unwrap(),
                _ => {}
            }
            crowd.push(stream);
        }
        house.is_unharmed_by(&format!("{CROWD} connections in round {round}")).await;
        let open = open_files(pid);
        assert!(open > CROWD / 2, "only {open} are open at once");
        peaks.push(memory(pid));
        drop(crowd);
        let since = std::time::Instant::now();
        while open_files(pid) > files_before + 20 {
            assert!(since.elapsed() < crate::raw::PATIENCE, "{} files are still open", open_files(pid));
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        house.is_unharmed_by("a crowd that left").await;
    }
    // The allocator keeps what it had, and fills its gaps better with each round. What grows on would be a leak.
    let (cost, growth) = (peaks[0] - memory_before, peaks[3].saturating_sub(peaks[0]));
    assert!(
        growth < cost,
        "three more crowds take {growth} KiB more than one, which takes {cost}: {peaks:?}"
    );
}
