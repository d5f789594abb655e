//! Connections that break in the middle: what is sent again, what is not, and what is left behind.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use backup_objects::{BackupFolder, Retry, Store, StoreErrorKind, UnfinishedUpload, UploadRecord};
use bytes::Bytes;
use private_stores::{Proxy, S3Server};

use crate::places::{Place, bytes, open, read, s3};

const CHUNK: usize = 5 * 1024 * 1024;
const QUICK: Retry = Retry {
    total: Duration::from_secs(60),
    first: Duration::from_millis(5),
    longest: Duration::from_millis(50),
};

async fn behind_a_proxy() -> (S3Server, Proxy, Store) {
    let server = S3Server::start().await.unwrap();
    let proxy = Proxy::start(server.address()).await.unwrap();
    let store = open(s3(&format!("http://{}", proxy.address()))).retrying(QUICK);
    (server, proxy, store)
}

fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap()
}

/// Remembers what is unfinished.
#[derive(Debug, Default)]
struct Memory(Mutex<Vec<UnfinishedUpload>>);

impl UploadRecord for Memory {
    fn begun(&self, upload: &UnfinishedUpload) -> std::io::Result<()> {
        self.0.lock().unwrap().push(upload.clone());
        Ok(())
    }

    fn ended(&self, upload: &UnfinishedUpload) {
        self.0.lock().unwrap().retain(|unfinished| unfinished != upload);
    }
}

#[tokio::test]
async fn a_store_that_fails_in_the_middle_of_chunk_seven_costs_chunk_seven() {
    let (_server, proxy, store) = behind_a_proxy().await;
    let data = bytes(9 * CHUNK + 1000);
    proxy.cut_up(&[size(6 * CHUNK + CHUNK / 2)]);
    let mut upload = store.upload("p/id/data.00001", CHUNK).await.unwrap();
    for piece in data.chunks(256 * 1024) {
        upload.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    assert_eq!(upload.finish().await.unwrap(), size(data.len()));
    assert_eq!(proxy.cuts(), 1);
    let sent = proxy.bytes().0;
    assert!(sent < size(data.len() + CHUNK), "{sent} bytes were sent for {}", data.len());
    assert!(sent > size(data.len() + CHUNK / 3), "nothing was sent again: {sent}");
    assert!(read(&store, "p/id/data.00001", None).await == data);
}

#[tokio::test]
async fn a_download_that_breaks_off_goes_on_at_the_byte() {
    let (_server, proxy, store) = behind_a_proxy().await;
    let data = bytes(3 * CHUNK);
    let mut upload = store.upload("p/id/data.00001", CHUNK).await.unwrap();
    upload.write(Bytes::from(data.clone())).await.unwrap();
    upload.finish().await.unwrap();
    let before = proxy.bytes().1;
    proxy.cut_down(&[3_000_000, 3_000_000, 3_000_000]);
    assert!(read(&store, "p/id/data.00001", None).await == data);
    assert_eq!(proxy.cuts(), 3);
    let read = proxy.bytes().1 - before;
    // What was under way on a broken connection is lost, not the piece that it belonged to.
    assert!(read < size(data.len()) + 3_000_000, "{read} bytes were read for {}", data.len());
}

#[tokio::test]
async fn a_creation_whose_answer_is_lost_is_not_taken_for_somebody_elses() {
    let (_server, proxy, store) = behind_a_proxy().await;
    let folder = BackupFolder::parse("p", "id").unwrap();
    proxy.lose_the_answer_of("PUT /backups/p/id/owner");
    store.claim(&folder, "us").await.unwrap();
    assert_eq!(proxy.cuts(), 1);
    assert!(store.is_owner(&folder, "us").await.unwrap());

    let other = store.put_bytes(&folder.owner(), Bytes::from_static(b"them")).await.unwrap_err();
    assert_eq!(other.kind(), StoreErrorKind::AlreadyExists);
}

#[tokio::test]
async fn a_completion_whose_answer_is_lost_is_a_success() {
    let (server, proxy, store) = behind_a_proxy().await;
    let memory = Arc::new(Memory::default());
    let store = store.recording(Arc::<Memory>::clone(&memory));
    let mut upload = store.upload("p/id/data.00001", CHUNK).await.unwrap();
    upload.write(Bytes::from(bytes(CHUNK + 7))).await.unwrap();
    assert_eq!(memory.0.lock().unwrap().len(), 1);
    proxy.lose_the_answer_of("POST /backups/p/id/data.00001?uploadId=");
    assert_eq!(upload.finish().await.unwrap(), size(CHUNK + 7));
    assert_eq!(proxy.cuts(), 1);
    assert!(memory.0.lock().unwrap().is_empty());
    assert_eq!(store.size("p/id/data.00001").await.unwrap(), Some(size(CHUNK + 7)));
    assert_eq!(server.unfinished_pieces().unwrap(), 0);
}

#[tokio::test]
async fn an_upload_that_was_given_up_can_be_aborted_from_its_record() {
    let (server, _proxy, store) = behind_a_proxy().await;
    let memory = Arc::new(Memory::default());
    let store = store.recording(Arc::<Memory>::clone(&memory));
    let mut upload = store.upload("p/id/data.00001", CHUNK).await.unwrap();
    upload.write(Bytes::from(bytes(2 * CHUNK))).await.unwrap();
    upload.write(Bytes::from(bytes(CHUNK))).await.unwrap();
    // As after a `kill -9`: nobody says anything to the store.
    drop(upload);
    assert!(server.unfinished_pieces().unwrap() > 0);
    let unfinished = memory.0.lock().unwrap().clone();
    assert_eq!(unfinished[0].path, "p/id/data.00001");
    let later = store.clone();
    later.abort(&unfinished[0]).await.unwrap();
    assert!(memory.0.lock().unwrap().is_empty());
    assert_eq!(server.unfinished_pieces().unwrap(), 0);
    assert!(store.list("p").await.unwrap().is_empty());
}

#[tokio::test]
async fn an_upload_that_the_store_no_longer_knows_counts_as_aborted() {
    let Some(place) = Place::moto() else { return };
    let (path, id) = ("p/id/data.00001".to_owned(), "forgotten".to_owned());
    place.store().abort(&UnfinishedUpload { store: "main".to_owned(), path, id }).await.unwrap();
}

#[tokio::test]
async fn a_store_that_stays_away_is_given_up_in_the_end_and_a_refusal_at_once() {
    let (_server, proxy, store) = behind_a_proxy().await;
    proxy.set_away(true);
    let brief = Retry { total: Duration::from_millis(200), ..QUICK };
    let error = store.clone().retrying(brief).put_bytes("p/a", Bytes::from_static(b"x")).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(error.is_retryable(), "{error}");
    proxy.set_away(false);

    let mut wrong = s3(&format!("http://{}", proxy.address()));
    wrong["secret_access_key"] = "wrong".into();
    let (up, _) = proxy.bytes();
    let refused = open(wrong).retrying(QUICK).put_bytes("p/a", Bytes::from_static(b"x")).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Denied, "{refused}");
    assert!(!refused.is_retryable());
    assert!(proxy.bytes().0 - up < 4000, "it was tried again");
}
