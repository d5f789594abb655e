//! SIGTERM behind a load balancer: first no new visitors, then no open doors, and whoever is inside gets to finish.

use std::time::Duration;

use backup_testkit::Database;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::Program;

/// Sends a request on this connection and returns the whole answer but its body's end.
async fn ask(stream: &mut TcpStream, path: &str) -> String {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        answer.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_draining_readyz_says_no_and_requests_are_served_then_running_answers_end() {
    let database = Database::create().unwrap();
    let mut program = Program::start(&database.url(), "BACKUP_MANAGER__LISTEN__DRAIN=3s");
    let address = program.address();
    let mut kept = TcpStream::connect(address).await.unwrap();
    let before = ask(&mut kept, "/readyz").await;
    assert!(before.starts_with("HTTP/1.1 200") && !before.contains("connection: close"), "{before}");
    program.terminate();
    let said_no = async {
        loop {
            let mut fresh = TcpStream::connect(address).await.unwrap();
            let said = ask(&mut fresh, "/readyz").await;
            if said.starts_with("HTTP/1.1 503") {
                break said;
            }
        }
    };
    let said = tokio::time::timeout(Duration::from_secs(20), said_no).await.unwrap();
    assert!(said.contains("This daemon is stopping."), "{said}");
    let alive = ask(&mut kept, "/livez").await;
    assert!(alive.starts_with("HTTP/1.1 200") && alive.contains("connection: close"), "{alive}");
    // A request whose body is still on its way when the listeners close.
    let mut slow = TcpStream::connect(address).await.unwrap();
    let credentials = "YWRtaW46Y29ycmVjdCBob3JzZQ==";
    let head = format!(
        "POST /backup_agent/backup HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\nContent-Type: application/json\r\nContent-Length: 23\r\n\r\n"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let closed = async { while TcpStream::connect(address).await.is_ok() {} };
    tokio::time::timeout(Duration::from_secs(20), closed).await.unwrap();
    slow.write_all(b"{\"instance_guid\":\"g-1\"}").await.unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 404") && answer.contains("connection: close"), "{answer}");
    assert_eq!(program.ended(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_end_is_broken_off_after_the_shutdown_timeout() {
    let database = Database::create().unwrap();
    let mut program = Program::start(&database.url(), "BACKUP_MANAGER__LISTEN__SHUTDOWN_TIMEOUT=1s");
    let mut stuck = TcpStream::connect(program.address()).await.unwrap();
    let head = "POST /backup_agent/backup HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YWRtaW46Y29ycmVjdCBob3JzZQ==\r\nContent-Length: 23\r\n\r\n";
    stuck.write_all(head.as_bytes()).await.unwrap();
    ask(&mut TcpStream::connect(program.address()).await.unwrap(), "/livez").await;
    program.terminate();
    assert_eq!(program.ended(), Some(0));
}
