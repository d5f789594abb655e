//! A store that hangs.

use std::sync::Arc;
use std::time::Duration;

use backup_objects::{Store, StoreErrorKind};
use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::throttle::{ThrottleConfig, ThrottledStore};

#[tokio::test]
async fn a_call_that_hangs_fails_in_time_and_keeps_its_turn_until_it_ends() {
    let hanging = Arc::new(ThrottledStore::new(InMemory::new(), ThrottleConfig::default()));
    let store = Store::over("main", Arc::<ThrottledStore<InMemory>>::clone(&hanging));
    let store = store.bounded(2, Duration::from_millis(200));
    store.put_bytes("p/a", Bytes::from_static(b"data")).await.unwrap();
    hanging.config_mut(|config| config.wait_get_per_call = Duration::from_millis(1500));
    for _ in 0..2 {
        let error = store.get_bytes("p/a", 10).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(error.to_string().contains("it did not answer within 200ms"), "{error}");
    }
    hanging.config_mut(|config| config.wait_get_per_call = Duration::ZERO);
    // The store answers again, but both turns are taken by what was given up.
    assert!(store.list("p").await.is_err());
    let free = async { while store.list("p").await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(30), free).await.unwrap();
    assert_eq!(store.get_bytes("p/a", 10).await.unwrap(), "data");
}

#[tokio::test]
async fn a_folder_that_is_being_deleted_is_no_backup_from_the_start_and_owned_until_the_end() {
    let inner = Arc::new(InMemory::new());
    let slow =
        ThrottleConfig { wait_delete_per_call: Duration::from_millis(100), ..ThrottleConfig::default() };
    let slow = ThrottledStore::new(Arc::<InMemory>::clone(&inner), slow);
    let (slow, store) = (Store::over("main", Arc::new(slow)), Store::over("main", inner));
    for name in ["data.00001", "data.00002", "metadata.json", "owner"] {
        store.put_bytes(&format!("p/a/{name}"), Bytes::from_static(b"x")).await.unwrap();
    }
    let deletion = tokio::spawn(async move { slow.delete_prefix("p/a").await });
    let mut seen = vec![String::new()];
    loop {
        let left: String =
            store.list("p/a").await.unwrap().iter().filter_map(|o| o.path.chars().nth(4)).collect();
        if seen.last() != Some(&left) {
            seen.push(left.clone());
        }
        if left.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    deletion.await.unwrap().unwrap();
    assert_eq!(seen, ["", "ddmo", "ddo", "do", "o", ""]);
}
