//! `backupctl` against the running daemons, as a person and as a program use it.

use std::process::{Command, Output};

use backup_testkit::Plan;
use local_installation::Programs;
use serde_json::Value;

use crate::house::{House, Pretender};

pub(crate) fn backupctl(house: &House, arguments: &[&str]) -> Output {
    Command::new(Programs::beside_this_one().unwrap().find("backupctl").unwrap())
        .args(arguments)
        .env("BACKUPCTL_URL", house.installation.http_url())
        .env("BACKUPCTL_USER", house.installation.user())
        .env("BACKUPCTL_PASSWORD", house.installation.password())
        .output()
        .unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_and_restores_are_made_waited_for_and_listed() {
    let pretender = Pretender::new();
    let house = House::start(|plan| pretender.plan(plan, &["i-1"]), 1).await;
    let created = backupctl(&house, &["--output", "json", "backups", "create", "i-1", "--wait"]);
    assert_eq!(created.status.code(), Some(0), "{created:?}");
    let id = json(&created)["id"].to_string();
    let listed = backupctl(&house, &["--output", "json", "backups", "list", "i-1"]);
    assert_eq!(json(&listed)[0]["status"], "done");
    let table = backupctl(&house, &["backups", "list", "i-1"]);
    assert!(String::from_utf8_lossy(&table.stdout).contains("done"), "{table:?}");
    let restored = backupctl(&house, &["restores", "create", "i-1", &id, "--wait"]);
    assert_eq!(restored.status.code(), Some(0), "{restored:?}");
    let queues = backupctl(&house, &["--output", "json", "queues"]);
    assert_eq!(json(&queues).as_array().unwrap().len(), 7);
    let plan = backupctl(&house, &["--output", "json", "retention", "--dry-run"]);
    assert_eq!(json(&plan)[0]["action"], "keep");
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_tell_programs_what_happened() {
    let pretender = Pretender::new();
    let house = House::start(|plan| pretender.plan(plan, &["i-1"]), 1).await;
    let code = |arguments: &[&str]| backupctl(&house, arguments).status.code();
    assert_eq!(code(&["backups", "list", "nobody"]), Some(3));
    assert_eq!(code(&["nonsense"]), Some(2));
    pretender.agent.plan(Plan::failed("data_service_error", "the disk is full"));
    let failed = backupctl(&house, &["backups", "create", "i-1", "--wait"]);
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    assert!(String::from_utf8_lossy(&failed.stderr).contains("the disk is full"), "{failed:?}");
    let id = house.value("SELECT max(id) FROM backups");
    assert_eq!(code(&["restores", "create", "i-1", &id]), Some(4), "a failed backup cannot be restored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_that_could_not_be_confirmed_is_a_visible_end() {
    let mut pretender = Pretender::new();
    let quickly = |plan| pretender.plan(plan, &["i-1"]).setting("jobs.backup_agent.cancel_wait", "1s");
    let house = House::start(quickly, 1).await;
    pretender.agent.plan(Plan::running());
    let id = house.api.request_backup("i-1").await.unwrap();
    let path = format!("/instances/i-1/backups/{id}");
    house.api.wait(&path, |backup| backup["status"] == "running").await.unwrap();
    pretender.agent.down();
    let id_text = id.to_string();
    let cancelled = backupctl(&house, &["backups", "cancel", "i-1", &id_text]);
    assert_eq!(cancelled.status.code(), Some(0), "{cancelled:?}");
    let ended = house.api.ended_backup("i-1", id).await.unwrap();
    assert_eq!(
        (&ended["status"], &ended["reason_code"]),
        (&Value::from("failed"), &Value::from("cancelled"))
    );
    assert!(ended["msg"].as_str().unwrap().contains("could not be confirmed"), "{ended}");
    let shown = backupctl(&house, &["backups", "show", "i-1", &id_text]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("cancelled") && shown.contains("could not be confirmed"), "{shown}");
    let again = backupctl(&house, &["backups", "cancel", "i-1", &id_text]);
    assert_eq!(again.status.code(), Some(4), "it has ended: {again:?}");
}
