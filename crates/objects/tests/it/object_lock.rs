//! A bucket with object lock: what is written stays, and deleting hides it. The lock of an object is set by hand, because
//! moto takes nothing into a bucket with a default lock that has its checksum in the newer headers alone.

use backup_objects::StoreErrorKind;
use bytes::Bytes;
use private_stores::Moto;

use crate::places::{open, read, s3};

fn locked() -> Option<Moto> {
    let Some(server) = Moto::start().unwrap() else {
        println!("SKIPPED, object lock: moto is not installed; `cargo xtask test` installs it");
        return None;
    };
    server.ask("PUT", "/backups", &[("x-amz-bucket-object-lock-enabled", "true")], "").unwrap();
    Some(server)
}

#[tokio::test]
async fn a_backup_in_a_bucket_with_object_lock_is_hidden_by_its_deletion_and_not_lost() {
    let Some(server) = locked() else { return };
    let store = open(s3(server.url()));
    store.put_bytes("p/id/owner", Bytes::from_static(b"us")).await.unwrap();
    store.put_bytes("p/id/data.00001", Bytes::from_static(b"data")).await.unwrap();
    let until = "<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate></Retention>";
    for name in ["owner", "data.00001"] {
        server.ask("PUT", &format!("/backups/p/id/{name}?retention"), &[], until).unwrap();
    }
    let versions = server.ask("GET", "/backups?versions", &[], "").unwrap();
    store.delete_prefix("p/id").await.unwrap();
    assert!(store.list("p").await.unwrap().is_empty());
    assert_eq!(store.get_bytes("p/id/data.00001", 10).await.unwrap_err().kind(), StoreErrorKind::NotFound);
    let after = server.ask("GET", "/backups?versions", &[], "").unwrap();
    let count = |listing: &str, element: &str| listing.matches(&format!("<{element}>")).count();
    assert_eq!(count(&after, "Version"), count(&versions, "Version"), "a version is gone: {after}");
    assert_eq!(count(&after, "DeleteMarker"), 2, "{after}");

    // The version that is locked cannot be deleted, and whoever tries is told why.
    let (_, rest) = after.split_once("<Version>").unwrap();
    let (_, rest) = rest.split_once("<VersionId>").unwrap();
    let (version, _) = rest.split_once('<').unwrap();
    for key in ["owner", "data.00001"] {
        let path = format!("/backups/p/id/{key}?versionId={version}");
        if let Err(refused) = server.ask("DELETE", &path, &[], "") {
            assert!(refused.to_string().contains("AccessDenied"), "{refused}");
            return;
        }
    }
    panic!("no version is locked: {after}");
}

#[tokio::test]
async fn multipart_uploads_and_the_doctor_pass_in_a_bucket_with_object_lock() {
    let Some(server) = locked() else { return };
    let store = open(s3(server.url()));
    let data = crate::places::bytes(6_000_000);
    let mut upload = store.upload("p/id/data.00001", 5 * 1024 * 1024).await.unwrap();
    upload.write(Bytes::from(data.clone())).await.unwrap();
    upload.finish().await.unwrap();
    assert!(read(&store, "p/id/data.00001", None).await == data);
    let found = store.examine().await;
    assert!(found.is_healthy(), "{found:#?}");
}
