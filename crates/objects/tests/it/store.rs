//! A local directory as a store.

use bytes::Bytes;

use backup_objects::{BackupFolder, Store, StoreConfig, StoreErrorKind};

fn open(directory: &tempfile::TempDir) -> Store {
    Store::open("main", &StoreConfig::Local { directory: directory.path().to_owned() }).unwrap()
}

async fn read(store: &Store, path: &str, range: Option<std::ops::Range<u64>>) -> Vec<u8> {
    let mut stream = store.get_stream(path, range).await.unwrap();
    let mut all = Vec::new();
    let size = stream.size();
    while let Some(bytes) = stream.next().await.unwrap() {
        all.extend_from_slice(&bytes);
    }
    assert_eq!(u64::try_from(all.len()).unwrap(), size);
    all
}

#[tokio::test]
async fn a_large_object_comes_back_as_it_was_written() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let data: Vec<u8> = (0..9_500_000_usize).map(|i| i.to_le_bytes()[i % 3]).collect();
    let mut upload = store.upload("p/id/data.00001", 1024 * 1024).await.unwrap();
    for piece in data.chunks(700_001) {
        upload.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    assert_eq!(store.size("p/id/data.00001").await.unwrap(), None);
    assert_eq!(upload.finish().await.unwrap(), 9_500_000);

    assert_eq!(store.size("p/id/data.00001").await.unwrap(), Some(9_500_000));
    assert!(read(&store, "p/id/data.00001", None).await == data);
    assert!(read(&store, "p/id/data.00001", Some(5..5_000_000)).await == data[5..5_000_000]);
    assert_eq!(read(&store, "p/id/data.00001", Some(9_499_999..u64::MAX)).await, data[9_499_999..]);
}

#[tokio::test]
async fn an_object_is_never_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let mut late = store.upload("a/b", 16).await.unwrap();
    late.write(Bytes::from_static(b"late")).await.unwrap();
    store.put_bytes("a/b", Bytes::from_static(b"first")).await.unwrap();

    let again = store.put_bytes("a/b", Bytes::from_static(b"second")).await.unwrap_err();
    assert_eq!(again.kind(), StoreErrorKind::AlreadyExists);
    assert!(!again.is_retryable());
    let upload = store.upload("a/b", 16).await.err().unwrap();
    assert_eq!(upload.kind(), StoreErrorKind::AlreadyExists);
    assert_eq!(late.finish().await.unwrap_err().kind(), StoreErrorKind::AlreadyExists);
    assert_eq!(read(&store, "a/b", None).await, b"first");
}

#[tokio::test]
async fn deleting_a_folder_takes_unfinished_uploads_and_leaves_the_neighbours() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    store.put_bytes("p/one/data.00001", Bytes::from_static(b"1")).await.unwrap();
    store.put_bytes("p/one-more/data.00001", Bytes::from_static(b"2")).await.unwrap();
    let mut upload = store.upload("p/one/data.00002", 4).await.unwrap();
    upload.write(Bytes::from_static(b"12345678")).await.unwrap();
    std::mem::forget(upload);

    store.delete_prefix("p/one").await.unwrap();
    store.delete_prefix("p/one").await.unwrap();
    store.delete("p/one/data.00001").await.unwrap();

    assert!(!directory.path().join("p/one").exists());
    let left: Vec<_> = store.list("p").await.unwrap().into_iter().map(|o| (o.path, o.size)).collect();
    assert_eq!(left, [("p/one-more/data.00001".to_owned(), 1)]);
}

#[tokio::test]
async fn paths_out_of_the_directory_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    for path in ["../x", "/etc/passwd", "a/../../x", "", "a//b"] {
        assert_eq!(store.size(path).await.unwrap_err().kind(), StoreErrorKind::InvalidName, "{path}");
        assert!(store.delete_prefix(path).await.is_err(), "{path}");
    }
}

#[tokio::test]
async fn errors_name_the_store_and_the_path() {
    let missing = StoreConfig::Local { directory: "/nonexistent/mount".into() };
    let error = Store::open("main", &missing).unwrap_err();
    assert!(
        error.to_string().contains("`main`") && error.to_string().contains("/nonexistent/mount"),
        "{error}"
    );

    let directory = tempfile::tempdir().unwrap();
    let error = open(&directory).get_bytes("p/id/metadata.json", 100).await.unwrap_err();
    assert_eq!(error.to_string(), "store `main` could not read `p/id/metadata.json`: it does not exist");
}

#[tokio::test]
async fn a_folder_has_one_owner_and_only_the_owner_can_delete_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let folder = BackupFolder::parse("p", "id").unwrap();
    let (one, two) = tokio::join!(store.claim(&folder, "one"), store.claim(&folder, "two"));
    assert_ne!(one.is_ok(), two.is_ok());
    let (owner, other) = if one.is_ok() { ("one", "two") } else { ("two", "one") };
    assert_eq!(one.and(two).unwrap_err().kind(), StoreErrorKind::AlreadyExists);
    store.put_bytes("p/id/data.00001", Bytes::from_static(b"1")).await.unwrap();
    store.delete_owned(&folder, other).await.unwrap();
    assert_eq!(store.list("p/id").await.unwrap().len(), 2);
    store.delete_owned(&folder, owner).await.unwrap();
    store.delete_owned(&folder, owner).await.unwrap();
    assert!(store.list("p").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_folder_that_holds_anything_cannot_be_claimed_or_deleted_by_its_would_be_owner() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    let folder = BackupFolder::parse("p", "id").unwrap();
    store.put_bytes("p/id/metadata.json", Bytes::from_static(b"1")).await.unwrap();
    assert_eq!(store.claim(&folder, "one").await.unwrap_err().kind(), StoreErrorKind::AlreadyExists);
    store.delete_owned(&folder, "one").await.unwrap();
    assert_eq!(store.list("p/id").await.unwrap().len(), 1);
}

#[tokio::test]
async fn folders_are_listed_without_what_is_in_them() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&directory);
    for path in ["p/b/1/data.00001", "p/b/2/metadata.json", "p/a/1/x", "p/object", "q/c/1"] {
        store.put_bytes(path, Bytes::from_static(b"x")).await.unwrap();
    }
    assert_eq!(store.folders("p").await.unwrap(), ["a", "b"]);
    assert_eq!(store.folders("p/b").await.unwrap(), ["1", "2"]);
    assert_eq!(store.folders("nowhere").await.unwrap(), Vec::<String>::new());
    assert!(store.folders("../p").await.is_err());
}
