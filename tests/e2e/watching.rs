//! Agents that refuse, are away, lie or fail, and what clients see of it.

use backup_testkit::{AgentFault, Answer, Plan};
use serde_json::json;

use crate::house::{House, Pretender};

#[tokio::test(flavor = "multi_thread")]
async fn the_watchers_learn_done_and_failed_of_backups_and_restores() {
    let pretender = Pretender::new();
    let house = House::start(|plan| pretender.plan(plan, &["i-1", "i-2"]), 2).await;
    let id = house.api.request_backup("i-1").await.unwrap();
    assert_eq!(house.api.ended_backup("i-1", id).await.unwrap()["status"], "done");
    assert_eq!(house.api.restore("i-1", id).await.unwrap()["status"], "done");

    pretender.agent.plan(Plan::failed("data_service_error", "pg_dump: broken"));
    let failed = house.api.request_backup("i-2").await.unwrap();
    let failed = house.api.ended_backup("i-2", failed).await.unwrap();
    assert_eq!(
        (failed["status"].as_str(), failed["reason_code"].as_str()),
        (Some("failed"), Some("data_service_error"))
    );
    assert_eq!(failed["msg"], "pg_dump: broken");
    let restore = house.api.restore("i-1", id).await.unwrap();
    assert_eq!(restore["status"], "failed", "{restore}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_refuses_or_answers_rubbish_ends_in_a_failed_backup_with_a_reason() {
    let pretender = Pretender::new();
    let house =
        House::start(|plan| pretender.plan(plan, &["i-1"]).setting("jobs.backup_agent.max_attempts", 2), 1)
            .await;
    pretender.agent.fail_start(AgentFault::Instead(Answer::Json(
        400,
        json!({"error": "BadRequest", "description": "no store local"}),
    )));
    let id = house.api.request_backup("i-1").await.unwrap();
    let refused = house.api.ended_backup("i-1", id).await.unwrap();
    assert_eq!(refused["reason_code"], "agent_rejected");

    for _ in 0..2 {
        pretender.agent.fail_start(AgentFault::Instead(Answer::Text(200, "<html>".into())));
    }
    let id = house.api.request_backup("i-1").await.unwrap();
    let rubbish = house.api.ended_backup("i-1", id).await.unwrap();
    // It may have started: the watcher asks, and the agent has never heard of it.
    assert_eq!(rubbish["reason_code"], "agent_lost_operation", "{rubbish}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_down_fails_the_backup_after_all_attempts() {
    let mut pretender = Pretender::new();
    let house =
        House::start(|plan| pretender.plan(plan, &["i-1"]).setting("jobs.backup_agent.max_attempts", 2), 1)
            .await;
    pretender.agent.down();
    let id = house.api.request_backup("i-1").await.unwrap();
    let ended = house.api.ended_backup("i-1", id).await.unwrap();
    assert_eq!(ended["reason_code"], "agent_unreachable", "{ended}");
    let failed = house.api.get("/v2/queues").await.unwrap();
    assert_eq!(failed.as_array().unwrap().len(), 7, "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_backup_and_a_running_restore_can_be_cancelled() {
    let pretender = Pretender::new();
    let house = House::start(|plan| pretender.plan(plan, &["i-1"]), 1).await;
    let good = house.api.request_backup("i-1").await.unwrap();
    house.api.ended_backup("i-1", good).await.unwrap();

    pretender.agent.plan(Plan::running());
    let id = house.api.request_backup("i-1").await.unwrap();
    house
        .api
        .wait(&format!("/instances/i-1/backups/{id}"), |backup| backup["status"] == "running")
        .await
        .unwrap();
    house.api.post(&format!("/instances/i-1/backups/{id}/cancel"), json!({})).await.unwrap();
    let cancelled = house.api.ended_backup("i-1", id).await.unwrap();
    assert_eq!(cancelled["reason_code"], "cancelled", "{cancelled}");

    let restore = house.api.post(&format!("/instances/i-1/backups/{good}/restore"), json!({})).await.unwrap();
    let path = format!("/instances/i-1/restores/{}", restore["id"]);
    house.api.wait(&path, |restore| restore["status"] == "running").await.unwrap();
    house.api.post(&format!("{path}/cancel"), json!({})).await.unwrap();
    let cancelled = house.api.wait(&path, backup_tests::has_ended).await.unwrap();
    assert_eq!(cancelled["reason_code"], "cancelled", "{cancelled}");
}
