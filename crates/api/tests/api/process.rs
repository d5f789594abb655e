//! The program itself: its exit codes and what it says.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use backup_testkit::Database;
use tempfile::TempDir;

use crate::app::PASSWORD;

pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backup-manager-api"));
    command.env_remove("BACKUP_MANAGER_LOG");
    command
}

pub(crate) fn configuration(url: &str, more: &str) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let hash = backup_api::hash_password(&PASSWORD.into()).unwrap();
    let text = format!(
        "
backup_manager_encryption_keys: [{{id: one, key: 0123456789abcdef}}]
listen: {{http: '127.0.0.1:0', https: null, drain: 0s}}
auth: {{users: [{{name: admin, password_hash: '{hash}', role: operator}}]}}
database: {{url: '{url}', connect_timeout: 4s, acquire_timeout: 500ms}}
service_brokers:
  - {{name: b, static_inventory: /i.yml, agent: {{token: t0ken}}, data_service: postgresql, store: main}}
stores: {{main: {{kind: local, directory: {}}}}}
{more}",
        directory.path().display()
    );
    let path = directory.path().join("backup-manager.yml");
    std::fs::write(&path, text).unwrap();
    (directory, path.display().to_string())
}

/// The program while it serves; killed when dropped.
pub(crate) struct Program {
    child: Child,
    address: SocketAddr,
    directory: TempDir,
}

impl Program {
    /// Starts it over this database. `more` overrides keys, as `BACKUP_MANAGER__LISTEN__DRAIN=2s`.
    pub(crate) fn start(url: &str, more: &str) -> Self {
        let (directory, config) = configuration(url, "");
        let mut command = program();
        command.args(["serve", "--config", &config]).stderr(Stdio::piped());
        command.envs(more.split_whitespace().map(|pair| pair.split_once('=').unwrap()));
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let address =
            lines.find_map(|line| line.split_once("answering on http://")?.1.trim().parse().ok()).unwrap();
        // Nobody shall wait for a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address, directory }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The directory of its store.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A line of `/proc/…/status`, in KiB.
    pub(crate) fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn terminate(&self) {
        assert!(Command::new("kill").arg(self.id().to_string()).status().unwrap().success());
    }

    /// Its exit code, once it has ended by itself.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        ended(&mut self.child)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails when it has ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn check_config_says_ok_or_everything_that_is_wrong() {
    let (_directory, config) = configuration("postgres://nowhere/x", "");
    let output = run(&["check-config", "--config", &config]);
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"ok\n"[..]), "{}", said(&output));
    let (_directory, config) =
        configuration("postgres://nowhere/x", "min_backup_age: -1\nworkers: [{queues: odd_job}]");
    let output = run(&["check-config", "--config", &config]);
    assert_eq!(output.status.code(), Some(78));
    assert!(
        said(&output).contains("min_backup_age: found -1; allowed: 0 to 36500 days"),
        "{}",
        said(&output)
    );
    assert!(
        said(&output).contains("workers[0].queues: found the queue \"odd_job\"; allowed: backup_all_job")
    );
}

#[test]
fn a_database_url_that_libpq_could_not_read_is_refused_and_not_shown() {
    for url in ["postgress://u:hunter2@h/x", "mysql://u:hunter2@h/x", "postgres://u:hunter2%@h/x", "hunter2"]
    {
        let (_directory, config) = configuration(url, "");
        for command in ["check-config", "serve"] {
            let output = run(&[command, "--config", &config]);
            assert_eq!(output.status.code(), Some(78), "{}", said(&output));
            assert!(said(&output).contains("database.url: found a "), "{}", said(&output));
            assert!(!said(&output).contains("hunter2"), "{}", said(&output));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_the_access_log_names_the_user_and_the_refusal() {
    let database = Database::create().unwrap();
    let (_directory, config) = configuration(&database.url(), "");
    let mut child = program().args(["serve", "--config", &config]).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let address = lines.find_map(|line| Some(line.split_once("answering on ")?.1.trim().to_owned())).unwrap();
    let client = reqwest::Client::new();
    let cases = [
        ("/instances", Some(PASSWORD), "user=\"admin\"", ""),
        ("/instances/g-1", Some(PASSWORD), "user=\"admin\"", "error=\"NotFound\""),
        ("/nowhere", Some(PASSWORD), "user=\"admin\"", "error=\"NotFound\""),
        ("/instances", Some("wrong"), "", "error=\"Unauthorized\""),
        ("/instances", None, "", "error=\"Unauthorized\""),
        ("/v2/healthy", None, "", "error=\"Unhealthy\""),
    ];
    for (path, password, user, error) in cases {
        let request = client.get(format!("{address}{path}"));
        let request = match password {
            Some(password) => request.basic_auth("admin", Some(password)),
            None => request,
        };
        request.send().await.unwrap();
        let line = lines.find(|line| line.contains("answered")).unwrap();
        assert_eq!(
            (line.contains("user="), line.contains("error=")),
            (!user.is_empty(), !error.is_empty()),
            "{line}"
        );
        assert!(line.contains(user) && line.contains(error) && line.contains(path), "{line}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_bad_configuration_ends_with_78_before_anything_is_started() {
    let output = run(&["--config", "/nowhere/backup-manager.yml"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(said(&output).contains("/nowhere/backup-manager.yml cannot be read"), "{}", said(&output));
    assert_eq!(run(&["--no-such-option"]).status.code(), Some(2));
}

#[test]
fn an_unreachable_database_is_tried_again_and_then_ends_with_69() {
    let (_directory, config) = configuration("postgres://u:hunter2@127.0.0.1:9/x", "");
    let output = run(&["serve", "--config", &config]);
    assert_eq!(output.status.code(), Some(69), "{}", said(&output));
    assert!(said(&output).contains("waiting for the database"), "{}", said(&output));
    assert!(said(&output).contains("backup-manager-api: the database is unavailable"), "{}", said(&output));
    assert!(!said(&output).contains("hunter2"), "{}", said(&output));
}

#[test]
fn a_password_is_hashed_so_that_the_configuration_takes_it() {
    let mut child =
        program().arg("hash-password").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"my password\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.stdout.starts_with(b"$argon2id$v=19$"), "{output:?}");
}

#[test]
fn an_empty_database_is_migrated_at_the_start_and_sigterm_ends_with_0() {
    let database = Database::empty().unwrap();
    let (_directory, config) = configuration(&database.url(), "");
    let mut child = program().args(["serve", "--config", &config]).stderr(Stdio::piped()).spawn().unwrap();
    // Standard error is closed when this returns; the program has to end well all the same.
    let log = wait_for(&mut child, "answering on http://127.0.0.1:");
    assert!(log.contains("the database's schema was brought up to date"), "{log}");
    assert_eq!(database.value("SELECT count(*) FROM backups").unwrap().unwrap(), "0");
    let killed = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(killed.success());
    assert_eq!(ended(&mut child), Some(0));
}

/// The exit code, or a killed program after half a minute.
fn ended(child: &mut Child) -> Option<i32> {
    for _ in 0..300 {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("the program did not end");
}

/// Reads the log up to a line that contains `words`.
fn wait_for(child: &mut Child, words: &str) -> String {
    let mut log = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        log = format!("{log}{line}\n");
        if line.contains(words) {
            return log;
        }
    }
    panic!("the program ended without saying {words:?}: {log}");
}
