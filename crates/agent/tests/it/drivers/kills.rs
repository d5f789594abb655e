//! The agent is killed at twenty random moments of backups and restores of a running PostgreSQL. Whatever it says afterwards is
//! true: what is done can be restored, what is not has left nothing, and clients see all of one state or all of the other.

use std::time::{Duration, Instant};

use backup_protocol::{OperationState, OperationStatus};
use private_postgres::Server;
use serde_json::json;

use super::postgresql::{databases, site};
use crate::harness::{Client, Process, Site};

const KILLS: u64 = 20;

/// Everything there is to compare: rows, an index, a large object.
const CONTENT: &str =
    "SELECT count(*), sum(id), md5(string_agg(note, ',' ORDER BY id)), md5(lo_get(4711)) FROM t";

const LEFT: &str = "SELECT count(*) FROM pg_database WHERE datname LIKE 'backup_agent%'";

/// splitmix64, so that a failure can be repeated with its seed.
pub(super) fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

struct Scene {
    server: Server,
    site: Site,
}

impl Scene {
    fn content(&self) -> String {
        self.server.psql("shop", CONTENT).unwrap()
    }

    /// Moves the data on to a state it never had.
    fn change(&self, round: u64) -> String {
        let sql = format!(
            "UPDATE t SET note = note || '{round}' WHERE id % 7 = {round} % 7; DELETE FROM t WHERE id = {round}"
        );
        self.server.psql("shop", &sql).unwrap();
        self.content()
    }

    /// Folders of backups that have a metadata.json.
    fn complete(&self) -> Vec<String> {
        let folder = self.site.path("store").join("prefix/guid");
        let found = std::fs::read_dir(folder).into_iter().flatten().map(Result::unwrap);
        let complete = found.filter(|entry| entry.path().join("metadata.json").exists());
        complete.map(|entry| entry.file_name().into_string().unwrap()).collect()
    }

    /// Names in the folder of a backup; none when there is no folder.
    fn left_of(&self, backup: &str) -> Option<Vec<String>> {
        let folder = std::fs::read_dir(self.site.path("store").join("prefix/guid").join(backup)).ok()?;
        Some(folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
    }

    /// Waits until nothing of an operation is left in the store but finished backups, nor in the server.
    async fn is_clean(&self, agent: &Process, round: u64) {
        let begun = Instant::now();
        loop {
            let journal = agent.get("/v1/operations").await.body;
            let pending =
                journal["operations"].as_array().unwrap().iter().any(|o| o["cleanup_pending"] == true);
            let left = self.server.psql("template1", LEFT).unwrap();
            if !pending && left == "0" {
                return;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(100),
                "round {round}: {left} databases left, {journal}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// How long an operation takes when nobody kills it.
async fn duration(agent: &Process, path: &str, body: serde_json::Value) -> (Duration, OperationStatus) {
    let begun = Instant::now();
    agent.put(path, body).await;
    let ended = agent.ended(path).await;
    assert_eq!(ended.state, OperationState::Done, "{ended:?}");
    (begun.elapsed(), ended)
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_never_leave_a_false_success_or_anything_behind() {
    let server = Server::start().unwrap();
    server.psql("postgres", "CREATE DATABASE shop").unwrap();
    let fill = "CREATE TABLE t (id int PRIMARY KEY, note text); CREATE INDEX ON t (note);
                INSERT INTO t SELECT n, md5(n::text) FROM generate_series(1, 100000) n;
                SELECT lo_from_bytea(4711, decode(repeat('deadbeef', 100000), 'hex'));";
    server.psql("shop", fill).unwrap();
    let site = site(&server);
    let scene = Scene { server, site };
    let mut agent = Process::start(&scene.site).await;

    let (backing_up, good) = duration(&agent, "/v1/backups/good", Client::backup_body()).await;
    let in_backup = scene.content();
    let (restoring, _) = duration(&agent, "/v1/restores/first", Client::restore_body(&good)).await;
    assert_eq!(scene.content(), in_backup);

    let mut seed = u64::from(std::process::id());
    let mut moments = vec![format!("seed {seed}, a backup takes {backing_up:?}, a restore {restoring:?}")];
    for round in 1..=KILLS {
        let is_backup = round % 2 == 1;
        let before = scene.change(round);
        let (path, body, whole) = match is_backup {
            true => (format!("/v1/backups/b{round}"), Client::backup_body(), backing_up),
            false => (format!("/v1/restores/r{round}"), Client::restore_body(&good), restoring),
        };
        assert_eq!(agent.put(&path, body).await.status, 202);
        // A little beyond the end, too: the record of the end is a moment like any other.
        let percent = random(&mut seed) % 110;
        tokio::time::sleep(whole * u32::try_from(percent).unwrap() / 100).await;
        agent.kill();
        agent = Process::start(&scene.site).await;
        let ended = agent.ended(&path).await;
        scene.is_clean(&agent, round).await;
        moments.push(format!("{path} at {percent} %: {:?}", ended.state));
        assert_eq!(databases(&scene.server), "postgres,shop", "{moments:#?}");
        let now = scene.content();
        match (is_backup, ended.state) {
            (true, OperationState::Done) => {
                assert_eq!(now, before, "{moments:#?}");
                agent.restore(&format!("check-{round}"), &ended).await;
                assert_eq!(scene.content(), before, "what is done can be restored: {moments:#?}");
            }
            (true, state) => {
                assert_eq!((state, now), (OperationState::Failed, before), "{moments:#?}");
                assert!(!scene.complete().contains(&format!("b{round}")), "{moments:#?}");
                assert_eq!(scene.left_of(&format!("b{round}")), None, "{moments:#?}");
            }
            (false, OperationState::Done) => assert_eq!(now, in_backup, "{moments:#?}"),
            // The kill may have come between the exchange and its record: then the data is that of the backup, all of it.
            (false, state) => {
                assert_eq!(state, OperationState::Failed, "{moments:#?}");
                assert!(now == before || now == in_backup, "{moments:#?}");
            }
        }
        let error = ended.error.map(|error| error.code);
        assert!(error.is_none() || error.as_deref() == Some("interrupted"), "{error:?}, {moments:#?}");
    }
    let last = scene.change(99);
    let backup = agent.backup_with("last", json!({})).await;
    scene.change(100);
    agent.restore("last", &backup).await;
    assert_eq!(scene.content(), last, "the agent works as before");
}
