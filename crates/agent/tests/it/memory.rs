//! A big data service needs no more memory than a small one.

use std::io::Write;

use backup_protocol::OperationState;
use serde_json::json;

use crate::harness::{Client, Process, Site, merged};

const MEGABYTE: usize = 1024 * 1024;

/// Backs up and restores that many megabytes in a fresh process; returns its peak memory in KiB.
async fn peak(megabytes: usize) -> u64 {
    let site = Site::files();
    let mut file = std::fs::File::create(site.data().join("random")).unwrap();
    // Repeated beyond the reach of the compression, so that every megabyte is stored.
    let mut state = 1_u64;
    let block: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(MEGABYTE)
    .collect();
    for _ in 0..megabytes {
        file.write_all(&block).unwrap();
    }
    let agent = Process::start(&site).await;
    let body = merged(Client::backup_body(), json!({"compression": {"scheme": "zstd", "level": 1}}));
    agent.put("/v1/backups/b", body).await;
    let backup = agent.ended("/v1/backups/b").await;
    assert_eq!(backup.state, OperationState::Done, "{backup:?}");
    assert!(backup.bytes_stored >= (megabytes * MEGABYTE) as u64, "the data must not compress");
    agent.restore("r", &backup).await;
    agent.peak_memory()
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_grow_with_the_data() {
    // Both are above the size of the buffers.
    let (small, large) = (peak(20).await, peak(160).await);
    assert!(large < small + 48 * 1024, "{small} KiB for 20 MiB, {large} KiB for 160 MiB");
    assert!(small.max(large) < 128 * 1024, "{small} KiB for 20 MiB, {large} KiB for 160 MiB");
}
