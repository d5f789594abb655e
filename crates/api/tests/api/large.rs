//! Lists longer than what is read at once: complete, in order, and in bounded memory.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use backup_core::actions::inspect::ROWS;
use backup_testkit::Database;
use base64::Engine;
use serde_json::{Value, json};

use crate::app::{App, PASSWORD, error, json as read};
use crate::process::{configuration, program};

/// Inserts instances `g-1` to `g-<instances>` with so many done backups and failed restores each.
fn fill(database: &Database, prefix: &str, instances: usize, backups: i64, restores: i64) {
    let sql = format!(
        "SET session_replication_role = replica;
         INSERT INTO service_brokers (name) VALUES ('broker') ON CONFLICT DO NOTHING;
         WITH instance AS (
             INSERT INTO service_instances (guid, backup_guid, service_broker_id, state, data_service, store)
             SELECT '{prefix}-' || n, gen_random_uuid()::text, (SELECT id FROM service_brokers), 'available', 'postgresql', 'local'
             FROM generate_series(1, {instances}) AS n RETURNING id, backup_guid
         ), key AS (
             INSERT INTO encryption_keys (service_instance_id, ciphertext, master_key_id, is_own)
             SELECT id, '\\x00', 'seed', false FROM instance RETURNING id, service_instance_id
         ), backup AS (
             INSERT INTO backups (service_instance_id, backup_id, status, is_scheduled, encryption_key_id, store,
                                  object_prefix, size, checksum, started_at, finished_at)
             SELECT i.id, i.backup_guid || '-' || n, 'done', true, k.id, 'local', 'backups/' || i.backup_guid, 1000,
                    repeat('0', 64), now(), now()
             FROM instance i JOIN key k ON k.service_instance_id = i.id, generate_series(1, {backups}) AS n
         )
         INSERT INTO restores (service_instance_id, backup_row_id, backup_id, restored_from, restore_id, status, reason_code)
         SELECT i.id, 1, 'b', now(), gen_random_uuid()::text, 'failed', 'cancelled'
         FROM instance i, generate_series(1, {restores}) AS n;
         ANALYZE"
    );
    database.execute(&sql).unwrap();
}

/// What the list of instances has to say, from the tables themselves.
fn expected(database: &Database) -> Value {
    let sql = "SELECT json_agg(json_build_object('instance_id', guid,
        'backups', (SELECT coalesce(json_agg(b.id ORDER BY b.id DESC), '[]') FROM backups b WHERE b.service_instance_id = i.id),
        'restores', (SELECT coalesce(json_agg(r.id ORDER BY r.id DESC), '[]') FROM restores r WHERE r.service_instance_id = i.id)
        ) ORDER BY i.id) FROM service_instances i";
    serde_json::from_str(&database.value(sql).unwrap().unwrap()).unwrap()
}

/// The same of an answer, without the rest of the objects.
fn shown(list: &Value) -> Value {
    let ids = |list: &Value| -> Vec<Value> {
        list.as_array().unwrap().iter().map(|element| element["id"].clone()).collect()
    };
    let instances = list.as_array().unwrap().iter().map(|instance| {
        json!({
            "instance_id": instance["instance_id"],
            "backups": ids(&instance["backups"]),
            "restores": ids(&instance["restores"]),
        })
    });
    instances.collect()
}

#[tokio::test]
async fn lists_are_complete_and_in_order_wherever_what_is_read_at_once_ends() {
    let app = App::start().await;
    for (prefix, instances, backups, restores) in [
        ("empty", 3, 0, 0),
        ("some", 4, ROWS / 3, 7),
        ("full", 2, ROWS - 1, 1),
        ("over", 1, ROWS, 1),
        ("large", 2, 2 * ROWS, 0),
        ("restored", 1, 1, ROWS + 3),
        ("last", 120, 1, 0),
    ] {
        fill(&app.database, prefix, instances, backups, restores);
    }
    let expected = expected(&app.database);
    let list = read(app.get("/instances").await, 200).await;
    assert_eq!(shown(&list), expected);
    let page = |from: usize, to: usize| json!(expected.as_array().unwrap()[from..to]);
    assert_eq!(shown(&read(app.get("/instances?page=1&per_page=10").await, 200).await), page(0, 10));
    assert_eq!(shown(&read(app.get("/instances?page=2&per_page=7").await, 200).await), page(7, 14));
    assert_eq!(read(app.get("/instances?page=1000000000&per_page=1000").await, 200).await, json!([]));
    for (place, instance) in list.as_array().unwrap().iter().enumerate().take(14) {
        let guid = instance["instance_id"].as_str().unwrap();
        assert_eq!(&read(app.get(&format!("/instances/{guid}")).await, 200).await, instance);
        for part in ["backups", "restores"] {
            let listed = read(app.get(&format!("/instances/{guid}/{part}")).await, 200).await;
            let ids: Vec<_> = listed.as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
            assert_eq!(json!(ids), expected[place][part], "{guid} {part}");
        }
    }
    let planned = read(app.get("/v2/retention").await, 200).await;
    let planned: Vec<_> = planned.as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    let all: Vec<_> =
        expected.as_array().unwrap().iter().flat_map(|one| one["backups"].as_array().unwrap()).collect();
    assert_eq!(planned.iter().collect::<Vec<_>>(), all);
    for path in ["/instances/unknown", "/instances/unknown/backups", "/instances/unknown/restores"] {
        error(app.get(path).await, 404, "NotFound").await;
    }
}

#[tokio::test]
async fn a_short_list_has_a_length_and_a_long_one_is_streamed() {
    let app = App::start().await;
    fill(&app.database, "g", 1, ROWS, 0);
    assert!(app.get("/instances/g-1/restores").await.content_length().is_some());
    assert!(app.get("/instances/g-1/backups").await.content_length().is_none());
}

/// Kibibytes of a line of `/proc/…/status`.
fn memory(child: &Child, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let found = status.lines().find_map(|found| found.strip_prefix(line)).unwrap();
    found.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Asks and reads only the head of the answer.
fn ask(address: &str, path: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address).unwrap();
    let credentials = base64::engine::general_purpose::STANDARD.encode(format!("admin:{PASSWORD}"));
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut reader = BufReader::with_capacity(4096, stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");
    reader
}

/// 20,000 backups for each of eight clients that begin to read, stop, and go on one after the other.
#[test]
fn slow_readers_of_long_lists_cost_little_memory() {
    let database = Database::create().unwrap();
    fill(&database, "g", 20, 1000, 0);
    let (_directory, config) = configuration(&database.url(), "");
    let mut child = program().args(["serve", "--config", &config]).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let address =
        lines.find_map(|line| Some(line.split_once("answering on http://")?.1.trim().to_owned())).unwrap();
    std::thread::spawn(move || lines.for_each(drop));
    // The first verification of a password takes a memory of its own, which is not this test's subject.
    ask(&address, "/instances?per_page=1").read_to_end(&mut Vec::new()).unwrap();
    std::fs::write(format!("/proc/{}/clear_refs", child.id()), "5").unwrap();
    let paths = ["/instances", "/instances?per_page=1000", "/v2/retention", "/instances/g-1"];
    let readers: Vec<_> = paths.iter().cycle().take(8).map(|path| ask(&address, path)).collect();
    for mut reader in readers {
        let mut text = Vec::new();
        reader.read_to_end(&mut text).unwrap();
        assert!(text.ends_with(b"\r\n0\r\n\r\n"), "the answer broke off");
    }
    let peak = memory(&child, "VmHWM:");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(peak < 64 << 10, "{peak} KiB");
}
