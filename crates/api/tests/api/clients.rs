//! Clients as a server must bear them: too many, silent ones, ones that stop reading.

use std::time::{Duration, Instant};

use backup_config::ListenSettings;
use backup_core::Policy;
use backup_daemon::duration::HumaneDuration;
use base64::Engine;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::app::{App, PASSWORD, http, json, manager_at};

/// More than all buffers between two programs of one host.
const LARGE: u64 = 100 * 1024 * 1024;

async fn connect(app: &App) -> TcpStream {
    TcpStream::connect(app.running.http.unwrap()).await.unwrap()
}

/// A connection with a small receive buffer.
fn narrow(app: &App) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&app.running.http.unwrap().into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    TcpStream::from_std(socket.into()).unwrap()
}

pub(crate) fn get(path: &str) -> String {
    let credentials = base64::engine::general_purpose::STANDARD.encode(format!("admin:{PASSWORD}"));
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\n\r\n")
}

/// The head of the next answer.
pub(crate) async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn with(listen: ListenSettings) -> App {
    App::with(Policy::default(), listen).await
}

/// Reads until the server ends the connection; false when it has not within half a minute.
async fn is_ended(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 65536];
    let read = async { while matches!(stream.read(&mut buffer).await, Ok(count) if count > 0) {} };
    tokio::time::timeout(Duration::from_secs(30), read).await.is_ok()
}

/// A done backup of a sparse file, downloadable.
pub(crate) fn large_backup(app: &App) -> String {
    let instance = app.instance("g-large");
    app.own_key(&instance);
    let backup = app.database.seed_backup(&instance, "done", 1).unwrap();
    let sql = "SET session_replication_role = replica; UPDATE backups SET size =";
    app.database.execute(&format!("{sql} {LARGE} WHERE id = {}", backup.id)).unwrap();
    let folder = app.store_parts(&instance, &backup, &[b""]);
    std::fs::File::create(folder.join("data.00001")).unwrap().set_len(LARGE).unwrap();
    format!("/instances/g-large/backups/{}/download", backup.id)
}

#[tokio::test]
async fn connections_above_the_limit_wait_and_are_served_when_others_end() {
    let app = with(ListenSettings { max_connections: 1, ..http() }).await;
    let mut first = connect(&app).await;
    first.write_all(get("/livez").as_bytes()).await.unwrap();
    assert!(head(&mut first).await.starts_with("HTTP/1.1 200"));
    let mut second = connect(&app).await;
    second.write_all(get("/livez").as_bytes()).await.unwrap();
    let early = tokio::time::timeout(Duration::from_millis(300), second.read_u8()).await;
    assert!(early.is_err(), "{early:?}");
    drop(first);
    let answered = tokio::time::timeout(Duration::from_secs(30), head(&mut second)).await.unwrap();
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
}

#[tokio::test]
async fn a_head_that_does_not_arrive_is_answered_408_and_later_ones_end_the_connection() {
    let tick = HumaneDuration(Duration::from_millis(500));
    let app = with(ListenSettings { request_header_timeout: tick, keep_alive: tick, ..http() }).await;
    let mut slow = connect(&app).await;
    slow.write_all(b"GET /livez HTTP/1.1\r\nHo").await.unwrap();
    assert!(head(&mut slow).await.starts_with("HTTP/1.1 408"));
    assert!(is_ended(&mut slow).await);
    let mut later = connect(&app).await;
    later.write_all(get("/livez").as_bytes()).await.unwrap();
    assert!(head(&mut later).await.starts_with("HTTP/1.1 200"));
    later.read_exact(&mut [0; "{'status':'alive'}".len()]).await.unwrap();
    later.write_all(b"GET /livez HTTP/1.1\r\nHo").await.unwrap();
    assert!(is_ended(&mut later).await, "the second head never ends");
    let mut idle = connect(&app).await;
    idle.write_all(get("/livez").as_bytes()).await.unwrap();
    assert!(is_ended(&mut idle).await, "no second request comes");
}

#[tokio::test]
async fn a_client_that_stops_reading_is_dropped_and_a_slow_one_is_not() {
    let limit = HumaneDuration::from_secs(2);
    let app = with(ListenSettings { write_timeout: limit, ..http() }).await;
    let path = large_backup(&app);
    let (mut stuck, mut slow) = (narrow(&app), narrow(&app));
    for stream in [&mut stuck, &mut slow] {
        stream.write_all(get(&path).as_bytes()).await.unwrap();
        let head = head(stream).await;
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("content-length: 104857600"), "{head}");
    }
    let began = Instant::now();
    let (mut buffer, mut taken) = (vec![0; 16 * 1024], 0);
    while began.elapsed() < Duration::from_secs(6) {
        taken += slow.read(&mut buffer).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    slow.read_exact(&mut buffer).await.unwrap();
    assert!(taken > 0 && taken < 90 * 1024 * 1024, "{taken}");
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(30), stuck.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the stuck one is still connected");
    assert!(rest.len() < 90 * 1024 * 1024, "{}", rest.len());
}

#[tokio::test]
async fn slow_readers_hold_no_database_connection() {
    let database = backup_testkit::Database::create().unwrap();
    let store = tempfile::tempdir().unwrap();
    let manager = manager_at(&database.url(), 2, store.path(), Policy::default());
    let app = App::over(database, store, manager, http()).await;
    let path = large_backup(&app);
    let mut readers = Vec::new();
    for _ in 0..20 {
        let mut reader = narrow(&app);
        reader.write_all(get(&path).as_bytes()).await.unwrap();
        assert!(head(&mut reader).await.starts_with("HTTP/1.1 200"));
        readers.push(reader);
    }
    for _ in 0..20 {
        json(app.get("/instances/g-large").await, 200).await;
    }
    for reader in &mut readers {
        reader.read_exact(&mut [0; 1024]).await.unwrap();
    }
}

/// More than the server has threads for.
const CROWD: usize = 200;

#[tokio::test]
async fn a_store_that_hangs_holds_up_downloads_only() {
    let app = App::start().await;
    let path = large_backup(&app);
    let mut readers = Vec::new();
    for _ in 0..CROWD {
        let mut reader = narrow(&app);
        reader.write_all(get(&path).as_bytes()).await.unwrap();
        assert!(head(&mut reader).await.starts_with("HTTP/1.1 200"));
        readers.push(reader);
    }
    // To open a pipe that nobody writes to takes for ever.
    let part = app.store.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&part).status().unwrap().success());
    let sql = "SELECT '/' || object_prefix || '/' || backup_id || '/data.00001' FROM backups";
    let target = app.database.value(sql).unwrap().unwrap();
    std::fs::rename(part, format!("{}{target}", app.store.path().display())).unwrap();
    let stuck = readers.into_iter().map(|mut reader| async move {
        let mut buffer = [0; 65536];
        let read = async { while matches!(reader.read(&mut buffer).await, Ok(count) if count > 0) {} };
        tokio::time::timeout(Duration::from_secs(3), read).await.is_err()
    });
    let stuck = futures_util::future::join_all(stuck).await;
    assert!(stuck.iter().filter(|is_stuck| **is_stuck).count() > CROWD / 2, "{stuck:?}");
    for _ in 0..50 {
        json(app.get("/instances/g-large").await, 200).await;
    }
}
