//! Limits of running backups: never exceeded, passed on at once and in a fair order, and lost by no crash.

use std::collections::HashMap;
use std::time::Duration;

use backup_core::actions::adopt_operations::adopt_operations;
use backup_core::actions::cancel_operation::cancel_backup;
use backup_core::domain::actor::Actor;
use backup_core::domain::identifiers::{BackupId, ServiceInstanceGuid};
use backup_core::domain::places::Limits;
use backup_core::jobs::QUEUES;
use backup_core::queue::{Runner, RunnerConfig};
use backup_core::{Manager, Policy, jobs};
use backup_testkit::{FakeAgent, Plan, Resource};
use tokio_util::sync::CancellationToken;

use crate::world::World;

fn policy(fleet: i64) -> Policy {
    Policy { limits: Limits { fleet: Some(fleet), ..Limits::default() }, ..Policy::default() }
}

/// A world in which every instance has an agent of its own, whose operations run until they are told to end.
struct Fleet {
    world: World,
    agents: HashMap<ServiceInstanceGuid, FakeAgent>,
}

impl std::ops::Deref for Fleet {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl Fleet {
    fn new(brokers: usize, policy: Policy) -> Self {
        Self { world: World::with(brokers, policy), agents: HashMap::new() }
    }

    /// Instances of a broker, each of an owner of its own unless one is named.
    async fn instances(
        &mut self,
        broker: usize,
        names: &[&str],
        owner: Option<&str>,
    ) -> Vec<ServiceInstanceGuid> {
        for name in names {
            let agent = FakeAgent::start(self.world.store.path()).unwrap();
            agent.plan(Plan::running());
            let context = serde_json::json!({"organization_guid": owner.unwrap_or(name)});
            let id = i64::try_from(self.agents.len()).unwrap();
            let resource = Resource::available(id, name).with("context", context).agent(&agent.url());
            self.world.brokers[broker].add(resource);
            self.agents.insert(ServiceInstanceGuid::parse(name).unwrap(), agent);
        }
        self.world.synchronise().await;
        names.iter().map(|name| ServiceInstanceGuid::parse(name).unwrap()).collect()
    }

    /// Asks for a backup of each, one after the other.
    async fn request_all(&self, guids: &[ServiceInstanceGuid]) {
        for guid in guids {
            self.world.request(guid).await;
            self.world.settle().await;
        }
    }

    /// Lets the running backup of an instance end, and what follows from it happen, in no time.
    async fn end(&self, guid: &ServiceInstanceGuid) {
        let name = self.world.value(&format!(
            "SELECT backup_id FROM backups JOIN service_instances i ON i.id = service_instance_id
             WHERE status = 'running' AND guid = '{guid}'"
        ));
        self.agents[guid].replan(&name, Plan::done());
        self.world.database.execute("UPDATE jobs SET run_at = now() WHERE kind = 'check_operation'").unwrap();
        self.world.settle().await;
    }
}

fn waiting(world: &World) -> String {
    world.value(
        "SELECT string_agg(guid, ' ' ORDER BY asked_at) FROM places JOIN backups b ON b.id = backup_row_id
                 JOIN service_instances i ON i.id = service_instance_id WHERE held_since IS NULL",
    )
}

fn running(world: &World) -> String {
    world.value(
        "SELECT string_agg(guid, ' ' ORDER BY b.started_at) FROM backups b
                 JOIN service_instances i ON i.id = service_instance_id WHERE status = 'running'",
    )
}

fn lines(world: &World) -> String {
    world.value(
        "SELECT sum(waiting_on_demand) || ' ' || sum(waiting_scheduled) || ' ' || sum(held) FROM place_lines",
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_falls_free_wakes_the_next_at_once_and_nobody_looks_in_vain() {
    let mut world = Fleet::new(1, policy(1));
    let guids = world.instances(0, &["a", "b", "c"], None).await;
    world.request_all(&guids).await;
    assert_eq!((running(&world).as_str(), waiting(&world).as_str()), ("a", "b c"));
    assert_eq!(lines(&world), "2 0 1");
    world.pass(60).await;
    let looks = "SELECT string_agg(claim::text, ' ') FROM jobs WHERE kind = 'start_operation'";
    assert_eq!(world.value(looks), "1 1", "each has looked once");
    world.end(&guids[0]).await;
    assert_eq!((running(&world).as_str(), waiting(&world).as_str()), ("b", "c"));
    world.end(&guids[1]).await;
    world.end(&guids[2]).await;
    assert_eq!(world.value("SELECT count(*) FROM places"), "0");
    assert_eq!(lines(&world), "0 0 0");
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_and_owners_take_turns_and_on_demand_goes_first_but_not_always() {
    let mut world = Fleet::new(2, policy(1));
    let greedy = ["g1", "g2", "g3", "g4", "g5"];
    let guids = world.instances(0, &greedy, Some("greedy")).await;
    let modest = world.instances(0, &["m1"], Some("modest")).await;
    let other = world.instances(1, &["o1", "o2"], Some("other")).await;
    world.request_all(&guids[..1]).await;
    // The schedule's come first into the line, behind the one that runs.
    world.enqueue(jobs::backup_all());
    world.settle().await;
    assert_eq!(lines(&world), "0 7 1");
    world.database.execute("DELETE FROM places WHERE held_since IS NULL").unwrap();
    assert_eq!(lines(&world), "0 0 1");
    // All over again: four of them on demand now.
    let on_demand = "UPDATE backups SET is_scheduled = false FROM service_instances i
                     WHERE i.id = service_instance_id AND guid IN ('g2', 'g3', 'm1', 'o1')";
    world.database.execute(on_demand).unwrap();
    let queued = "UPDATE jobs SET run_at = now() + id * interval '1 microsecond', is_due = true WHERE kind = 'start_operation'";
    world.database.execute(queued).unwrap();
    world.settle().await;
    assert_eq!(lines(&world), "4 3 1");
    let mut order = Vec::new();
    for _ in 0..8 {
        let now = running(&world);
        world.end(&ServiceInstanceGuid::parse(&now).unwrap()).await;
        order.push(now);
    }
    let at = |name: &str| order.iter().position(|found| found == name).unwrap();
    assert_eq!(order[0], "g1");
    assert!(
        at("m1") <= 3 && at("o1") <= 3,
        "the single ones of others do not wait for all of one owner: {order:?}"
    );
    let scheduled = ["g4", "g5", "o2"].map(at);
    assert_eq!(scheduled.into_iter().min(), Some(4), "three on demand, then one of the schedule: {order:?}");
    assert_eq!(guids.len() + modest.len() + other.len(), order.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_a_broker_holds_up_its_instances_only() {
    let limits = Limits { per_broker: Some(1), ..Limits::default() };
    let mut world = Fleet::new(2, Policy { limits, ..Policy::default() });
    let first = world.instances(0, &["a", "b"], None).await;
    let second = world.instances(1, &["c"], None).await;
    world.request_all(&first).await;
    world.request_all(&second).await;
    assert_eq!((running(&world).as_str(), waiting(&world).as_str()), ("a c", "b"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_fell_free_while_nobody_looked_is_given_by_the_sweep() {
    let mut world = Fleet::new(1, policy(1));
    let guids = world.instances(0, &["a", "b"], None).await;
    world.request_all(&guids).await;
    // As if the worker had died between the end of the backup and the giving of its place.
    world
        .database
        .execute("UPDATE backups SET status = 'failed', reason_code = 'timed_out' WHERE status = 'running'")
        .unwrap();
    world.settle().await;
    assert_eq!(waiting(&world), "b");
    adopt_operations(&world.manager).await.unwrap();
    world.settle().await;
    assert_eq!((running(&world).as_str(), waiting(&world).as_str()), ("b", ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_place_survives_the_loss_of_its_job_and_of_its_worker() {
    let mut world = Fleet::new(1, policy(1));
    let guids = world.instances(0, &["a", "b"], None).await;
    world.request_all(&guids).await;
    world.database.execute("DELETE FROM jobs WHERE kind = 'start_operation'").unwrap();
    world.end(&guids[0]).await;
    assert_eq!(lines(&world), "0 0 1", "it has its place, and no job that would use it");
    adopt_operations(&world.manager).await.unwrap();
    {
        let mut conn = world.database.connection().unwrap();
        let claimed = world.claim_due(&mut conn);
        assert_eq!(claimed.kind, "start_operation", "by a worker that dies now");
    }
    world.leap(Duration::from_secs(120)).await;
    assert_eq!(running(&world), "b");
    assert_eq!(lines(&world), "0 0 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_began_before_there_was_a_limit_counts_and_what_waited_goes_on_when_it_is_gone() {
    let mut world = Fleet::new(1, policy(100));
    let guids = world.instances(0, &["a", "b", "c"], None).await;
    world.request_all(&guids[..2]).await;
    world.database.execute("DELETE FROM places").unwrap();
    let tight = world.manager_with(policy(2));
    let free = world.manager_with(Policy::default());
    adopt_operations(&tight).await.unwrap();
    assert_eq!(lines(&world), "0 0 2");
    let runner = world.runner_of(&tight, "tight", 4);
    world.request(&guids[2]).await;
    runner.step().await.unwrap();
    assert_eq!(waiting(&world), "c");
    adopt_operations(&free).await.unwrap();
    world.runner_of(&free, "free", 4).step().await.unwrap();
    assert_eq!(running(&world), "a b c");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_cancelled_in_line_leaves_it_and_who_cannot_reach_its_agent_holds_no_place() {
    let mut world = Fleet::new(1, policy(1));
    let guids = world.instances(0, &["a", "b"], None).await;
    world.brokers[0].add(Resource::available(9, "x").agent("http://127.0.0.1:9"));
    world.synchronise().await;
    let away = ServiceInstanceGuid::parse("x").unwrap();
    world.request(&away).await;
    world.settle().await;
    assert_eq!(world.value("SELECT count(*) FROM places"), "0");
    let first = world.request(&guids[0]).await;
    world.settle().await;
    let id: BackupId = world.request(&guids[1]).await;
    world.settle().await;
    assert_eq!((running(&world).as_str(), waiting(&world).as_str()), ("a", "b"));
    cancel_backup(&world.manager, &Actor::worker(), &guids[1], id).await.unwrap();
    world.settle().await;
    assert_eq!(world.backup(&guids[1], id).await.reason_code.as_deref(), Some("cancelled"));
    assert_eq!(waiting(&world), "");
    // The one whose agent is away stands in line again after its back-off, which costs it no attempt.
    let attempt = "SELECT attempt FROM jobs WHERE kind = 'start_operation'";
    world.pass(60).await;
    assert_eq!((waiting(&world).as_str(), world.value(attempt).as_str()), ("x", "1"));
    // With a place it tries again, once, and gives the place back for the time of its next back-off.
    cancel_backup(&world.manager, &Actor::worker(), &guids[0], first).await.unwrap();
    world.pass(30).await;
    assert_eq!((running(&world).as_str(), waiting(&world).as_str()), ("", ""));
    assert_eq!(
        (world.value(attempt).as_str(), world.value("SELECT count(*) FROM places").as_str()),
        ("2", "0")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_workers_at_once_never_exceed_a_limit() {
    let limits = Limits { fleet: Some(3), per_broker: Some(2), ..Limits::default() };
    let policy = Policy { limits, watch_interval: Duration::from_millis(50), ..Policy::default() };
    let mut world = Fleet::new(2, policy);
    let mut guids = world.instances(0, &["a", "b", "c", "d", "e", "f", "g", "h"], None).await;
    guids.extend(world.instances(1, &["i", "j", "k", "l", "m", "n", "o", "p"], None).await);
    for guid in &guids {
        world.agents[guid].plan(Plan::done());
        world.request(guid).await;
    }
    let stop = CancellationToken::new();
    let workers: Vec<_> = (0..4)
        .map(|number| {
            let (runner, stop) = (world.runner_of(&world.manager, &format!("w-{number}"), 4), stop.clone());
            tokio::spawn(async move { runner.run(stop).await })
        })
        .collect();
    // What counts against a limit: it runs, or an agent may have it.
    let busy = "SELECT count(*) || ' ' || coalesce((SELECT max(n) FROM (SELECT count(*) AS n FROM backups b
                    JOIN service_instances i ON i.id = service_instance_id
                    WHERE status = 'running' OR (status = 'queued' AND may_be_at_agent) GROUP BY service_broker_id) AS of_broker), 0)
                FROM backups WHERE status = 'running' OR (status = 'queued' AND may_be_at_agent)";
    let mut most = (0, 0);
    while world.value("SELECT count(*) FROM backups WHERE status = 'done'") != "16" {
        let found = world.value(busy);
        let (fleet, broker) = found.split_once(' ').unwrap();
        most = (most.0.max(fleet.parse().unwrap()), most.1.max(broker.parse().unwrap()));
        assert!(most.0 <= 3 && most.1 <= 2, "{found}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.cancel();
    for worker in workers {
        worker.await.unwrap().unwrap();
    }
    // And by what the rows say: at the start of each, so many others were under way.
    let overlaps = "SELECT max((SELECT count(*) FROM backups o WHERE o.started_at <= b.started_at AND o.finished_at > b.started_at))
                    FROM backups b";
    assert!(world.value(overlaps).parse::<i64>().unwrap() <= 3);
    assert_eq!(most.0, 3, "the limit was reached");
    assert_eq!(lines(&world), "0 0 0");
}

impl World {
    /// A manager with other rules on the same database.
    fn manager_with(&self, policy: Policy) -> Manager {
        Manager::new(self.manager.database.clone(), self.settings(policy))
    }

    fn runner_of(&self, manager: &Manager, name: &str, concurrency: usize) -> Runner {
        let config = RunnerConfig { concurrency, ..RunnerConfig::new(name, QUEUES) };
        let handlers = backup_worker::registry(manager);
        Runner::new(self.database.pool().unwrap(), self.database.url(), handlers, config)
    }
}
