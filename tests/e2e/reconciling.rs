//! `backupctl reconcile` with real processes: what was done behind the manager's back is named, and a metric shows it.

use std::fs;
use std::process::Command;
use std::time::Duration;

use backup_testkit::Plan;
use local_installation::Programs;
use serde_json::{Value, json};

use crate::house::{House, Pretender};

fn reconcile(house: &House) -> (i32, Value) {
    let output = Command::new(Programs::beside_this_one().unwrap().find("backupctl").unwrap())
        .args(["reconcile", "--output", "json", "--wait-interval", "100ms"])
        .env("BACKUPCTL_URL", house.installation.http_url())
        .env("BACKUPCTL_USER", house.installation.user())
        .env("BACKUPCTL_PASSWORD", house.installation.password())
        .output()
        .unwrap();
    let answer = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code().unwrap(), answer)
}

async fn metrics(house: &House) -> String {
    let request = reqwest::Client::new().get(format!("{}/metrics", house.installation.http_url()));
    let request = request.basic_auth(house.installation.user(), Some(house.installation.password()));
    request.send().await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_behind_the_managers_back_is_named_and_the_metric_shows_it() {
    let pretender = Pretender::new();
    let house = House::start(|plan| pretender.plan(plan, &["i-1"]), 1).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let id = house.api.request_backup("i-1").await.unwrap();
        assert_eq!(house.api.ended_backup("i-1", id).await.unwrap()["status"], "done");
        ids.push(id);
    }
    let (code, agreed) = reconcile(&house);
    assert_eq!((code, &agreed["differences"], &agreed["findings"]), (0, &json!(0), &json!([])));

    // An object vanishes, a folder appears, and an agent forgets what it runs and runs what nobody knows.
    let place = |column: &str| house.value(&format!("SELECT {column} FROM backups WHERE id = {}", ids[0]));
    let folder = pretender.directory().join(place("object_prefix")).join(place("backup_id"));
    fs::remove_file(folder.join("data.00002")).unwrap();
    let alien = pretender.directory().join("backups/nobody/nobody-1");
    fs::create_dir_all(&alien).unwrap();
    fs::write(alien.join("data.00001"), "somebody's").unwrap();
    pretender.agent.plan(Plan::running());
    let id = house.api.request_backup("i-1").await.unwrap();
    house
        .api
        .wait(&format!("/instances/i-1/backups/{id}"), |backup| backup["status"] == "running")
        .await
        .unwrap();
    pretender.agent.forget();
    let forgotten = house.api.ended_backup("i-1", id).await.unwrap();
    assert_eq!(forgotten["reason_code"], "agent_lost_operation", "the watcher has seen to it");
    let (user, password) = pretender.agent.credential();
    let start = json!({"epoch": 1, "store": "local", "object_prefix": "backups/x", "part_size_limit": 100_000,
        "instance": {"guid": "i-1", "data_service": "postgresql"}, "deadline": "2099-01-01T00:00:00Z",
        "encryption": {"scheme": "age", "key": "k", "key_id": "1"}, "compression": {"scheme": "zstd", "level": 3}});
    let url = format!("{}/v1/backups/stranger", pretender.agent.url());
    let started = reqwest::Client::new().put(url).basic_auth(user, Some(password)).json(&start).send().await;
    assert_eq!(started.unwrap().status(), 202);
    house.database.advance(Duration::from_secs(2 * 3600)).unwrap();

    let (code, differing) = reconcile(&house);
    assert_eq!(code, 1);
    let mut found: Vec<String> = differing["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            format!("{} {}", finding["kind"].as_str().unwrap(), finding["subject"].as_str().unwrap())
        })
        .collect();
    found.sort();
    let expected = [
        "operation_unknown_to_database backup stranger".to_owned(),
        format!("row_without_object backup {} ({})", ids[0], place("backup_id")),
        "unknown_folder local:backups/nobody/nobody-1".to_owned(),
    ];
    assert_eq!(found, expected, "{differing}");
    let text = metrics(&house).await;
    for kind in ["operation_unknown_to_database", "row_without_object", "unknown_folder"] {
        let line = format!("backup_manager_reconciliation_findings{{kind=\"{kind}\"}} 1");
        assert!(text.contains(&line), "{line}: {text}");
    }
    assert!(text.contains("backup_manager_reconciliation_findings{kind=\"size_mismatch\"} 0"), "{text}");
}
