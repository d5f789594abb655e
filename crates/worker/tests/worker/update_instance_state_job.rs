//! Queue `update_instance_state_job`: what a broker's word changes, and what its silence does not.

use std::time::Duration;

use backup_core::Policy;
use backup_testkit::{Answer, Plan, Resource};

use crate::world::World;

fn guids(world: &World) -> String {
    world.value("SELECT string_agg(guid, ',' ORDER BY guid) FROM service_instances WHERE deleted_at IS NULL")
}

#[tokio::test(flavor = "multi_thread")]
async fn new_and_changed_instances_are_learnt_page_by_page() {
    let world = World::new();
    world.brokers[0].set_page_size(2);
    for number in 0..5 {
        world.brokers[0].add(Resource::available(number, &format!("i-{number}")));
    }
    world.synchronise().await;
    assert_eq!(guids(&world), "i-0,i-1,i-2,i-3,i-4");
    assert_eq!(world.value("SELECT count(*) FROM encryption_keys WHERE is_current AND NOT is_own"), "5");
    world.brokers[0].change("i-3", |resource| resource.with("state", "stopped"));
    world.synchronise().await;
    assert_eq!(world.value("SELECT state FROM service_instances WHERE guid = 'i-3'"), "stopped");
    assert_eq!(world.value("SELECT count(*) FROM encryption_keys"), "5");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_listing_writes_no_instance() {
    let world = World::new();
    world.instance("i-1").await;
    let written = "SELECT xmin::text FROM service_instances";
    let before = world.value(written);
    world.synchronise().await;
    assert_eq!(world.value(written), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_is_missing_from_a_listing_is_not_deleted() {
    let world = World::new();
    world.instance("i-1").await;
    world.instance("i-2").await;
    world.brokers[0].forget("i-1");
    world.synchronise().await;
    assert_eq!(guids(&world), "i-1,i-2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_fails_half_way_changes_nothing_and_holds_up_no_other() {
    for failure in [
        Answer::Json(500, serde_json::json!({})),
        Answer::CutOff("{\"resources\": [".into()),
        Answer::Disconnect,
        Answer::Text(200, "[]".into()),
    ] {
        let world = World::with(2, Policy::default());
        world.brokers[0].set_page_size(1);
        for number in 0..3 {
            world.brokers[0].add(Resource::available(number, &format!("i-{number}")));
        }
        world.synchronise().await;
        world.brokers[0].change("i-0", |resource| resource.deleted("2026-01-01T00:00:00Z"));
        world.brokers[1].add(Resource::available(9, "other"));
        world.brokers[0].fail_page(2, failure.clone());
        world.synchronise().await;
        assert_eq!(guids(&world), "i-0,i-1,i-2,other", "{failure:?}");
        assert_ne!(
            world.value("SELECT last_error FROM service_brokers WHERE name = 'broker-0'"),
            "",
            "{failure:?}"
        );
        world.brokers[0].heal();
        world.leap(Duration::from_secs(300)).await;
        world.synchronise().await;
        assert_eq!(guids(&world), "i-1,i-2,other");
        assert_eq!(world.value("SELECT last_error FROM service_brokers WHERE name = 'broker-0'"), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_promises_more_than_it_holds_changes_nothing() {
    let world = World::new();
    world.instance("i-1").await;
    world.brokers[0].change("i-1", |resource| resource.deleted("2026-01-01T00:00:00Z"));
    world.brokers[0].claim_total(7);
    world.synchronise().await;
    assert_eq!(guids(&world), "i-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_instance_stays_its_owners_when_the_broker_says_no_more_whose_it_was() {
    let world = World::new();
    world.instance("i-1").await;
    let owner = "SELECT concat_ws(' ', organization_guid, space_guid) FROM service_instances";
    let gone = |resource: Resource| {
        resource.deleted("2026-01-01T00:00:00Z").with("context", serde_json::Value::Null)
    };
    world.brokers[0].change("i-1", gone);
    world.synchronise().await;
    assert_eq!((guids(&world).as_str(), world.value(owner).as_str()), ("", "org-1 space-1"));
    let written = world.value("SELECT xmin::text FROM service_instances");
    world.synchronise().await;
    assert_eq!(world.value("SELECT xmin::text FROM service_instances"), written, "nothing to write");
    let moved = serde_json::json!({"organization_guid": "org-2", "space_guid": "space-2"});
    world.brokers[0].change("i-1", |resource| resource.with("context", moved.clone()));
    world.synchronise().await;
    assert_eq!(world.value(owner), "org-2 space-2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_instances_queued_backup_fails_as_such() {
    let world = World::new();
    let guid = world.instance("i-1").await;
    world.agent.plan(Plan::running());
    let (running, queued) = (world.request(&guid).await, world.request(&guid).await);
    world.settle().await;
    world.brokers[0].change("i-1", |resource| resource.deleted("2026-01-01T00:00:00Z"));
    world.synchronise().await;
    world.pass(10).await;
    assert_eq!(world.backup(&guid, running).await.status.as_str(), "running");
    assert_eq!(world.backup(&guid, queued).await.reason_code.as_deref(), Some("instance_deleted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_broker_cannot_take_over_or_delete_anothers_instance() {
    let world = World::with(2, Policy::default());
    world.instance("i-1").await;
    world.brokers[1].add(Resource::available(1, "i-1").deleted("2026-01-01T00:00:00Z"));
    world.synchronise().await;
    assert_eq!(guids(&world), "i-1");
    let owner = "SELECT b.name FROM service_instances i JOIN service_brokers b ON b.id = i.service_broker_id";
    assert_eq!(world.value(owner), "broker-0");
}
