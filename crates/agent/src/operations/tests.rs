//! Operations at a store that hangs, in time that passes by itself.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backup_objects::{BackupFolder, Store};
use backup_protocol::{OperationState, OperationStatus, StopOrder};
use object_store::memory::InMemory;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use serde_json::json;

use super::{Kind, Operations, Settings, Start};
use crate::drivers::{Driver, DriverError, Loaded};
use crate::session::Session;

const FOREVER: Duration = Duration::from_secs(1_000_000);

type Hanging = ThrottledStore<InMemory>;

/// Writes a few bytes and does something to the store before.
struct Disturbing {
    store: Arc<Hanging>,
    disturb: fn(&Hanging),
    recovered: AtomicUsize,
}

impl Driver for Disturbing {
    fn name(&self) -> &'static str {
        "disturbing"
    }

    fn stream_version(&self) -> u32 {
        1
    }

    fn version(&self, _: &Session) -> Result<Option<String>, DriverError> {
        Ok(None)
    }

    fn estimate(&self, _: &Session) -> Result<Option<u64>, DriverError> {
        Ok(None)
    }

    fn backup(&self, _: &Session, out: &mut dyn Write) -> Result<(), DriverError> {
        (self.disturb)(&self.store);
        out.write_all(b"data").map_err(DriverError::Stream)
    }

    fn load(&self, _: &Session, _: &str, _: &mut dyn Read) -> Result<Box<dyn Loaded>, DriverError> {
        Err(DriverError::Stopped)
    }

    fn recover(&self, _: &Session) -> Result<(), DriverError> {
        self.recovered.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

struct World {
    operations: Operations,
    throttled: Arc<Hanging>,
    store: Store,
    driver: Arc<Disturbing>,
    journal: tempfile::TempDir,
}

impl World {
    fn new(disturb: fn(&Hanging)) -> Self {
        let throttled = Arc::new(ThrottledStore::new(InMemory::new(), ThrottleConfig::default()));
        let store = Store::over("main", Arc::<Hanging>::clone(&throttled));
        let journal = tempfile::tempdir().unwrap();
        let (disturbed, recovered) = (Arc::clone(&throttled), AtomicUsize::new(0));
        let driver = Arc::new(Disturbing { store: disturbed, disturb, recovered });
        let settings = Settings {
            driver: driver.clone(),
            archive: None,
            stores: BTreeMap::from([("main".to_owned(), store.clone())]),
            rehearsals: Arc::new(crate::scratch::ScratchRoot::new(&journal.path().join("rehearsals"))),
            concurrency: 1,
            chunk_size: 1024 * 1024,
            runtime: tokio::runtime::Handle::current(),
        };
        let operations = Operations::open(settings, journal.path()).unwrap();
        Self { operations, throttled, store, driver, journal }
    }

    fn start_backup(&self) {
        let body = json!({
            "epoch": 1, "store": "main", "object_prefix": "p",
            "instance": {"guid": "g", "data_service": "files"},
            "encryption": {"scheme": "age", "key": "key", "key_id": "key-1"},
            "compression": {"scheme": "zstd", "level": 1},
            "deadline": chrono::Utc::now() + chrono::TimeDelta::hours(1),
            "part_size_limit": 1_000_000,
        });
        let start = Start::Backup(serde_json::from_value(body).unwrap());
        assert!(self.operations.start("b", start).unwrap().0);
    }

    fn start_restore(&self) {
        let body = json!({
            "epoch": 1, "backup_id": "b", "store": "main", "object_prefix": "p", "checksum": "0".repeat(64),
            "encryption": {"scheme": "age", "key": "key", "key_id": "key-1"},
            "deadline": chrono::Utc::now() + chrono::TimeDelta::hours(1),
        });
        let start = Start::Restore(serde_json::from_value(body).unwrap());
        assert!(self.operations.start("r", start).unwrap().0);
    }

    /// Waits for the end; fails when it takes longer than the deadline and the clean-up may.
    async fn ended(&self, kind: Kind, id: &str) -> OperationStatus {
        let patience = tokio::time::Instant::now() + Duration::from_secs(3800);
        loop {
            let status = self.operations.status(kind, id).unwrap();
            if status.state != OperationState::Running {
                return status;
            }
            assert!(tokio::time::Instant::now() < patience, "still running");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    fn is_pending(&self) -> bool {
        self.operations.state().entries.values().any(|entry| entry.cleanup_pending)
    }

    async fn names(&self) -> Vec<String> {
        let objects = self.store.list("p").await.unwrap();
        objects.into_iter().map(|object| object.path).collect()
    }
}

fn code(status: OperationStatus) -> String {
    status.error.map(|error| error.code).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_backup_ends_at_its_deadline_when_the_first_listing_hangs() {
    let world = World::new(|_| {});
    world.throttled.config_mut(|config| config.wait_list_per_call = FOREVER);
    world.start_backup();
    assert_eq!(code(world.ended(Kind::Backup, "b").await), "timed_out");
    assert!(!world.is_pending(), "nothing was claimed");
}

#[tokio::test(start_paused = true)]
async fn a_folder_is_recorded_as_ours_before_it_is_claimed() {
    let world = World::new(|_| {});
    world.throttled.config_mut(|config| config.wait_put_per_call = FOREVER);
    world.start_backup();
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(world.names().await.is_empty(), "the claim is on its way");
    let record = std::fs::read_to_string(world.journal.path().join("backup-b.json")).unwrap();
    let owned = &serde_json::from_str::<serde_json::Value>(&record).unwrap()["owned"];
    assert_eq!((owned["object_prefix"].as_str(), owned["backup_id"].as_str()), (Some("p"), Some("b")));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_at_the_start_keeps_nobody_else_from_being_put_in_order() {
    let world = World::new(|store| store.config_mut(|config| config.wait_put_per_call = FOREVER));
    world.start_backup();
    tokio::time::sleep(Duration::from_secs(100)).await;
    let left = world.journal.path().join("rehearsals/r-left");
    std::fs::create_dir_all(&left).unwrap();
    world.throttled.config_mut(|config| {
        config.wait_get_per_call = FOREVER;
        config.wait_list_per_call = FOREVER;
    });
    let before = world.driver.recovered.load(Ordering::Relaxed);
    world.operations.recover().await.unwrap();
    assert!(!left.exists());
    assert_eq!(world.driver.recovered.load(Ordering::Relaxed), before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_backup_can_be_cancelled_when_the_last_part_hangs_and_is_cleaned_up() {
    let world = World::new(|store| store.config_mut(|config| config.wait_put_per_call = FOREVER));
    world.start_backup();
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(world.operations.status(Kind::Backup, "b").unwrap().state, OperationState::Running);
    assert_eq!(world.names().await, ["p/b/owner"]);
    world.operations.cancel(Kind::Backup, "b", StopOrder::default()).unwrap();
    assert_eq!(world.ended(Kind::Backup, "b").await.state, OperationState::Cancelled);
    assert!(world.names().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_clean_up_that_hangs_is_left_for_later() {
    let world = World::new(|store| {
        store.config_mut(|config| {
            config.wait_put_per_call = FOREVER;
            config.wait_get_per_call = FOREVER;
            config.wait_list_per_call = FOREVER;
        });
    });
    world.start_backup();
    assert_eq!(code(world.ended(Kind::Backup, "b").await), "timed_out");
    assert!(world.is_pending());
    world.throttled.config_mut(|config| *config = ThrottleConfig::default());
    world.operations.remove_objects(&(Kind::Backup, "b".to_owned())).await;
    assert!(!world.is_pending());
    assert!(world.names().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_folder_with_another_owner_is_neither_taken_nor_cleaned_up() {
    let world = World::new(|_| {});
    let folder = BackupFolder::parse("p", "b").unwrap();
    world.store.claim(&folder, "somebody else").await.unwrap();
    world.start_backup();
    assert_eq!(code(world.ended(Kind::Backup, "b").await), "store_error");
    assert_eq!(world.names().await, ["p/b/owner"]);
    assert!(world.store.is_owner(&folder, "somebody else").await.unwrap());
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "as the manager would")]
async fn a_folder_that_changes_its_owner_during_the_backup_is_not_cleaned_up() {
    let world = World::new(|store| store.config_mut(|config| config.wait_put_per_call = FOREVER));
    world.start_backup();
    tokio::time::sleep(Duration::from_secs(100)).await;
    let folder = BackupFolder::parse("p", "b").unwrap();
    world.store.delete_prefix(folder.path()).await.unwrap();
    world.throttled.config_mut(|config| *config = ThrottleConfig::default());
    world.store.claim(&folder, "somebody else").await.unwrap();
    world.operations.cancel(Kind::Backup, "b", StopOrder::default()).unwrap();
    assert_eq!(world.ended(Kind::Backup, "b").await.state, OperationState::Cancelled);
    assert_eq!(world.names().await, ["p/b/owner"]);
    assert!(!world.is_pending());
}

#[tokio::test(start_paused = true)]
async fn a_restore_that_waits_for_the_removal_of_leftovers_can_be_cancelled() {
    let world = World::new(|_| {});
    let _removal = Arc::clone(&world.operations.inner.exclusive).lock_owned().await;
    world.start_restore();
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(world.operations.status(Kind::Restore, "r").unwrap().state, OperationState::Running);
    world.operations.cancel(Kind::Restore, "r", StopOrder::default()).unwrap();
    assert_eq!(world.ended(Kind::Restore, "r").await.state, OperationState::Cancelled);
}
