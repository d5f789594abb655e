//! The stored bytes as a stream.

use std::time::Duration;

use backup_core::Policy;
use reqwest::Method;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::app::{App, error, http, status};
use crate::clients::{get, head};

const FIRST: [u8; 600] = [1; 600];
const SECOND: [u8; 400] = [2; 400];

async fn with_download() -> (App, String) {
    let app = App::start().await;
    let instance = app.instance("g-1");
    app.own_key(&instance);
    let backup = app.database.seed_backup(&instance, "done", 1).unwrap();
    app.store_parts(&instance, &backup, &[&FIRST, &SECOND]);
    (app, format!("/instances/g-1/backups/{}/download", backup.id))
}

#[tokio::test]
async fn the_parts_come_in_order_as_one_stream_of_known_length() {
    let (app, path) = with_download().await;
    let answer = app.get(&path).await;
    assert_eq!(status(&answer), 200);
    assert_eq!(answer.headers()["content-length"], "1000");
    assert_eq!(answer.headers()["accept-ranges"], "bytes");
    assert_eq!(answer.headers()["content-type"], "application/octet-stream");
    let bytes = answer.bytes().await.unwrap();
    assert_eq!(bytes[..600], FIRST);
    assert_eq!(bytes[600..], SECOND);
    let head = app.request(Method::HEAD, &path).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], "1000");
}

#[tokio::test]
async fn a_head_request_reads_nothing_and_is_no_download() {
    let app = App::start().await;
    let instance = app.instance("g-1");
    app.own_key(&instance);
    let backup = app.database.seed_backup(&instance, "done", 1).unwrap();
    let folder = app.store_parts(&instance, &backup, &[b""]);
    // To read so much takes longer than anybody waits.
    let size = 1_u64 << 40;
    std::fs::File::create(folder.join("data.00001")).unwrap().set_len(size).unwrap();
    let sql = "SET session_replication_role = replica; UPDATE backups SET size =";
    app.database.execute(&format!("{sql} {size} WHERE id = {}", backup.id)).unwrap();
    let mut connection = TcpStream::connect(app.running.http.unwrap()).await.unwrap();
    let request = get(&format!("/instances/g-1/backups/{}/download", backup.id)).replace("GET", "HEAD");
    connection.write_all(request.as_bytes()).await.unwrap();
    let answer = head(&mut connection).await;
    assert!(answer.contains(&format!("content-length: {size}\r\n")), "{answer}");
    connection.write_all(get("/livez").as_bytes()).await.unwrap();
    let next = tokio::time::timeout(Duration::from_secs(30), head(&mut connection)).await;
    assert!(next.expect("the body is being read").starts_with("HTTP/1.1 200"));
    assert_eq!(app.database.value("SELECT count(*) FROM audit_events").unwrap().unwrap(), "0");
}

#[tokio::test]
async fn ranges_are_honoured_across_parts() {
    let (app, path) = with_download().await;
    let get =
        async |range: &str| app.request(Method::GET, &path).header("Range", range).send().await.unwrap();
    let answer = get("bytes=598-601").await;
    assert_eq!(status(&answer), 206);
    assert_eq!(answer.headers()["content-range"], "bytes 598-601/1000");
    assert_eq!(answer.headers()["content-length"], "4");
    assert_eq!(answer.bytes().await.unwrap()[..], [1, 1, 2, 2]);
    assert_eq!(get("bytes=-3").await.bytes().await.unwrap()[..], [2, 2, 2]);
    assert_eq!(get("bytes=0-0").await.bytes().await.unwrap()[..], [1]);
    let answer = get("bytes=1000-").await;
    assert_eq!(answer.headers()["content-range"], "bytes */1000");
    error(answer, 416, "RangeNotSatisfiable").await;
    let stale = app.request(Method::GET, &path).header("Range", "bytes=0-0").header("If-Range", "\"other\"");
    assert_eq!(status(&stale.send().await.unwrap()), 200);
}

#[tokio::test]
async fn what_is_not_downloadable_is_403() {
    let app = App::start().await;
    let instance = app.instance("g-1");
    let backup = app.database.seed_backup(&instance, "done", 1).unwrap();
    let path = format!("/instances/g-1/backups/{}/download", backup.id);
    error(app.get(&path).await, 403, "NotDownloadable").await;
    app.own_key(&instance);
    let failed = app.database.seed_backup(&instance, "failed", 1).unwrap();
    error(app.get(&format!("/instances/g-1/backups/{}/download", failed.id)).await, 403, "NotDownloadable")
        .await;
    error(app.get("/instances/g-1/backups/999/download").await, 404, "NotFound").await;
    // The objects of this one were never written: better an error than a short file.
    error(app.get(&path).await, 502, "BackupStoreFailed").await;
}

#[tokio::test]
async fn the_operator_can_switch_downloads_off() {
    let app = App::with(Policy { allow_backup_download: false, ..Policy::default() }, http()).await;
    let instance = app.instance("g-1");
    app.own_key(&instance);
    let backup = app.database.seed_backup(&instance, "done", 1).unwrap();
    app.store_parts(&instance, &backup, &[&FIRST, &SECOND]);
    error(app.get(&format!("/instances/g-1/backups/{}/download", backup.id)).await, 403, "NotDownloadable")
        .await;
    let shown = app.get(&format!("/instances/g-1/backups/{}", backup.id)).await;
    assert_eq!(shown.json::<serde_json::Value>().await.unwrap()["downloadable"], false);
}
