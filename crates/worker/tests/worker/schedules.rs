//! The schedules of spec 1.7, from the clock to the job.

use std::time::Duration;

use backup_core::jobs::{ScheduleSettings, schedules};
use backup_core::queue::declare_schedules;
use backup_testkit::{Plan, Resource};

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn each_schedule_fires_its_queue_and_a_missed_run_fires_once() {
    let world = World::new();
    world.agent.plan(Plan::running());
    let settings = ScheduleSettings {
        full_backup_repeat: "30 1 * * *".into(),
        delete_backup_repeat: "0 1 * * *".into(),
        update_instance_state_repeat: "*/5 * * * *".into(),
        reconcile_repeat: Some("0 4 * * *".into()),
        verify_backup_repeat: Some("0 6 * * *".into()),
        time_zone: "Europe/Berlin".into(),
    };
    declare_schedules(&mut world.database.connection().unwrap(), &schedules(&settings)).unwrap();
    world.brokers[0].add(Resource::available(1, "i-1").agent(&world.agent.url()));
    world.leap(Duration::from_secs(301)).await;
    assert_eq!(world.value("SELECT count(*) FROM service_instances"), "1", "update_instance_state_repeat");
    assert_eq!(world.value("SELECT count(*) FROM backups"), "0");
    // Everything is down for three days; then one full backup is made up for.
    world.leap(Duration::from_secs(3 * 24 * 3600)).await;
    assert_eq!(world.value("SELECT count(*) FROM backups"), "1", "full_backup_repeat");
    let fired = |step: &str| {
        world.value(&format!(
            "SELECT count(*) FROM finished_jobs WHERE arguments = '{{\"step\": \"{step}\"}}'"
        ))
    };
    assert_eq!(fired("mark"), "1", "delete_backup_repeat");
    assert_ne!(fired("remove"), "0", "the hourly removal");
    let verified = world.value("SELECT count(*) FROM finished_jobs WHERE kind = 'verify_backups'");
    assert_eq!(verified, "1", "verify_backup_repeat");
}
