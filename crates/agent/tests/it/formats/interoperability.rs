//! What the agent stores, the public programs read; what they write, the agent restores.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use backup_protocol::OperationState;
use serde_json::json;

use super::{FORMS, backed_up, folder, metadata, opening, parts, relabel};
use crate::harness::{KEY, Site};

/// Runs a line of shell in a directory, with `KEY` in its environment; returns its standard output. `typed` is what a person
/// types: `age` asks the terminal for the passphrase, so there is one.
fn shell(directory: &Path, line: &str, typed: &str) -> Vec<u8> {
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--command"])
        .arg(format!("bash -c 'set -euo pipefail; {line}'"))
        .arg("/dev/null")
        .current_dir(directory)
        .env("KEY", KEY)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("`script` of bsdutils");
    child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{line}: {said}(the programs are installed by `cargo xtask test`: age zstd openssl gzip tar)"
    );
    output.stdout
}

/// From standard input to standard output.
fn reader(filter: &str) -> &'static str {
    match filter {
        "zstd" => "zstd --decompress --stdout",
        "gzip" => "gzip --decompress --stdout",
        "openssl-enc" => "openssl enc -aes256 -md md5 -d -pass env:KEY",
        _ => "age --decrypt",
    }
}

fn writer(filter: &str) -> &'static str {
    match filter {
        "zstd" => "zstd --stdout",
        "gzip" => "gzip --stdout",
        "openssl-enc" => "openssl enc -aes256 -md md5 -pass env:KEY",
        _ => "age --encrypt --passphrase",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn public_programs_read_what_the_agent_stores() {
    for (compression, encryption) in FORMS {
        let site = Site::files();
        backed_up(&site, (compression, encryption)).await;
        let folder = folder(&site, "b");
        let (decrypt, decompress) = (reader(encryption), reader(compression));
        let line = format!(
            "cat data.* > stored; {decrypt} < stored > compressed; {decompress} < compressed > plain.tar; \
             mkdir out; tar --extract --file plain.tar --directory out"
        );
        shell(&folder, &line, &format!("{KEY}\n"));
        let found = std::fs::read(folder.join("out/random")).unwrap();
        assert!(found == std::fs::read(site.data().join("random")).unwrap(), "{compression}, {encryption}");
        let plain = std::fs::metadata(folder.join("plain.tar")).unwrap().len();
        assert_eq!(metadata(&folder)["plain_size"], plain);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_restores_what_public_programs_write() {
    for (compression, encryption) in FORMS {
        let site = Site::files();
        let (agent, mut backup) = backed_up(&site, (compression, encryption)).await;
        let folder = folder(&site, "b");
        let before = std::fs::read(folder.join("data.00001")).unwrap();
        let (decrypt, decompress) = (reader(encryption), reader(compression));
        let (compress, encrypt) = (writer(compression), writer(encryption));
        let undo =
            format!("cat data.* > stored; {decrypt} < stored > c; {decompress} < c > plain.tar; rm data.*");
        let redo = format!(
            "{compress} < plain.tar > c; {encrypt} < c > stored; \
             split --numeric-suffixes=1 --suffix-length=5 --bytes=100000 stored data."
        );
        shell(&folder, &undo, &format!("{KEY}\n"));
        shell(&folder, &redo, &format!("{KEY}\n{KEY}\n"));
        assert!(parts(&folder).len() > 2);
        assert!(std::fs::read(folder.join("data.00001")).unwrap() != before, "written anew");
        backup.checksum = Some(relabel(&folder));

        let content = std::fs::read(site.data().join("random")).unwrap();
        site.write("random", "changed since");
        let changes = json!({"encryption": opening(encryption, KEY)});
        let restore = agent.restore_with("r", &backup, changes).await;
        assert_eq!(restore.state, OperationState::Done, "{compression}, {encryption}: {restore:?}");
        assert!(std::fs::read(site.data().join("random")).unwrap() == content);
    }
}

/// The default of `openssl enc` since 1.1 derives another key from the same words.
#[tokio::test(flavor = "multi_thread")]
async fn what_openssl_writes_with_another_digest_is_a_wrong_key() {
    let site = Site::files();
    let (agent, mut backup) = backed_up(&site, ("gzip", "openssl-enc")).await;
    let folder = folder(&site, "b");
    let line = "cat data.* > stored; openssl enc -aes256 -md md5 -d -pass env:KEY < stored > c; rm data.*; \
                openssl enc -aes256 -md sha256 -pass env:KEY < c > data.00001";
    shell(&folder, line, "");
    backup.checksum = Some(relabel(&folder));
    let changes = json!({"encryption": opening("openssl-enc", KEY)});
    let restore = agent.restore_with("r", &backup, changes).await;
    assert_eq!(restore.bytes_stored, 0);
    assert_eq!(restore.error.unwrap().code, "decryption_failed");
}
