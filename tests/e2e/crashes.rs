//! `kill -9` in the middle of a backup, and Postgres going away: every request still ends, and nothing needs a restart.

use std::fs;
use std::time::Duration;

use backup_testkit::{AgentFault, Answer, Plan};
use backup_tests::Client;
use local_installation::{AgentPlan, BrokerPlan, Installation};
use private_postgres::{Options, Server};
use serde_json::Value;
use tempfile::TempDir;

use crate::house::{House, Pretender, quick};

/// A house whose fake agent works on a backup until told otherwise.
async fn running(pretender: &Pretender) -> (House, i64) {
    let house = House::start(|plan| pretender.plan(plan, &["i-1"]), 1).await;
    pretender.agent.plan(Plan::running());
    let id = house.api.request_backup("i-1").await.unwrap();
    house
        .api
        .wait(&format!("/instances/i-1/backups/{id}"), |backup| backup["status"] == "running")
        .await
        .unwrap();
    (house, id)
}

fn finish(pretender: &Pretender) {
    let name = pretender.agent.operations()[0].id.clone();
    pretender.agent.replan(&name, Plan::done());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_survives_the_death_of_every_worker() {
    let pretender = Pretender::new();
    let (mut house, id) = running(&pretender).await;
    for worker in &mut house.installation.workers {
        worker.kill().unwrap();
    }
    finish(&pretender);
    for worker in &mut house.installation.workers {
        worker.start().unwrap();
    }
    assert_eq!(house.api.ended_backup("i-1", id).await.unwrap()["status"], "done");
    assert_eq!(pretender.agent.operations().len(), 1);
}

/// Kills every worker while the agent holds its answer to the first request to start, and starts them again.
async fn killed_while_the_agent_is_asked(fault: AgentFault, begun: usize) {
    let pretender = Pretender::new();
    let mut house = House::start(|plan| pretender.plan(plan, &["i-1"]), 1).await;
    pretender.agent.fail_start(fault);
    let id = house.api.request_backup("i-1").await.unwrap();
    let asked = || pretender.agent.requests().into_iter().filter(|request| request.method == "PUT");
    while asked().count() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for worker in &mut house.installation.workers {
        worker.kill().unwrap();
    }
    assert_eq!(pretender.agent.operations().len(), begun);
    let fixed = "SELECT status || ' ' || dispatch_epoch || ' ' || may_be_at_agent FROM backups";
    assert_eq!(house.value(fixed), "queued 1 true");
    for worker in &mut house.installation.workers {
        worker.start().unwrap();
    }
    assert_eq!(house.api.ended_backup("i-1", id).await.unwrap()["status"], "done", "{}", house.logs());
    assert_eq!(pretender.agent.operations().len(), 1);
    let epochs: Vec<_> = asked().map(|request| request.json()["epoch"].as_i64().unwrap()).collect();
    assert_eq!(epochs, [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_before_the_agent_acted_on_its_request_loses_nothing() {
    let nothing = Answer::Slow(Duration::from_secs(60), Box::new(Answer::Disconnect));
    killed_while_the_agent_is_asked(AgentFault::Instead(nothing), 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_between_the_agents_answer_and_its_record_repeats_nothing() {
    let nothing = Answer::Slow(Duration::from_secs(60), Box::new(Answer::Disconnect));
    killed_while_the_agent_is_asked(AgentFault::After(nothing), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_survives_the_death_of_the_api() {
    let pretender = Pretender::new();
    let (mut house, id) = running(&pretender).await;
    house.installation.api.kill().unwrap();
    finish(&pretender);
    house.installation.start_api().unwrap();
    assert_eq!(house.api.ended_backup("i-1", id).await.unwrap()["status"], "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_reports_its_backup_as_interrupted_and_makes_the_next_one() {
    let data = TempDir::new().unwrap();
    let directory = data.path().join("data");
    fs::create_dir(&directory).unwrap();
    // Enough, and incompressible enough, to be killed in the middle of.
    let mut noise = 1_u64;
    let block: Vec<u8> = (0..8 << 20)
        .map(|_| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            noise.to_be_bytes()[0]
        })
        .collect();
    for number in 0..40 {
        fs::write(directory.join(format!("file-{number}")), &block).unwrap();
    }
    let mut house = House::start(
        |plan| {
            plan.agent(AgentPlan::files("files-agent", &directory))
                .broker(BrokerPlan::static_inventory("inventory", "files").instance("files-1", "files-agent"))
        },
        1,
    )
    .await;
    let id = house.api.request_backup("files-1").await.unwrap();
    let path = format!("/instances/files-1/backups/{id}");
    house.api.wait(&path, |backup| backup["status"] != "queued").await.unwrap();
    house.installation.agents_mut()[0].daemon.kill().unwrap();
    house.installation.agents_mut()[0].start().unwrap();
    let ended = house.api.ended_backup("files-1", id).await.unwrap();
    assert_eq!(ended["reason_code"], "agent_interrupted", "{ended}\n{}", house.logs());

    let next = house.api.request_backup("files-1").await.unwrap();
    let next = house.api.ended_backup("files-1", next).await.unwrap();
    assert_eq!(next["status"], "done", "{next}\n{}", house.logs());
    // What the first one left in the store goes.
    house.until("SELECT count(*) FROM backups WHERE has_remains", "0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_may_restart_under_running_daemons() {
    let pretender = Pretender::new();
    let mut server = Server::start_with(Options::default().durable()).unwrap();
    server.create_database("manager").unwrap();
    let plan = pretender.plan(quick(&server.url("manager")), &["i-1"]);
    let mut installation = Installation::prepare(&plan).unwrap();
    installation.start().unwrap();
    let api = Client::new(&installation.http_url(), installation.user(), installation.password()).unwrap();
    server
        .psql("manager", "UPDATE schedules SET next_run_at = now() WHERE name = 'update_instance_state'")
        .unwrap();
    api.wait("/instances", |list| list.as_array().is_some_and(|list| !list.is_empty())).await.unwrap();
    pretender.agent.plan(Plan::running());
    let id = api.request_backup("i-1").await.unwrap();
    api.wait(&format!("/instances/i-1/backups/{id}"), |backup| backup["status"] == "running").await.unwrap();

    server.kill().unwrap();
    let (status, body) = api.send(reqwest::Method::GET, "/instances/i-1/backups", None).await.unwrap();
    assert_eq!(status, 503, "{body}");
    assert!(body["error"].is_string() && body["description"].is_string(), "{body}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.resume().unwrap();
    finish(&pretender);
    let ended: Value = api.ended_backup("i-1", id).await.unwrap();
    assert_eq!(ended["status"], "done", "{ended}");
    for daemon in installation.daemons() {
        assert!(daemon.pid().is_some(), "{} was not to be restarted", daemon.name());
    }
}
