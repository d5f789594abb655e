//! Whatever happens to a stored backup, a restore never ends as a success with other data; and it fails before it touches
//! the data service, unless everything that could tell was forged as well.

use std::path::Path;

use backup_protocol::OperationState;
use serde_json::{Value, json};

use super::{Form, asking_for, backed_up, change_metadata, folder, opening, parts, relabel};
use crate::harness::{Agent, KEY, Site};

/// Something that happens to the folder of a backup.
type Damage = (&'static str, fn(&Path));

fn flip(path: &Path, place: impl Fn(usize) -> usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let place = place(bytes.len());
    bytes[place] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, length: impl Fn(u64) -> u64) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_len(length(file.metadata().unwrap().len())).unwrap();
}

/// Damage to the bytes of the parts.
const PARTS: &[Damage] = &[
    ("a bit of the first byte", |b| flip(&b.join("data.00001"), |_| 0)),
    ("a bit of the header", |b| flip(&b.join("data.00001"), |_| 12)),
    ("a bit of the first block", |b| flip(&b.join("data.00001"), |_| 300)),
    ("a bit in the middle", |b| flip(&b.join("data.00002"), |length| length / 2)),
    ("a bit of the block before the last", |b| flip(parts(b).last().unwrap(), |length| length - 17)),
    ("a bit of the last byte", |b| flip(parts(b).last().unwrap(), |length| length - 1)),
    ("the first part is missing", |b| std::fs::remove_file(b.join("data.00001")).unwrap()),
    ("a part in the middle is missing", |b| std::fs::remove_file(b.join("data.00002")).unwrap()),
    ("the last part is missing", |b| std::fs::remove_file(parts(b).last().unwrap()).unwrap()),
    ("two parts are swapped", |b| {
        std::fs::rename(b.join("data.00002"), b.join("swapped")).unwrap();
        std::fs::rename(b.join("data.00003"), b.join("data.00002")).unwrap();
        std::fs::rename(b.join("swapped"), b.join("data.00003")).unwrap();
    }),
    ("a part is there twice", |b| {
        std::fs::copy(b.join("data.00002"), b.join("data.00003")).unwrap();
    }),
    ("the last part is cut by a byte", |b| cut(parts(b).last().unwrap(), |length| length - 1)),
    ("the last part is cut by a block", |b| cut(parts(b).last().unwrap(), |length| length - 16)),
    ("a part in the middle is cut by a block", |b| cut(&b.join("data.00002"), |length| length - 16)),
    ("a part is empty", |b| cut(&b.join("data.00002"), |_| 0)),
    ("the first part is empty", |b| cut(&b.join("data.00001"), |_| 0)),
    ("a block more at the end", |b| cut(parts(b).last().unwrap(), |length| length + 16)),
    ("a byte more in the middle", |b| cut(&b.join("data.00002"), |length| length + 1)),
];

/// Damage to `metadata.json`.
const METADATA: &[Damage] = &[
    ("it is missing", |b| std::fs::remove_file(b.join("metadata.json")).unwrap()),
    ("it is empty", |b| cut(&b.join("metadata.json"), |_| 0)),
    ("it is cut", |b| cut(&b.join("metadata.json"), |length| length / 2)),
    ("a newer version", |b| change_metadata(b, |m| m["format_version"] = json!(2))),
    ("of another backup", |b| change_metadata(b, |m| m["backup_id"] = json!("c"))),
    ("another checksum", |b| change_metadata(b, |m| m["checksum"] = json!("0".repeat(64)))),
    ("another hash of a part", |b| change_metadata(b, |m| m["parts"][1]["sha256"] = json!("0".repeat(64)))),
    ("another size", |b| change_metadata(b, |m| m["size"] = json!(7))),
    ("no parts", |b| change_metadata(b, |m| (m["parts"], m["size"]) = (json!([]), json!(0)))),
    ("a part outside the folder", |b| {
        change_metadata(b, |m| m["parts"][0]["name"] = json!("../c/data.00001"))
    }),
    ("parts in another order", |b| {
        change_metadata(b, |m| m["parts"].as_array_mut().unwrap().swap(1, 2));
    }),
    ("a part twice", |b| change_metadata(b, |m| m["parts"][2] = m["parts"][1].clone())),
    ("an unknown filter", |b| change_metadata(b, |m| m["filter_plugins"][0] = json!("lz4"))),
    ("an unknown encryption", |b| change_metadata(b, |m| m["filter_plugins"][1] = json!("rot13"))),
    ("the filters the other way round", |b| {
        change_metadata(b, |m| m["filter_plugins"].as_array_mut().unwrap().reverse());
    }),
    ("no filters", |b| change_metadata(b, |m| m["filter_plugins"] = json!([]))),
    ("no encryption", |b| {
        change_metadata(b, |m| drop(m["filter_plugins"].as_array_mut().unwrap().pop()));
    }),
    ("another driver", |b| change_metadata(b, |m| m["driver"]["name"] = json!("postgresql"))),
    ("a newer stream", |b| change_metadata(b, |m| m["driver"]["stream_version"] = json!(99))),
];

/// A backup in one form, and the data in use, which has changed since.
struct Bench {
    site: Site,
    agent: Agent,
    checksum: String,
    form: Form,
    restores: std::cell::Cell<u32>,
}

impl Bench {
    async fn new(form: Form) -> Self {
        let site = Site::files();
        let (agent, backup) = backed_up(&site, form).await;
        site.write("random", "changed since");
        let output = std::process::Command::new("cp")
            .arg("--recursive")
            .args([folder(&site, "b"), site.path("pristine")])
            .status();
        assert!(output.unwrap().success());
        let checksum = backup.checksum.unwrap();
        Self { site, agent, checksum, form, restores: 0.into() }
    }

    /// Puts the backup back as it was, then damages it.
    fn damage(&self, damage: impl FnOnce(&Path)) {
        let backup = folder(&self.site, "b");
        std::fs::remove_dir_all(&backup).unwrap();
        let copied = std::process::Command::new("cp")
            .arg("--recursive")
            .args([self.site.path("pristine"), backup.clone()])
            .status();
        assert!(copied.unwrap().success());
        damage(&backup);
    }

    /// Restores; returns the error code and the bytes that reached the data service, which must be as it was.
    async fn refused(&self, what: &str, changes: Value) -> (String, u64) {
        self.restores.set(self.restores.get() + 1);
        let mut body = json!({"checksum": self.checksum, "encryption": opening(self.form.1, KEY)});
        body = crate::harness::merged(body, changes);
        let backup = self.agent.get("/v1/backups/b").await.operation();
        let restore = self.agent.restore_with(&format!("r{}", self.restores.get()), &backup, body).await;
        let form = self.form;
        assert_eq!(restore.state, OperationState::Failed, "{form:?}, {what}");
        let data = std::fs::read_to_string(self.site.data().join("random")).unwrap();
        assert_eq!(data, "changed since", "{form:?}, {what}");
        let beside = std::fs::read_dir(self.site.data().parent().unwrap()).unwrap().count();
        assert_eq!(beside, 4, "{form:?}, {what}: something stayed beside the directory");
        (restore.error.unwrap().code, restore.bytes_stored)
    }
}

const BOTH: [Form; 2] = [("zstd", "age"), ("gzip", "openssl-enc")];

#[tokio::test(flavor = "multi_thread")]
async fn damaged_parts_and_metadata_are_noticed_before_the_data_service_is_touched() {
    for form in BOTH {
        let bench = Bench::new(form).await;
        for (what, damage) in PARTS.iter().chain(METADATA) {
            bench.damage(damage);
            let (code, reached) = bench.refused(what, json!({})).await;
            assert_eq!(reached, 0, "{form:?}, {what}");
            let expected = ["checksum_mismatch", "store_error", "bad_request"];
            assert!(expected.contains(&code.as_str()), "{form:?}, {what}: {code}");
        }
    }
}

/// Somebody with access to the store can make `metadata.json` agree with what they did. The manager's checksum tells.
#[tokio::test(flavor = "multi_thread")]
async fn damage_that_the_metadata_was_made_to_agree_with_is_noticed_by_the_managers_checksum() {
    for form in BOTH {
        let bench = Bench::new(form).await;
        for (what, damage) in PARTS {
            bench.damage(|backup| {
                damage(backup);
                relabel(backup);
            });
            let (code, reached) = bench.refused(what, json!({})).await;
            assert_eq!((code.as_str(), reached), ("checksum_mismatch", 0), "{form:?}, {what}");
        }
    }
}

/// Without the manager's checksum, age tells by itself; the legacy form has the checksum of gzip, the padding and the length
/// of the stream. Some bytes may reach the driver then, but nothing is put in place.
#[tokio::test(flavor = "multi_thread")]
async fn damage_never_ends_as_success_even_when_every_checksum_was_forged() {
    for form in BOTH {
        let bench = Bench::new(form).await;
        for (what, damage) in PARTS {
            let mut forged = String::new();
            bench.damage(|backup| {
                damage(backup);
                forged = relabel(backup);
            });
            let (code, _) = bench.refused(what, json!({"checksum": forged})).await;
            let expected = ["decryption_failed", "checksum_mismatch"];
            assert!(expected.contains(&code.as_str()), "{form:?}, {what}: {code}");
        }
        bench.damage(|backup| change_metadata(backup, |metadata| metadata["plain_size"] = json!(512)));
        assert_eq!(bench.refused("another length", json!({})).await.0, "checksum_mismatch");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_or_scheme_is_noticed_before_the_data_service_is_touched() {
    for form in super::FORMS {
        let bench = Bench::new(form).await;
        let wrong_key = json!({"encryption": opening(form.1, "another key")});
        let refused = bench.refused("a wrong key", wrong_key).await;
        assert_eq!(refused, ("decryption_failed".to_owned(), 0), "{form:?}");
        let other = if form.1 == "age" { "openssl-enc" } else { "age" };
        let refused = bench.refused("another scheme", json!({"encryption": opening(other, KEY)})).await;
        assert_eq!(refused, ("bad_request".to_owned(), 0), "{form:?}");
    }
}

/// One bit of every byte of `metadata.json` in turn: either it is refused, or it only changed words nobody acts on and the
/// data are those of the backup.
#[tokio::test(flavor = "multi_thread")]
async fn no_flipped_bit_of_the_metadata_restores_other_data() {
    let site = Site::files();
    site.write("text", "of the backup");
    let agent = Agent::start(&site).await;
    let backup = agent.backup_with("b", asking_for(("gzip", "openssl-enc"))).await;
    let path = folder(&site, "b").join("metadata.json");
    let pristine = std::fs::read(&path).unwrap();
    let (mut refused, mut restored) = (0, 0);
    for place in (0..pristine.len()).step_by(3) {
        let mut bytes = pristine.clone();
        bytes[place] ^= 1 << (place % 7);
        std::fs::write(&path, bytes).unwrap();
        site.write("text", "changed since");
        let changes = json!({"encryption": opening("openssl-enc", KEY)});
        let restore = agent.restore_with(&format!("r{place}"), &backup, changes).await;
        let text = std::fs::read_to_string(site.data().join("text")).unwrap();
        let expected = match restore.state {
            OperationState::Done => "of the backup",
            _ => "changed since",
        };
        assert_eq!(text, expected, "byte {place}: {restore:?}");
        match restore.state {
            OperationState::Done => restored += 1,
            _ => refused += 1,
        }
    }
    assert!(refused > 150 && restored > 10, "{refused} refused, {restored} restored");
}
