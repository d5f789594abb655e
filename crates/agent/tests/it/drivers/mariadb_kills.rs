//! The agent is killed at random moments of backups and restores of a running MariaDB. Whatever it says afterwards is true:
//! what is done can be restored, and clients see all of one state or all of the other.

use std::time::Instant;

use backup_protocol::OperationState;
use private_services::Mariadb;

use super::kills::random;
use super::mariadb::{assert_clean, site};
use crate::harness::{Client, Process};

const KILLS: u64 = 10;

/// Rows, a routine, a view, a user.
const CONTENT: &str =
    "SELECT COUNT(*), SUM(CRC32(v)), answer() FROM t; SELECT * FROM seen; SELECT COUNT(*) FROM marks;
    SELECT GROUP_CONCAT(User ORDER BY User) FROM mysql.global_priv WHERE Host = '%'";

fn content(mariadb: &Mariadb) -> String {
    mariadb.sql("shop", CONTENT).unwrap()
}

/// Moves the data on to a state they never had.
fn change(mariadb: &Mariadb, round: u64) -> String {
    let sql = format!(
        "UPDATE t SET v = CONCAT('{round} ', v) WHERE n % 7 = {round} % 7; CREATE OR REPLACE TABLE marks AS SELECT seq FROM \
         seq_1_to_{round}; CREATE OR REPLACE FUNCTION answer() RETURNS INT RETURN {round}; \
         CREATE OR REPLACE VIEW seen AS SELECT {round} AS round; CREATE USER IF NOT EXISTS user{round}@'%'"
    );
    mariadb.sql("shop", &sql).unwrap();
    content(mariadb)
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_moments_never_leave_a_false_success_or_a_mixture_in_mariadb() {
    let mariadb = Mariadb::start().unwrap();
    let fill = "CREATE DATABASE shop; USE shop; CREATE TABLE t (n INT PRIMARY KEY, v TEXT);
        INSERT INTO t SELECT seq, REPEAT(MD5(seq), 10) FROM seq_1_to_20000";
    mariadb.sql("", fill).unwrap();
    let in_backup = change(&mariadb, 1000);
    let site = site(&mariadb);
    let mut agent = Process::start(&site).await;
    let begun = Instant::now();
    let good = agent.backup("good").await;
    let backing_up = begun.elapsed();
    change(&mariadb, 1001);
    let begun = Instant::now();
    agent.restore("first", &good).await;
    let restoring = begun.elapsed();
    assert_eq!(content(&mariadb), in_backup);

    let mut seed = u64::from(std::process::id());
    let mut moments = vec![format!("seed {seed}, a backup takes {backing_up:?}, a restore {restoring:?}")];
    for round in 1..=KILLS {
        // The exchange is what can go wrong.
        let is_backup = round % 5 == 0;
        let before = change(&mariadb, round);
        let (path, body, whole) = match is_backup {
            true => (format!("/v1/backups/b{round}"), Client::backup_body(), backing_up),
            false => (format!("/v1/restores/r{round}"), Client::restore_body(&good), restoring),
        };
        assert_eq!(agent.put(&path, body).await.status, 202);
        let percent = random(&mut seed) % 110;
        tokio::time::sleep(whole * u32::try_from(percent).unwrap() / 100).await;
        agent.kill();
        agent = Process::start(&site).await;
        let ended = agent.ended(&path).await;
        moments.push(format!("{path} at {percent} %: {:?}", ended.state));
        assert_clean(&mariadb, &site);
        let now = content(&mariadb);
        match (is_backup, ended.state) {
            (true, OperationState::Done) => {
                assert_eq!(now, before, "{moments:#?}");
                agent.restore(&format!("check-{round}"), &ended).await;
                assert_eq!(content(&mariadb), before, "what is done can be restored: {moments:#?}");
            }
            (true, _) => assert_eq!(now, before, "{moments:#?}"),
            (false, OperationState::Done) => assert_eq!(now, in_backup, "{moments:#?}"),
            // The kill may have come between the exchange and its record: then the data are those of the backup.
            (false, _) => assert!(now == before || now == in_backup, "{moments:#?}: {now}"),
        }
    }
    let last = change(&mariadb, 99);
    let backup = agent.backup("last").await;
    change(&mariadb, 100);
    agent.restore("last", &backup).await;
    assert_eq!(content(&mariadb), last, "the agent works as before");
}
