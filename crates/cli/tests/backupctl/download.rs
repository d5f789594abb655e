//! Downloads: resumed, verified, never half a file under its final name.

use std::path::Path;

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::fake::{Answer, Ended, Fake};

const DOWNLOAD: &str = "GET /instances/g-1/backups/7/download";

fn content() -> Vec<u8> {
    (0..200_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn fake(checksum: &str, downloads: Vec<Answer>) -> Fake {
    let backup = json!({"id": 7, "backup_id": "g-7", "size": content().len(), "status": "done",
        "downloadable": true, "checksum": checksum});
    Fake::start(&[("GET /instances/g-1/backups/7", vec![Answer::new(200, backup)]), (DOWNLOAD, downloads)])
}

fn checksum() -> String {
    hex::encode(Sha256::digest(content()))
}

fn download(fake: &Fake, file: &Path) -> Ended {
    fake.run(&format!("backups download g-1 7 --output-file {}", file.display()))
}

#[test]
fn a_download_that_breaks_is_continued_where_it_broke() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x");
    let cut = 300_000;
    let fake = fake(
        &checksum(),
        vec![Answer::bytes(200, &content()).cut_at(cut), Answer::bytes(206, &content()[cut..])],
    );
    let ended = download(&fake, &file);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(std::fs::read(&file).unwrap(), content());
    assert_eq!(fake.requests()[2].headers["range"], format!("bytes={cut}-"));
    assert!(!dir.path().join("x.part").exists());
}

#[test]
fn the_next_run_continues_what_an_earlier_one_left() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x");
    std::fs::write(dir.path().join("x.part"), &content()[..1000]).unwrap();
    let fake = fake(&checksum(), vec![Answer::bytes(206, &content()[1000..])]);
    assert_eq!(download(&fake, &file).code, 0);
    assert_eq!(std::fs::read(&file).unwrap(), content());
}

#[test]
fn a_server_without_ranges_is_read_from_the_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x");
    std::fs::write(dir.path().join("x.part"), b"something").unwrap();
    let fake = fake(&checksum(), vec![Answer::bytes(200, &content())]);
    assert_eq!(download(&fake, &file).code, 0);
    assert_eq!(std::fs::read(&file).unwrap(), content());
}

#[test]
fn a_leftover_larger_than_the_backup_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x");
    std::fs::write(dir.path().join("x.part"), vec![0; content().len() + 1]).unwrap();
    let fake = fake(&checksum(), vec![Answer::bytes(200, &content())]);
    assert_eq!(download(&fake, &file).code, 0);
    assert!(!fake.requests()[1].headers.contains_key("range"));
    assert_eq!(std::fs::read(&file).unwrap(), content());
}

#[test]
fn wrong_bytes_never_get_the_files_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x");
    let ended = download(&fake(&"0".repeat(64), vec![Answer::bytes(200, &content())]), &file);
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("checksum"), "{}", ended.err);
    assert!(!file.exists() && !dir.path().join("x.part").exists());
}

#[test]
fn an_existing_file_is_not_replaced_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x");
    std::fs::write(&file, b"precious").unwrap();
    let fake = fake(&checksum(), vec![Answer::bytes(200, &content())]);
    assert_eq!(download(&fake, &file).code, 2);
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    let line = format!("backups download g-1 7 --force --output-file {}", file.display());
    assert_eq!(fake.run(&line).code, 0);
}

#[test]
fn what_may_not_be_downloaded_is_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let refused = Answer::new(403, json!({"error": "NotDownloadable", "description": "Not with this key."}));
    let ended = download(&fake(&checksum(), vec![refused]), &dir.path().join("x"));
    assert_eq!(ended.code, 4);
    assert!(ended.err.contains("--encryption-key-file"), "{}", ended.err);
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("absent").join("x");
    let ended = download(&fake(&checksum(), vec![Answer::bytes(200, &content())]), &file);
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains(&file.display().to_string()), "{}", ended.err);
}
