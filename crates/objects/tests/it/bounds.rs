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
