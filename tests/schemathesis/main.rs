//! A stranger with the OpenAPI document: schemathesis makes requests from it, good and bad ones, and compares the
//! answers of a real installation with what the document says. `schemathesis.toml` says how, `requirements.txt` which
//! version; `cargo xtask test` installs it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::print_stdout, reason = "the report of the tool, and that it was not there to make one")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use backup_testkit::{Database, FakeAgent, Plan as Fate};
use backup_tests::Client;
use local_installation::{BrokerPlan, Installation, Plan, Programs};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The instances of the dictionary in `schemathesis.toml`; the first is also the example in the document.
const INSTANCES: [&str; 2] = ["7c9e6679-7425-40de-944b-e07fc1f90ae7", "0b6c8f4e-2d5b-4f0a-8a53-6f7d1c1e9a02"];

/// The instance of the downloads, which has the backups 1 and 2.
const DOWNLOADS: &str = "3f1d2c66-0a57-4a3e-9d0b-5f0e6a7b8c90";

/// Set by `cargo xtask test`.
const PROGRAM_VARIABLE: &str = "BACKUP_TEST_SCHEMATHESIS";

fn all() -> impl Iterator<Item = &'static str> {
    std::iter::once(DOWNLOADS).chain(INSTANCES)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemathesis")
}

/// The installed program, where `cargo xtask test` puts it.
fn program() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(PROGRAM_VARIABLE) {
        return Some(path.into());
    }
    let requirements = std::fs::read_to_string(folder().join("requirements.txt")).unwrap();
    let version = requirements.lines().find_map(|line| line.strip_prefix("schemathesis==")).unwrap();
    let programs = Programs::beside_this_one().unwrap();
    let tool = format!("tools/schemathesis-{version}/bin/schemathesis");
    Some(programs.directory().parent().unwrap().join(tool)).filter(|path| path.exists())
}

/// Instances with backups and restores, of which some are done.
async fn furnish(api: &Client) {
    for instance in all() {
        // With a key of the owner's own the backups can be downloaded.
        let key = json!({"encryption_key": "correct horse battery staple"});
        let (status, said) =
            api.send(Method::PUT, &format!("/instances/{instance}"), Some(key)).await.unwrap();
        assert_eq!(status, 200, "{said}");
        let mut backups = Vec::new();
        for _ in 0..2 {
            let id = api.request_backup(instance).await.unwrap();
            assert_eq!(api.ended_backup(instance, id).await.unwrap()["status"], "done");
            backups.push(id);
        }
        assert_eq!(api.restore(instance, backups[0]).await.unwrap()["status"], "done");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_the_answer_is_one_of_the_document() {
    let Some(program) = program() else {
        println!("SKIPPED: schemathesis is not installed; `cargo xtask test` installs it");
        return;
    };
    let store = TempDir::new().unwrap();
    let agent = FakeAgent::start(store.path()).unwrap();
    agent.plan(Fate::done());
    let (user, password) = agent.credential();
    let mut broker =
        BrokerPlan::static_inventory("inventory", "postgresql").agent_credential(&user, &password);
    for instance in all() {
        broker = broker.instance_at(instance, &agent.url());
    }
    let database = Database::empty().unwrap();
    let plan = Plan::new(database.url())
        .broker(broker)
        .setting("stores.local.directory", store.path().display().to_string())
        .setting("allow_backup_download", true)
        // See hooks.py.
        .setting("listen.trusted_proxies", json!(["127.0.0.1/32"]))
        .setting("full_backup_repeat", "0 0 29 2 *")
        .setting("delete_backup_repeat", "0 0 29 2 *")
        .setting("jobs.watcher.interval", "300ms")
        .setting("jobs.poll_interval", "300ms");
    let mut installation = Installation::prepare(&plan).unwrap();
    installation.start().unwrap();
    let api = Client::new(&installation.http_url(), installation.user(), installation.password()).unwrap();
    let known = |list: &Value| list.as_array().is_some_and(|list| list.len() == all().count());
    api.wait("/instances", known).await.unwrap();
    furnish(&api).await;

    let work = TempDir::new().unwrap();
    let mut command = Command::new(program);
    command
        .current_dir(work.path())
        .env("SCHEMATHESIS_HOOKS", folder().join("hooks.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg("--config-file")
        .arg(folder().join("schemathesis.toml"))
        .args(["run", "--no-color", "--checks", "all"])
        .args(["--auth", &format!("{}:{}", installation.user(), installation.password())])
        .arg(format!("{}/openapi.json", installation.http_url()));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    assert!(output.status.success(), "{said}");
    // Not green because nothing was asked.
    for phase in ["Examples", "Coverage", "Fuzzing", "Stateful"] {
        assert!(said.contains(phase), "{phase} is missing");
    }
    // And it did no harm.
    assert_eq!(api.wait("/livez", |_| true).await.unwrap()["status"], "alive");
    tokio::time::timeout(Duration::from_secs(60), api.wait("/v2/healthy", |_| true)).await.unwrap().unwrap();
}
