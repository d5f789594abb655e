//! Queue `backup_all_job`: the fan-out.

use backup_core::actions::request_backup_all::request_backup_all;
use backup_core::domain::actor::Actor;
use backup_core::{Policy, jobs};
use backup_testkit::{Plan, Resource};

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn one_backup_per_eligible_instance_of_every_broker() {
    let world = World::with(2, Policy::default());
    world.agent.plan(Plan::running());
    for number in 0..5_u8 {
        let guid = format!("i-{number}");
        world.brokers[usize::from(number) % 2]
            .add(Resource::available(number.into(), &guid).agent(&world.agent.url()));
    }
    world.brokers[0]
        .add(Resource::available(10, "stopped").agent(&world.agent.url()).with("state", "stopped"));
    world.brokers[1].add(Resource::available(11, "unreachable"));
    world.brokers[1].add(Resource::available(12, "excluded").agent(&world.agent.url()));
    world.synchronise().await;
    world
        .database
        .execute("UPDATE service_instances SET exclude_from_auto_backup = true WHERE guid = 'excluded'")
        .unwrap();

    request_backup_all(&world.manager, &Actor::worker()).await.unwrap();
    world.settle().await;
    assert_eq!(world.value("SELECT count(*) FROM backups WHERE is_scheduled"), "5");
    assert_eq!(world.value("SELECT count(DISTINCT service_instance_id) FROM backups"), "5");
    let reason = |guid: &str| {
        world.value(&format!("SELECT last_skip_reason FROM service_instances WHERE guid = '{guid}'"))
    };
    assert!(reason("stopped").contains("stopped"));
    assert!(reason("unreachable").contains("address"));
    assert!(reason("excluded").contains("excluded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_with_an_unfinished_backup_is_skipped_with_the_reason() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    world.agent.plan(Plan::running());
    world.request(&guid).await;
    world.settle().await;
    request_backup_all(&world.manager, &Actor::worker()).await.unwrap();
    world.settle().await;
    assert_eq!(world.value("SELECT count(*) FROM backups"), "1");
    assert!(world.value("SELECT last_skip_reason FROM service_instances").contains("already"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fan_out_that_is_run_again_asks_nobody_twice() {
    let world = World::new();
    world.instance("i-1").await;
    world.agent.plan(Plan::done());
    let mut conn = world.database.connection().unwrap();
    world.enqueue(jobs::backup_all());
    let job = world.claim_due(&mut conn);
    backup_core::actions::back_up_all::back_up_all(&world.manager, &job).await.unwrap();
    // The backup is done when the same job comes again.
    world.pass(20).await;
    assert_eq!(world.value("SELECT string_agg(status, ',') FROM backups"), "done");
    backup_core::actions::back_up_all::back_up_all(&world.manager, &job).await.unwrap();
    assert_eq!(world.value("SELECT count(*) FROM backups"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spread_fan_out_does_not_start_at_one_instant() {
    let hour = std::time::Duration::from_secs(3600);
    let world = World::with(1, Policy { full_backup_spread: hour, ..Policy::default() });
    world.agent.plan(Plan::done());
    for number in 0..10 {
        world.brokers[0].add(Resource::available(number, &format!("i-{number}")).agent(&world.agent.url()));
    }
    world.synchronise().await;
    request_backup_all(&world.manager, &Actor::worker()).await.unwrap();
    world.settle().await;
    let waiting = "SELECT count(*) FROM jobs WHERE queue = 'backup_agent_backups'";
    assert_ne!(world.value(waiting), "0");
    world.leap(hour).await;
    // All share one agent here, which works on one backup at a time.
    for _ in 0..40 {
        world.leap(std::time::Duration::from_secs(15)).await;
    }
    assert_eq!(world.value("SELECT string_agg(DISTINCT status, ',') FROM backups"), "done");
    assert_eq!(world.value("SELECT count(*) FROM backups"), "10");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_asks_for_goes_ahead_of_what_the_schedule_has_put_off() {
    let hour = std::time::Duration::from_secs(3600);
    let world = World::with(1, Policy { full_backup_spread: hour, ..Policy::default() });
    world.agent.plan(Plan::running());
    let guid = world.instance("i-1").await;
    request_backup_all(&world.manager, &Actor::worker()).await.unwrap();
    world.settle().await;
    // The spread has put it off; how far depends on the instance's name.
    let due = world
        .value("SELECT extract(epoch FROM run_at - now())::int FROM jobs WHERE kind = 'start_operation'");
    assert!(due.parse::<u32>().unwrap() > 60, "{due}");
    let asked = world.request(&guid).await;
    world.settle().await;
    assert_eq!(world.backup(&guid, asked).await.status.as_str(), "running");
    world.leap(hour).await;
    let waiting = "SELECT msg FROM backups WHERE is_scheduled AND status = 'queued'";
    assert_eq!(world.value(waiting), "waits for another operation of the instance");
    world.agent.plan(Plan::done());
    let name = world.backup(&guid, asked).await.backup_id;
    world.agent.replan(&name, Plan::done());
    world.pass(30).await;
    assert_eq!(world.value("SELECT string_agg(status, ',') FROM backups"), "done,done");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_those_in_line_at_one_instance_what_a_person_asked_for_comes_next() {
    let world = World::new();
    world.agent.plan(Plan::running());
    let guid = world.instance("i-1").await;
    let first = world.request(&guid).await;
    world.settle().await;
    let scheduled = world.request(&guid).await;
    world
        .database
        .execute(&format!("UPDATE backups SET is_scheduled = true WHERE id = {scheduled}"))
        .unwrap();
    world.settle().await;
    let asked = world.request(&guid).await;
    world.settle().await;
    let name = world.backup(&guid, first).await.backup_id;
    world.agent.replan(&name, Plan::done());
    world.pass(12).await;
    assert_eq!(world.backup(&guid, first).await.status.as_str(), "done");
    assert_eq!(world.backup(&guid, asked).await.status.as_str(), "running");
    assert_eq!(world.backup(&guid, scheduled).await.status.as_str(), "queued");
}
