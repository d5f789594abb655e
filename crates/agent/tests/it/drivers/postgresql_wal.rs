//! Physical backups of PostgreSQL and restores to a moment, against a real server that is written to all the time.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use backup_protocol::{OperationState, OperationStatus, PitrReport, PitrWindow, PitrWindowState};
use chrono::{DateTime, TimeDelta, Utc};
use private_postgres::{Options, Server};
use serde_json::{Value, json};

use crate::harness::{Agent, Client, KEY, Process, Site};

/// What the operator's commands would do, without systemd. With the file `kill-agent` beside it, the agent is killed
/// instead of being answered.
const COMMAND: &str = r#"#!/bin/sh
ctl() { {AS} {BIN}/pg_ctl -D {DATA} -w "$@"; }
case $1 in
  stop) ctl -m fast stop || exit 1 ;;
  start) [ -e {HERE}/kill-at-start ] && rm {HERE}/kill-at-start && kill -9 $PPID && exit 1
    [ -e {HERE}/fail-at-start ] && rm {HERE}/fail-at-start && echo "out of order" >&2 && exit 1
    ctl -l {LOG} -o "{OPTIONS}" start || exit 1 ;;
esac
[ -e {HERE}/kill-after-$1 ] && rm {HERE}/kill-after-$1 && kill -9 $PPID
exit 0
"#;

/// A server that the agent may stop and start, and the directories of an agent.
struct World {
    site: Site,
    server: Server,
}

impl World {
    fn new() -> Self {
        let options = Options::default().setting("track_commit_timestamp", "on");
        let server = Server::start_with(options).unwrap();
        server.psql("postgres", "CREATE TABLE entry (n bigserial PRIMARY KEY, filler text)").unwrap();
        let site = Site::with_driver(json!({}));
        let owner = std::fs::metadata(server.data()).unwrap();
        let is_root = nix::unistd::Uid::effective().is_root();
        let account = format!("setpriv --reuid={} --regid={} --clear-groups --", owner.uid(), owner.gid());
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c fsync=off -c track_commit_timestamp=on",
            server.port(),
            server.socket_directory().display()
        );
        let script = COMMAND
            .replace("{AS}", if is_root { &account } else { "" })
            .replace("{BIN}", &server.bin_directory().display().to_string())
            .replace("{DATA}", &server.data().display().to_string())
            .replace("{LOG}", &server.socket_directory().join("restored.log").display().to_string())
            .replace("{OPTIONS}", &options)
            .replace("{HERE}", &site.path("").display().to_string());
        let command = site.path("command");
        std::fs::write(&command, script).unwrap();
        std::fs::set_permissions(&command, std::fs::Permissions::from_mode(0o755)).unwrap();
        let driver = json!({"postgresql": {
            "host": "127.0.0.1",
            "port": server.port(),
            "bin_directory": server.bin_directory(),
            "physical": {
                "data_directory": server.data(),
                "start_command": [command, "start"],
                "stop_command": [command, "stop"],
                "interval_seconds": 1,
            },
        }});
        Self { site: site.set("driver", driver), server }
    }

    fn sql(&self, sql: &str) -> String {
        self.server.psql("postgres", sql).unwrap()
    }

    /// The server's clock, in whole milliseconds.
    fn now(&self) -> DateTime<Utc> {
        let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        DateTime::from_timestamp_millis(self.sql(sql).parse().unwrap()).unwrap()
    }

    /// Commits one row after the other until it is killed.
    fn writer(&self) -> Writer {
        let sql = "DO $$ BEGIN LOOP INSERT INTO entry (filler) SELECT repeat(md5(random()::text), 20); COMMIT; \
                   PERFORM pg_sleep(0.002); END LOOP; END $$";
        let mut command = self.server.client("psql", "postgres");
        command.args(["--quiet", "--command", sql]).stdin(Stdio::null()).stderr(Stdio::null());
        Writer(command.spawn().unwrap())
    }

    /// What is there, or what was committed up to a moment.
    fn content(&self, until: Option<DateTime<Utc>>) -> String {
        let until = until.map_or(String::new(), |until| {
            format!("WHERE pg_xact_commit_timestamp(xmin) <= '{}'", until.to_rfc3339())
        });
        let sql = "SELECT count(*), max(n), md5(string_agg(n || filler, ',' ORDER BY n)) FROM entry";
        self.sql(&format!("{sql} {until}"))
    }

    fn rows(&self) -> u64 {
        self.sql("SELECT count(*) FROM entry").parse().unwrap()
    }

    async fn until_rows(&self, more: u64) {
        let wanted = self.rows() + more;
        until("rows are written", || async { self.rows() >= wanted }).await;
    }

    fn wal_object(&self, backup: &str, segment: &str) -> std::path::PathBuf {
        self.site.path("store").join(format!("prefix/guid/{backup}/wal/{segment}.zst.age"))
    }

    fn slots(&self) -> String {
        self.sql("SELECT coalesce(string_agg(slot_name, ','), '') FROM pg_replication_slots")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let stop = Command::new(self.site.path("command")).arg("stop").output();
        drop(stop);
    }
}

struct Writer(Child);

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.kill().unwrap_or_default();
        drop(self.0.wait());
    }
}

async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !condition().await {
        assert!(Instant::now() < patience, "it never happened that {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn report(agent: &Client) -> PitrReport {
    let answer = agent.get("/v1/pitr").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    serde_json::from_value(answer.body).unwrap()
}

async fn window(agent: &Client, backup: &str) -> Option<PitrWindow> {
    report(agent).await.windows.into_iter().find(|window| window.backup_id == backup)
}

/// The window of a backup as soon as it contains a moment.
async fn window_with(agent: &Client, backup: &str, moment: DateTime<Utc>) -> PitrWindow {
    let contains = || async { window(agent, backup).await.is_some_and(|window| window.end_time >= moment) };
    until("the window contains the moment", contains).await;
    window(agent, backup).await.unwrap()
}

async fn base(agent: &Client, id: &str) -> OperationStatus {
    let done = agent.backup_with(id, json!({"backup_type": "postgresql_wal"})).await;
    assert_eq!(done.state, OperationState::Done, "{done:?}");
    done
}

fn to(moment: DateTime<Utc>, window: &PitrWindow) -> Value {
    json!({"recovery_target_time": moment, "recovery_last_segment": window.last_segment})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_to_a_moment_has_exactly_what_was_committed_by_then() {
    let world = World::new();
    let agent = Agent::start(&world.site).await;
    let capabilities = agent.get("/v1/info").await.body["capabilities"].clone();
    assert!(capabilities.as_array().unwrap().contains(&json!("postgresql_wal")), "{capabilities}");
    let writer = world.writer();
    world.until_rows(100).await;
    let first = base(&agent, "first").await;
    world.until_rows(500).await;
    let moment = world.now();
    world.until_rows(500).await;
    let expected = world.content(Some(moment));
    let window_then = window_with(&agent, "first", moment).await;
    assert!(window_then.start_time < moment && window_then.state == PitrWindowState::Open);
    let restored = agent.restore_with("r-1", &first, to(moment, &window_then)).await;
    assert_eq!(restored.state, OperationState::Done, "{restored:?}");
    drop(writer);
    assert_eq!(world.content(None), expected);
    // The log of another timeline does not continue the old one.
    let broken = || async { window(&agent, "first").await.unwrap().state == PitrWindowState::Broken };
    until("the window is broken", broken).await;
    assert_eq!(world.slots(), "", "the server keeps no log for nobody");
    let again = base(&agent, "again").await;
    world.sql("INSERT INTO entry (filler) VALUES ('after the restore')");
    let moment = world.now();
    let expected = world.content(None);
    let window = window_with(&agent, "again", moment).await;
    world.sql("DELETE FROM entry");
    let restored = agent.restore_with("r-2", &again, to(moment, &window)).await;
    assert_eq!(restored.state, OperationState::Done, "{restored:?}");
    assert_eq!(world.content(None), expected);
    let leftovers = std::fs::read_dir(world.server.data().parent().unwrap()).unwrap();
    let names: Vec<String> =
        leftovers.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    assert!(!names.iter().any(|name| name.contains("backup-agent")), "{names:?}");
    assert!(!world.server.data().join("backup_agent.restore").exists());
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_join_without_a_gap_over_kills_and_restarts() {
    let mut world = World::new();
    let agent = Process::start(&world.site).await;
    let writer = world.writer();
    let first = base(&agent, "first").await;
    world.until_rows(200).await;
    agent.kill();
    world.until_rows(200).await;
    world.sql("SELECT pg_switch_wal()");
    world.until_rows(200).await;
    drop(writer);
    world.server.restart().unwrap();
    let agent = Process::start(&world.site).await;
    let writer = world.writer();
    world.until_rows(200).await;
    let between = world.now();
    world.until_rows(200).await;
    let second = base(&agent, "second").await;
    world.until_rows(200).await;
    let after = world.now();
    let later = window_with(&agent, "second", after).await;
    let continued = || async { window(&agent, "first").await.unwrap().state == PitrWindowState::Continued };
    until("the first window has ended", continued).await;
    let earlier = window(&agent, "first").await.unwrap();
    assert_eq!(
        (earlier.end_time, earlier.reason.clone()),
        (later.start_time, None),
        "no moment is between them"
    );
    drop(writer);
    let [then, last] = [between, after].map(|moment| world.content(Some(moment)));
    // The last moment of the first window is the end of the second base.
    let border = world.content(Some(earlier.end_time));
    for (id, backup, moment, window, expected) in [
        ("r-1", &first, between, &earlier, then),
        ("r-2", &first, earlier.end_time, &earlier, border),
        ("r-3", &second, after, &later, last),
    ] {
        let restored = agent.restore_with(id, backup, to(moment, window)).await;
        assert_eq!(restored.state, OperationState::Done, "{restored:?}");
        assert_eq!(world.content(None), expected, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_window_moves_while_nothing_is_written_and_costs_no_objects() {
    let world = World::new();
    let agent = Agent::start(&world.site).await;
    let backup = base(&agent, "b").await;
    world.sql("INSERT INTO entry (filler) VALUES ('the last one')");
    window_with(&agent, "b", world.now()).await;
    let expected = world.content(None);
    // The server itself writes a little after a change, and then nothing.
    let is_quiet = || async {
        let objects = world.site.stored();
        window_with(&agent, "b", world.now() + TimeDelta::seconds(4)).await;
        world.site.stored() == objects
    };
    until("the window moves without objects", is_quiet).await;
    let moment = world.now();
    let window = window_with(&agent, "b", moment).await;
    world.sql("CHECKPOINT; DROP TABLE entry");
    let restored = agent.restore_with("r", &backup, to(moment, &window)).await;
    assert_eq!(restored.state, OperationState::Done, "{restored:?}");
    assert_eq!(world.content(None), expected);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_restored_leaves_the_running_server_alone() {
    let world = World::new();
    let agent = Agent::start(&world.site).await;
    let backup = base(&agent, "b").await;
    world.sql("INSERT INTO entry (filler) VALUES ('one')");
    let early = window_with(&agent, "b", world.now()).await;
    for _ in 0..3 {
        world.sql("INSERT INTO entry (filler) SELECT 'more' FROM generate_series(1, 1000)");
        window_with(&agent, "b", world.now()).await;
    }
    world.sql("INSERT INTO entry (filler) VALUES ('the end')");
    let window = window_with(&agent, "b", world.now()).await;
    let (content, server) = (world.content(None), world.server.pid());
    let failed = async |id: &str, changes: Value, code: &str, words: &str| {
        let failed = agent.restore_with(id, &backup, changes).await;
        let error = failed.error.clone().unwrap_or_else(|| panic!("{failed:?}"));
        assert_eq!(error.code, code, "{error:?}");
        assert!(error.message.contains(words), "{error:?}");
        assert_eq!((world.content(None), world.server.pid()), (content.clone(), server));
        let lock = std::fs::read_to_string(world.server.data().join("postmaster.pid")).unwrap();
        assert_eq!(lock.lines().next().unwrap().parse().ok(), server, "it was never stopped");
    };
    let before = to(early.start_time - TimeDelta::seconds(5), &window);
    failed("before", before, "bad_request", "before the end of the base backup").await;
    let mut beyond = to(window.end_time + TimeDelta::hours(1), &window);
    beyond["recovery_last_segment"] = json!("0000000100000000000000FF");
    failed("beyond", beyond, "data_service_error", "ends before segment 0000000100000000000000FF").await;
    let unknown = json!({"recovery_target_time": window.end_time + TimeDelta::hours(1)});
    failed("unknown", unknown, "data_service_error", "the stored log ends before").await;
    let mut wrong_key = to(window.end_time, &window);
    wrong_key["encryption"] = json!({"scheme": "age", "key": "another key", "key_id": "key-2"});
    failed("key", wrong_key, "decryption_failed", "key-2").await;
    let missing = world.wal_object("b", &early.last_segment);
    let kept = std::fs::read(&missing).unwrap();
    std::fs::remove_file(&missing).unwrap();
    let words = format!("segment {} of the stored log is missing", early.last_segment);
    failed("gap", to(window.end_time, &window), "data_service_error", &words).await;
    let mut flipped = kept.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    std::fs::write(&missing, flipped).unwrap();
    failed("flipped", to(window.end_time, &window), "data_service_error", "cannot be read").await;
    std::fs::write(&missing, kept).unwrap();
    std::fs::write(world.site.path("fail-at-start"), "").unwrap();
    let undone = agent.restore_with("start", &backup, to(window.end_time, &window)).await;
    let error = undone.error.unwrap();
    assert!(
        error.message.contains("out of order") && error.message.contains("data from before"),
        "{error:?}"
    );
    assert_eq!(world.content(None), content);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_in_the_middle_of_the_exchange_undoes_or_completes_it() {
    let world = World::new();
    let agent = Process::start(&world.site).await;
    world.sql("INSERT INTO entry (filler) VALUES ('kept')");
    let backup = base(&agent, "b").await;
    let moment = world.now();
    let then = world.content(None);
    let window = window_with(&agent, "b", moment).await;
    world.sql("INSERT INTO entry (filler) VALUES ('later')");
    let later = world.content(None);
    agent.kill();
    // Killed after the server was stopped: the old data. Killed before it was started again: the new data.
    for (id, file, expected) in [("r-1", "kill-after-stop", later), ("r-2", "kill-at-start", then)] {
        let agent = Process::start(&world.site).await;
        std::fs::write(world.site.path(file), "").unwrap();
        let mut body = crate::harness::merged(Client::restore_body(&backup), to(moment, &window));
        body["backup_id"] = json!("b");
        assert_eq!(agent.put(&format!("/v1/restores/{id}"), body).await.status, 202);
        let gone = world.site.path(file);
        until("the agent is killed", || async { !gone.exists() && !agent.is_up().await }).await;
        drop(agent);
        let agent = Process::start(&world.site).await;
        let ended = agent.ended(&format!("/v1/restores/{id}")).await;
        assert_eq!(ended.error.unwrap().code, "interrupted");
        until("the server is back", || async { world.server.psql("postgres", "SELECT 1").is_ok() }).await;
        assert_eq!(world.content(None), expected, "{file}");
        assert!(!world.site.path("scratch/physical-restore.json").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_log_breaks_the_window_and_the_next_base_begins_a_new_one() {
    let world = World::new();
    let agent = Agent::start(&world.site).await;
    base(&agent, "first").await;
    world.sql("INSERT INTO entry (filler) VALUES ('one')");
    window_with(&agent, "first", world.now()).await;
    let sql = "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots; SELECT pg_sleep(0.3); \
               SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots";
    world.sql(sql);
    let broken = || async { window(&agent, "first").await.unwrap().state == PitrWindowState::Broken };
    until("the window is broken", broken).await;
    let reason = window(&agent, "first").await.unwrap().reason.unwrap();
    assert!(reason.contains("slot is gone"), "{reason}");
    base(&agent, "second").await;
    let second = window_with(&agent, "second", world.now()).await;
    assert!(second.start_time > window(&agent, "first").await.unwrap().end_time);
    // A deleted backup takes no more objects, and its slot goes.
    let folder = world.site.path("store/prefix/guid/second");
    std::fs::remove_dir_all(&folder).unwrap();
    world.sql("INSERT INTO entry (filler) VALUES ('two')");
    let broken = || async { window(&agent, "second").await.unwrap().state == PitrWindowState::Broken };
    until("the window is broken", broken).await;
    until("the slot is dropped", || async { world.slots().is_empty() }).await;
    assert!(!folder.exists());
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_stays_on_the_agents_disk_and_public_programs_undo_a_segment() {
    let world = World::new();
    let agent = Agent::start(&world.site).await;
    base(&agent, "b").await;
    world.sql("INSERT INTO entry (filler) VALUES ('one')");
    let window = window_with(&agent, "b", world.now()).await;
    let scratch = world.site.path("scratch");
    for path in files(&scratch) {
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        assert!(!text.contains(KEY) && !text.contains("AGE-SECRET-KEY"), "{}", path.display());
    }
    let segment = world.wal_object("b", &window.last_segment);
    let sealed = std::fs::read(segment.parent().unwrap().join("identity.age")).unwrap();
    let passphrase = age::scrypt::Identity::new(KEY.to_owned().into());
    let identity = age::decrypt(&passphrase, &sealed).unwrap();
    let identity: age::x25519::Identity = String::from_utf8(identity).unwrap().trim().parse().unwrap();
    let plain = age::decrypt(&identity, &std::fs::read(&segment).unwrap()).unwrap();
    let plain = zstd::decode_all(plain.as_slice()).unwrap();
    assert_eq!(plain.len(), 16 * 1024 * 1024);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_base_backup_leaves_no_objects_and_no_slot() {
    let world = World::new();
    let agent = Agent::start(&world.site).await;
    world.sql("INSERT INTO entry (filler) SELECT md5(n::text) FROM generate_series(1, 20000) n");
    let body = json!({"backup_type": "postgresql_wal", "rate_limit_bytes_per_second": 1_000_000});
    let body = crate::harness::merged(Client::backup_body(), body);
    assert_eq!(agent.put("/v1/backups/b", body).await.status, 202);
    agent.running_until("/v1/backups/b", |status| status.bytes_read > 500_000).await;
    let cancelled = agent.delete("/v1/backups/b").await;
    assert_eq!(cancelled.operation().state, OperationState::Cancelled);
    assert!(world.site.stored().is_empty());
    until("the slots are dropped", || async { world.slots().is_empty() }).await;
    assert!(report(&agent).await.windows.is_empty());
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_the_ability_refuses_it() {
    let site = Site::files();
    let agent = Agent::start(&site).await;
    let body = crate::harness::merged(Client::backup_body(), json!({"backup_type": "postgresql_wal"}));
    assert_eq!(agent.put("/v1/backups/b", body).await.refusal(), (400, "BadRequest"));
    assert_eq!(agent.get("/v1/pitr").await.status, 404);
    agent.stop().await;
}

fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&entry.path())),
            false => found.push(entry.path()),
        }
    }
    found
}
