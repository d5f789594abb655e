//! Queues `backup_all_job` and `update_instance_state_job` with real processes.

use backup_testkit::{Answer, FakeBroker, Plan, Resource};
use local_installation::BrokerPlan;
use serde_json::json;

use crate::house::{House, Pretender};

fn http(broker: &FakeBroker, pretender: &Pretender) -> BrokerPlan {
    let (user, password) = broker.credential();
    let (agent_user, agent_password) = pretender.agent.credential();
    BrokerPlan::http("http", "postgresql", &broker.url(), &user, &password)
        .agent_credential(&agent_user, &agent_password)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_everything_fans_out_over_two_brokers() {
    let pretender = Pretender::new();
    // All instances share one agent here, which works on one backup at a time.
    pretender.agent.plan(Plan::done());
    let broker = FakeBroker::start().unwrap();
    broker.set_page_size(2);
    for number in 0..5 {
        broker.add(Resource::available(number, &format!("http-{number}")).agent(&pretender.agent.url()));
    }
    broker.add(Resource::available(9, "http-stopped").agent(&pretender.agent.url()).with("state", "stopped"));
    let inventory = pretender.broker("inventory").instance_at("static-1", &pretender.agent.url());
    let house =
        House::start(|plan| pretender.store(plan).broker(inventory).broker(http(&broker, &pretender)), 7)
            .await;
    house.api.post("/backup_agent/backup_all", json!({})).await.unwrap();
    house.until("SELECT count(*) FROM backups WHERE status = 'done'", "6").await;
    assert_eq!(house.value("SELECT count(DISTINCT service_instance_id) FROM backups"), "6");
    assert_eq!(pretender.agent.operations().len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_instance_loses_its_backups_only_after_their_time_and_a_half_listing_deletes_nothing() {
    let pretender = Pretender::new();
    let broker = FakeBroker::start().unwrap();
    broker.set_page_size(1);
    for guid in ["i-1", "i-2"] {
        broker.add(Resource::available(1, guid).agent(&pretender.agent.url()));
    }
    let house = House::start(|plan| pretender.store(plan).broker(http(&broker, &pretender)), 2).await;
    let id = house.api.request_backup("i-1").await.unwrap();
    assert_eq!(house.api.ended_backup("i-1", id).await.unwrap()["status"], "done");

    // The broker says that i-1 is deleted, but fails half-way.
    broker.change("i-1", |resource| resource.deleted("2026-01-01T00:00:00Z"));
    broker.fail_page(2, Answer::Json(500, json!({})));
    house.synchronise().await;
    house.until("SELECT (last_error IS NOT NULL)::text FROM service_brokers", "true").await;
    assert_eq!(house.value("SELECT count(*) FROM service_instances WHERE deleted_at IS NOT NULL"), "0");

    broker.heal();
    house.synchronise().await;
    house.until("SELECT string_agg(status, ',') FROM backups", "deleted").await;
    assert_eq!(house.api.send(reqwest::Method::POST, "/instances/i-1/backups", None).await.unwrap().0, 410);
    house.fire("delete_backup_remove").await;
    assert_eq!(house.value("SELECT count(*) FROM backups"), "1");
    house.database.advance(std::time::Duration::from_secs(31 * 24 * 3600)).unwrap();
    house.fire("delete_backup_remove").await;
    house.until("SELECT count(*) FROM backups", "0").await;
}
