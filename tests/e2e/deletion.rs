//! Queues `initialize_backup_deletion_job` and `backup_deleter_job` with real processes.

use std::time::Duration;

use reqwest::Method;

use crate::house::{House, Pretender};

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test(flavor = "multi_thread")]
async fn deletion_respects_count_and_age_and_shows_its_plan_first() {
    let pretender = Pretender::new();
    let house = House::start(
        |plan| {
            pretender.plan(plan, &["i-1"]).setting("min_backups_per_instance", 2).setting("min_backup_age", 3)
        },
        1,
    )
    .await;
    for _ in 0..4 {
        let id = house.api.request_backup("i-1").await.unwrap();
        assert_eq!(house.api.ended_backup("i-1", id).await.unwrap()["status"], "done");
    }
    let statuses = "SELECT string_agg(status, ',' ORDER BY id) FROM backups";
    house.fire("delete_backup_mark").await;
    assert_eq!(house.value(statuses), "done,done,done,done");
    house.database.advance(4 * DAY).unwrap();
    let planned = house.api.get("/v2/retention").await.unwrap();
    let marks = planned.as_array().unwrap().iter().filter(|backup| backup["action"] == "mark").count();
    assert_eq!(marks, 2, "{planned}");
    house.fire("delete_backup_mark").await;
    house.until(statuses, "deleted,deleted,done,done").await;
    house.database.advance(2 * DAY).unwrap();
    house.fire("delete_backup_remove").await;
    house.until(statuses, "done,done").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_deletes_a_backup_at_once() {
    let pretender = Pretender::new();
    let house = House::start(|plan| pretender.plan(plan, &["i-1"]), 1).await;
    let id = house.api.request_backup("i-1").await.unwrap();
    house.api.ended_backup("i-1", id).await.unwrap();
    let path = format!("/instances/i-1/backups/{id}");
    assert_eq!(house.api.send(Method::DELETE, &path, None).await.unwrap().0, 200);
    assert_eq!(house.api.send(Method::GET, &path, None).await.unwrap().0, 404);
    assert_eq!(house.value("SELECT count(*) FROM backups"), "0");
}
