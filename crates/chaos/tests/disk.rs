//! A file system that is full on request, and gone with its owner.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs
)]

use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;
use std::process::{Command, Stdio};

use backup_chaos::disk::SmallDisk;

fn is_mounted(path: &Path) -> bool {
    std::fs::read_to_string("/proc/self/mounts").unwrap().contains(&path.display().to_string())
}

fn small_disk() -> Option<SmallDisk> {
    let disk = SmallDisk::mount(4 << 20).unwrap();
    if disk.is_none() {
        eprintln!("skipped: nothing may be mounted here");
    }
    disk
}

#[test]
fn a_full_disk_takes_nothing_and_a_drained_one_does() {
    let Some(disk) = small_disk() else { return };
    let file = disk.path().join("backup");
    std::fs::write(&file, vec![1; 1 << 20]).unwrap();
    disk.fill().unwrap();
    let error = std::fs::write(disk.path().join("another"), "x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(std::fs::read(&file).unwrap().len(), 1 << 20);
    disk.drain().unwrap();
    disk.drain().unwrap();
    std::fs::write(disk.path().join("another"), vec![1; 2 << 20]).unwrap();
    let path = disk.path().to_owned();
    drop(disk);
    assert!(!is_mounted(&path) && !path.exists());
}

#[test]
fn what_a_killed_owner_left_mounted_is_swept_by_the_next_one() {
    if std::env::var_os("OWNER").is_some() {
        let disk = small_disk();
        println!("\nmounted {}", disk.as_ref().map_or(Path::new(""), SmallDisk::path).display());
        std::thread::sleep(std::time::Duration::from_secs(60));
        return;
    }
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "what_a_killed_owner_left_mounted_is_swept_by_the_next_one", "--nocapture"])
        .env("OWNER", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let line = lines.map(Result::unwrap).find(|line| line.starts_with("mounted ")).unwrap();
    owner.kill().unwrap();
    owner.wait().unwrap();
    let path = Path::new(line.split(' ').nth(1).unwrap());
    if path.as_os_str().is_empty() {
        return;
    }
    // Another test's disk may have swept it already.
    let _next = small_disk().unwrap();
    assert!(!is_mounted(path) && !path.exists());
}
