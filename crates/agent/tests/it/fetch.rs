//! `backup-agent fetch`: the plain stream of a backup without a manager, complete and verified or not at all.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::formats::{FORMS, asking_for, backed_up, folder};
use crate::harness::{KEY, Site};

/// Writes key and configuration of a rescue beside the site's directories.
fn prepare(site: &Site) -> PathBuf {
    std::fs::create_dir(site.path("rescue")).unwrap();
    std::fs::write(site.path("rescue/key"), format!("{KEY}\n")).unwrap();
    let stores = json!({"stores": {"found": {"kind": "local", "directory": site.path("store")}}});
    std::fs::write(site.path("rescue/stores.yml"), stores.to_string()).unwrap();
    site.path("rescue")
}

fn fetch(site: &Site, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_backup-agent"))
        .args(["fetch", "--store-config", "stores.yml", "--prefix", "prefix"])
        .args(arguments)
        .current_dir(site.path("rescue"))
        .output()
        .unwrap()
}

/// Of a failed run: its exit code and what it said; it has left no file.
fn refused(site: &Site, arguments: &[&str]) -> (Option<i32>, String) {
    let before = std::fs::read_dir(site.path("rescue")).unwrap().count();
    let output = fetch(site, arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(std::fs::read_dir(site.path("rescue")).unwrap().count(), before, "{said}");
    assert!(!said.contains(KEY), "{said}");
    (output.status.code(), said)
}

const TO_FILE: [&str; 6] = ["--backup-id", "b", "--key-file", "key", "--output", "out.tar"];

fn content_of(archive: &[u8]) -> Vec<u8> {
    let mut archive = tar::Archive::new(archive);
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap().ends_with("random") {
            std::io::Read::read_to_end(&mut entry, &mut found).unwrap();
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_is_fetched_to_a_file_and_to_standard_output() {
    for form in FORMS {
        let site = Site::files();
        let (agent, _) = backed_up(&site, form).await;
        agent.stop().await;
        let rescue = prepare(&site);
        let output = fetch(&site, &TO_FILE);
        assert!(output.status.success(), "{form:?}: {}", String::from_utf8_lossy(&output.stderr));
        let file = rescue.join("out.tar");
        let bytes = std::fs::read(&file).unwrap();
        assert!(content_of(&bytes) == std::fs::read(site.data().join("random")).unwrap(), "{form:?}");
        let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "it is somebody's data in the clear");
        let output = fetch(&site, &["--backup-id", "b", "--key-file", "key"]);
        assert!(output.status.success() && output.stdout == bytes, "{form:?}");
        let names = std::fs::read_dir(rescue).unwrap().count();
        assert_eq!(names, 3, "key, stores.yml and out.tar");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_a_table_for_people_and_json_for_programs() {
    let site = Site::files();
    let (agent, _) = backed_up(&site, ("gzip", "openssl-enc")).await;
    agent.backup_with("guid-1681202928209", asking_for(("zstd", "age"))).await;
    prepare(&site);
    // One that was never completed, and one that nobody can read.
    std::fs::create_dir(folder(&site, "incomplete")).unwrap();
    std::fs::create_dir(folder(&site, "odd")).unwrap();
    std::fs::write(folder(&site, "odd").join("metadata.json"), "{}").unwrap();
    let output = fetch(&site, &["--list"]);
    let (table, said) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[0].starts_with("BACKUP ID") && lines[1].starts_with("b "), "{table}");
    assert!(lines[1].ends_with("gzip+openssl-enc") && lines[2].ends_with("zstd+age"), "{table}");
    assert!(said.contains("prefix/guid/odd: metadata.json cannot be read"), "{said}");

    let output = fetch(&site, &["--list", "--output-format", "json"]);
    let list: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(list[1]["backup_id"], "guid-1681202928209");
    assert_eq!(list[1]["object_prefix"], "prefix/guid");
    assert_eq!(list[0]["filter_plugins"], json!(["gzip", "openssl-enc"]));
    let output = fetch(&site, &["--backup-id", "guid-1681202928209", "--key-file", "key"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_appears_when_the_backup_or_the_key_is_wrong() {
    for form in [("zstd", "age"), ("gzip", "openssl-enc")] {
        let site = Site::files();
        backed_up(&site, form).await;
        let rescue = prepare(&site);
        std::fs::write(rescue.join("other"), "another key").unwrap();
        std::fs::write(rescue.join("empty"), "\n").unwrap();
        let with = |name, value| {
            let mut arguments = TO_FILE.to_vec();
            let place = arguments.iter().position(|word| *word == name).unwrap();
            arguments[place + 1] = value;
            refused(&site, &arguments)
        };
        for (name, value, words) in [
            ("--key-file", "other", "decryption_failed: the key key-1 does not open this backup"),
            ("--key-file", "empty", "empty holds no key"),
            ("--key-file", "absent", "absent: No such file"),
            ("--backup-id", "c", "there is no backup c below prefix of the store found"),
            ("--output", "key", "key: it exists already and is left as it is"),
            ("--output", "no/such/folder", "No such file"),
        ] {
            let (code, said) = with(name, value);
            assert!(code == Some(1) && said.contains(words), "{form:?}, {value}: {code:?} {said}");
        }
        assert_eq!(std::fs::read_to_string(rescue.join("key")).unwrap(), format!("{KEY}\n"));
        let part = folder(&site, "b").join("data.00002");
        let mut bytes = std::fs::read(&part).unwrap();
        bytes[77] ^= 1;
        std::fs::write(part, bytes).unwrap();
        let (code, said) = refused(&site, &TO_FILE);
        assert_eq!(code, Some(1));
        assert!(said.contains("checksum_mismatch: the stored bytes of part data.00002"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_is_found_in_the_agents_own_configuration_by_its_name() {
    let site = Site::files();
    backed_up(&site, ("zstd", "age")).await;
    prepare(&site);
    std::fs::write(site.path("agent.yml"), site.config.to_string()).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backup-agent"));
        command.args(["fetch", "--prefix", "prefix", "--list", "--config"]).arg(site.path("agent.yml"));
        command.args(arguments).output().unwrap()
    };
    assert!(run(&["--store", "main"]).status.success());
    let output = run(&["--store", "other"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(said.contains("stores: found other") && said.contains("main"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_older_programs_is_described_and_then_restored_like_any_other() {
    let site = Site::files();
    let (agent, mut backup) = backed_up(&site, ("gzip", "openssl-enc")).await;
    let content = std::fs::read(site.data().join("random")).unwrap();
    let rescue = prepare(&site);
    std::fs::write(rescue.join("other"), "another key").unwrap();
    for name in ["metadata.json", "owner"] {
        std::fs::remove_file(folder(&site, "b").join(name)).unwrap();
    }
    let describe = |key: &str| {
        Command::new(env!("CARGO_BIN_EXE_backup-agent"))
            .args(["describe", "--store-config", "stores.yml", "--prefix", "prefix", "--backup-id", "b"])
            .args(["--instance", "instance-guid", "--driver", "files", "--key-file", key])
            .current_dir(&rescue)
            .output()
            .unwrap()
    };
    let output = describe("other");
    assert_eq!(output.status.code(), Some(1));
    assert!(!folder(&site, "b").join("metadata.json").exists(), "nothing is described with a wrong key");
    let output = describe("key");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let checksum = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    assert_eq!(Some(&checksum), backup.checksum.as_ref(), "the bytes are those that were stored");
    let said = String::from_utf8(describe("key").stderr).unwrap();
    assert!(said.contains("metadata.json exists already"), "{said}");

    backup.checksum = Some(checksum);
    site.write("random", "changed since");
    let changes = json!({"encryption": {"scheme": "openssl-enc", "key": KEY, "key_id": "described"}});
    let restore = agent.restore_with("r", &backup, changes).await;
    assert_eq!(restore.state, backup_protocol::OperationState::Done, "{restore:?}");
    assert!(std::fs::read(site.data().join("random")).unwrap() == content);
    assert!(fetch(&site, &TO_FILE).status.success());
}

#[test]
fn a_store_that_was_never_there_is_soon_given_up_and_meanwhile_the_reason_is_shown() {
    let site = Site::files();
    let rescue = prepare(&site);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let stores = json!({"stores": {"away": {
        "kind": "s3", "bucket": "b", "endpoint": format!("http://{nobody}"), "path_style": true,
        "allow_http": true, "access_key_id": "id", "secret_access_key": "secret",
    }}});
    std::fs::write(rescue.join("stores.yml"), stores.to_string()).unwrap();
    let (code, said) = refused(&site, &TO_FILE);
    assert_eq!(code, Some(1));
    assert!(said.contains("WARN") && said.contains("the store failed; it is asked again"), "{said}");
    assert!(said.contains("store `away` could not list `prefix`: the store refuses connections"), "{said}");
}
