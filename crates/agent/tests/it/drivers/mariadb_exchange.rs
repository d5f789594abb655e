//! The agent is killed at chosen moments of an exchange in MariaDB, held there by an administrator's locks.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use private_services::Mariadb;

use super::mariadb::{assert_clean, assert_same, content, error, settings, shop, wait_for_loading};
use crate::harness::{Client, Process, Site};

/// Holds the exchange after the tables of owners are renamed, where it reads the users of the backup.
const READ_USERS: &str = "backup_agent_new_users.proxies_priv WRITE";
/// Holds the way back where it reads the users from before.
const READ_OLD_USERS: &str = "backup_agent_old_users.proxies_priv WRITE";
/// Holds the end, where the users from before are dropped.
const DROP_OLD_USERS: &str = "backup_agent_old_users.proxies_priv READ";
const WRITES_USERS: &str = "INSERT INTO `mysql`.`proxies_priv`%";
const DROPS_OLD_USERS: &str = "DROP DATABASE%backup_agent_old_users%";

/// An administrator who comes back with a lock whenever the connection is ended.
struct Stubborn {
    shell: Child,
    what: &'static str,
}

impl Stubborn {
    fn lock(mariadb: &Mariadb, what: &'static str) -> Self {
        let script = "while true; do mariadb --no-defaults --user=root --socket=\"$0\" \
                      -e \"LOCK TABLES $1; SELECT 'holds $1', SLEEP(600)\"; done";
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).arg(mariadb.socket()).arg(what).process_group(0);
        shell.stdout(Stdio::null()).stderr(Stdio::null());
        Self { shell: shell.spawn().unwrap(), what }
    }

    async fn held(self, mariadb: &Mariadb) -> Self {
        statement(mariadb, &format!("%holds {}%", self.what), "").await;
        self
    }

    fn release(mut self, mariadb: &Mariadb) {
        let group = format!("-{}", self.shell.id());
        assert!(Command::new("kill").args(["-9", "--", &group]).status().unwrap().success());
        self.shell.wait().unwrap();
        for id in statements(mariadb, &format!("%holds {}%", self.what)) {
            // It may have ended by itself.
            let _ = mariadb.sql("", &format!("KILL {id}"));
        }
    }
}

/// Connections with such a statement.
fn statements(mariadb: &Mariadb, like: &str) -> Vec<String> {
    let list = "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND info LIKE";
    let ids = mariadb.sql("", &format!("{list} '{like}'")).unwrap();
    ids.lines().map(str::to_owned).collect()
}

/// Waits for such a statement of another connection than `but`; its connection.
async fn statement(mariadb: &Mariadb, like: &str, but: &str) -> String {
    for _ in 0..6000 {
        if let Some(id) = statements(mariadb, like).into_iter().find(|id| id != but) {
            return id;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no statement {like}");
}

struct Scene {
    mariadb: Mariadb,
    site: Site,
    agent: Option<Process>,
    before: String,
    variables: String,
}

impl Scene {
    /// A restore that waits for `lock`.
    async fn begin(lock: &'static str) -> (Self, Stubborn) {
        let (mariadb, site, backup) = shop().await;
        let (before, variables) = (content(&mariadb), settings(&mariadb));
        let agent = Process::start(&site).await;
        assert_eq!(agent.put("/v1/restores/r", Client::restore_body(&backup)).await.status, 202);
        // The users are loaded before.
        wait_for_loading(&mariadb).await;
        let stubborn = Stubborn::lock(&mariadb, lock).held(&mariadb).await;
        (Self { mariadb, site, agent: Some(agent), before, variables }, stubborn)
    }

    fn kill(&mut self) {
        self.agent.take().unwrap().kill();
    }

    async fn come_back(&self) {
        let agent = Process::start(&self.site).await;
        assert_eq!(error(agent.get("/v1/restores/r").await.operation()).0, "interrupted");
        assert_clean(&self.mariadb, &self.site);
        assert_eq!(settings(&self.mariadb), self.variables);
    }

    fn is_as_in_backup(&self) {
        let state =
            "SELECT COUNT(*), answer() FROM t; SHOW TABLES LIKE 'since_then'; SHOW DATABASES LIKE 'added'";
        assert_eq!(self.mariadb.sql("shop", state).unwrap(), "60000\t42");
        let users = "SELECT GROUP_CONCAT(User) FROM mysql.global_priv WHERE Host = '%'";
        assert_eq!(self.mariadb.sql("", users).unwrap(), "app");
    }

    fn is_as_before(&self) {
        assert_same(&content(&self.mariadb), &self.before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_before_the_tables_are_renamed_undoes_the_exchange_at_its_return() {
    let (mut scene, stubborn) = Scene::begin("shop.t READ").await;
    statement(&scene.mariadb, "DROP TRIGGER%", "").await;
    // Ordinary clients are kept out.
    let refused = Command::new("mariadb")
        .args(["--no-defaults", "--user=of_today", "-e", "SELECT 1"])
        .arg(format!("--socket={}", scene.mariadb.socket().display()))
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("init_connect command failed"), "{refused:?}");
    scene.kill();
    stubborn.release(&scene.mariadb);
    scene.come_back().await;
    scene.is_as_before();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_after_the_tables_are_renamed_keeps_clients_out_again_and_completes_the_exchange() {
    let (mut scene, stubborn) = Scene::begin(READ_USERS).await;
    statement(&scene.mariadb, WRITES_USERS, "").await;
    scene.kill();
    stubborn.release(&scene.mariadb);
    // The server forgets that nobody may come in.
    scene.mariadb.stop().unwrap();
    scene.mariadb.resume().unwrap();
    let mut client = Command::new("mariadb");
    client.args(["--no-defaults", "--user=app", "--password=before", "-e", "SELECT 'came in', SLEEP(600)"]);
    client.arg(format!("--socket={}", scene.mariadb.socket().display()));
    let mut client = client.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    statement(&scene.mariadb, "%came in%", "").await;
    scene.come_back().await;
    assert!(!client.wait().unwrap().success(), "connections are ended again");
    scene.is_as_in_backup();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_while_it_drops_replaced_tables_goes_nowhere_at_its_return() {
    let (mut scene, stubborn) = Scene::begin(READ_USERS).await;
    statement(&scene.mariadb, WRITES_USERS, "").await;
    let second = Stubborn::lock(&scene.mariadb, DROP_OLD_USERS).held(&scene.mariadb).await;
    stubborn.release(&scene.mariadb);
    statement(&scene.mariadb, DROPS_OLD_USERS, "").await;
    scene.kill();
    second.release(&scene.mariadb);
    scene.come_back().await;
    scene.is_as_in_backup();
}

/// Makes the exchange fail after the tables are renamed.
async fn fail(scene: &Scene) -> String {
    let id = statement(&scene.mariadb, WRITES_USERS, "").await;
    scene.mariadb.sql("", &format!("KILL {id}")).unwrap();
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_on_its_way_back_goes_on_back_at_its_return() {
    let (mut scene, stubborn) = Scene::begin(READ_USERS).await;
    statement(&scene.mariadb, WRITES_USERS, "").await;
    let second = Stubborn::lock(&scene.mariadb, READ_OLD_USERS).held(&scene.mariadb).await;
    let failed = fail(&scene).await;
    statement(&scene.mariadb, WRITES_USERS, &failed).await;
    scene.kill();
    stubborn.release(&scene.mariadb);
    second.release(&scene.mariadb);
    scene.come_back().await;
    scene.is_as_before();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_while_it_drops_loaded_tables_of_an_undone_exchange_goes_nowhere_at_its_return() {
    let (mut scene, stubborn) = Scene::begin(READ_USERS).await;
    statement(&scene.mariadb, WRITES_USERS, "").await;
    let second = Stubborn::lock(&scene.mariadb, DROP_OLD_USERS).held(&scene.mariadb).await;
    fail(&scene).await;
    stubborn.release(&scene.mariadb);
    statement(&scene.mariadb, DROPS_OLD_USERS, "").await;
    scene.kill();
    second.release(&scene.mariadb);
    scene.come_back().await;
    scene.is_as_before();
}
