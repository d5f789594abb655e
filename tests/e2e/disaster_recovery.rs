//! `docs/disaster-recovery.md`, executed: a manager and its agents make backups, then only the bucket and the operator's key are
//! left, and the commands of the page bring the data back.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use local_installation::{AgentPlan, BrokerPlan, Programs};
use private_postgres::Server;
use tempfile::TempDir;

use crate::house::House;

/// The fenced `sh` blocks of the page with the heading above each.
fn blocks() -> Vec<(String, String)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/disaster-recovery.md");
    let (mut heading, mut found, mut block) = (String::new(), Vec::new(), None::<String>);
    for line in fs::read_to_string(page).unwrap().lines() {
        match (&mut block, line) {
            (None, "```sh") => block = Some(String::new()),
            (Some(_), "```") => found.push((heading.clone(), block.take().unwrap())),
            (Some(text), line) => *text += &format!("{line}\n"),
            (None, line) if line.starts_with("##") => heading = line.trim_matches(['#', ' ']).to_owned(),
            _ => {}
        }
    }
    found
}

/// What is left after the disaster, and an empty directory to work in.
struct Rescue {
    directory: PathBuf,
    environment: Vec<(&'static str, String)>,
    executed: BTreeSet<String>,
}

impl Rescue {
    /// Runs the blocks below these headings, in the order of the page, in a terminal where somebody types; returns what it showed.
    fn run(&mut self, headings: &[&str], typed: &str) -> String {
        let mut script = "set -euo pipefail\n".to_owned();
        for heading in headings {
            let below: Vec<_> = blocks().into_iter().filter(|(above, _)| above == heading).collect();
            assert!(!below.is_empty(), "no commands below {heading:?}");
            for (_, block) in below {
                script += &block;
            }
            self.executed.insert((*heading).to_owned());
        }
        fs::write(self.directory.join("page.sh"), script).unwrap();
        let mut child = Command::new("script")
            .args(["--quiet", "--return", "--command", "bash page.sh", "/dev/null"])
            .current_dir(&self.directory)
            .envs(self.environment.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`script` of bsdutils");
        child.stdin.take().unwrap().write_all(typed.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{headings:?}: {shown}");
        shown
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

const FILL: &str = "CREATE ROLE clerk LOGIN PASSWORD 'x'; CREATE TABLE t AS SELECT n, 'row ' || n AS text FROM generate_series(1, 3000) n;
    ALTER TABLE t OWNER TO clerk";
const FINGERPRINT: &str = "SELECT md5(string_agg(t::text, ',' ORDER BY n)) || (SELECT tableowner FROM pg_tables WHERE tablename = 't') FROM t";

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_page_bring_a_backup_back() {
    let (lost, fresh) = (Server::start().unwrap(), Server::start().unwrap());
    lost.create_database("shop").unwrap();
    lost.psql("shop", FILL).unwrap();
    lost.psql("postgres", "CREATE TABLE in_postgres AS SELECT 7 AS seven").unwrap();
    let before = lost.psql("shop", FINGERPRINT).unwrap();
    let data = TempDir::new().unwrap();
    let directory = data.path().join("data");
    fs::create_dir_all(directory.join("folder")).unwrap();
    fs::write(directory.join("folder/file"), "content").unwrap();

    let plan = |plan: local_installation::Plan| {
        plan.agent(AgentPlan::postgresql("pg-agent", &lost))
            .agent(AgentPlan::files("files-agent", &directory))
            .broker(BrokerPlan::static_inventory("pg", "postgresql").instance("pg-1", "pg-agent"))
            .broker(
                BrokerPlan::static_inventory("files", "files")
                    .legacy_form()
                    .instance("files-1", "files-agent"),
            )
    };
    let house = House::start(plan, 2).await;
    let mut backups = Vec::new();
    for guid in ["pg-1", "files-1"] {
        let id = house.api.request_backup(guid).await.unwrap();
        let ended = house.api.ended_backup(guid, id).await.unwrap();
        assert_eq!(ended["status"], "done", "{ended}\n{}", house.logs());
        backups.push(ended["backup_id"].as_str().unwrap().to_owned());
    }

    // The disaster: what is left is the bucket and the text of the operator's key.
    let left = TempDir::new().unwrap();
    let (bucket, store) = (left.path().join("bucket"), house.installation.store_directory());
    assert!(Command::new("cp").arg("--recursive").args([store, bucket]).status().unwrap().success());
    let settings = fs::read_to_string(house.installation.manager_file()).unwrap();
    let key = settings.split("key: \"").nth(1).unwrap().split('"').next().unwrap();
    fs::write(left.path().join("operator-key"), format!("{key}\n")).unwrap();
    drop((house, lost, data));

    let mut rescues: Vec<Rescue> = backups.iter().map(|id| rescue(left.path(), id, &fresh)).collect();
    let common = ["Prepare", "The key", "With `backup-agent fetch`"];
    for rescue in &mut rescues {
        let shown = rescue.run(&common, "");
        assert!(backups.iter().all(|id| shown.contains(id)), "both are listed: {shown}");
    }
    let check = ["Prepare", "Check and join the parts"];
    let [postgresql, files] = &mut rescues[..] else { panic!("two backups") };
    let typed = fs::read_to_string(postgresql.file("key")).unwrap();
    let default =
        [&check[..], &["The default form: zstd then age", "Load the stream", "postgresql"]].concat();
    postgresql.run(&default, &typed);
    assert_eq!(fresh.psql("shop", FINGERPRINT).unwrap(), before);
    assert_eq!(fresh.psql("postgres", "SELECT seven FROM in_postgres").unwrap(), "7");

    let legacy =
        [&check[..], &["The legacy form: gzip then openssl-enc", "Load the stream", "files"]].concat();
    files.run(&legacy, "");
    assert_eq!(fs::read_to_string(files.file("restored/folder/file")).unwrap(), "content");

    for rescue in &rescues {
        let (fetched, by_hand) = (fs::read(rescue.file("fetched.tar")), fs::read(rescue.file("backup.tar")));
        assert!(fetched.unwrap() == by_hand.unwrap(), "fetch and the public programs agree");
    }
    let executed: BTreeSet<String> = rescues.into_iter().flat_map(|rescue| rescue.executed).collect();
    let on_the_page: BTreeSet<String> = blocks().into_iter().map(|(heading, _)| heading).collect();
    assert_eq!(executed, on_the_page, "every command of the page is executed");
}

fn rescue(left: &Path, id: &str, server: &Server) -> Rescue {
    let directory = left.join(id);
    fs::create_dir(&directory).unwrap();
    let programs = Programs::beside_this_one().unwrap();
    programs.find("backup-agent").unwrap();
    let path = format!(
        "{}:{}:/usr/bin:{}",
        programs.directory().display(),
        server.bin_directory().display(),
        std::env::var("PATH").unwrap()
    );
    let environment = vec![
        ("PATH", path),
        ("BUCKET", left.join("bucket").display().to_string()),
        ("BACKUP_ID", id.to_owned()),
        ("OPERATOR_KEY_FILE", left.join("operator-key").display().to_string()),
        ("PGHOST", "127.0.0.1".to_owned()),
        ("PGPORT", server.port().to_string()),
        ("PGUSER", "postgres".to_owned()),
        ("PGPASSWORD", server.password().unwrap_or_default().to_owned()),
    ];
    Rescue { directory, environment, executed: BTreeSet::new() }
}
