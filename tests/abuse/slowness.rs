//! Who is slow is dropped, and holds up nobody meanwhile.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::house::{House, has_a_documented_shape};
use crate::raw::{Heard, PATIENCE, listen};

/// Sends the first bytes at once and the others one per second, until the server has enough.
async fn drip(address: SocketAddr, bytes: Vec<u8>, at_once: usize) -> Heard {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let writing = async {
        let (first, slowly) = bytes.split_at(at_once);
        writer.write_all(first).await.unwrap();
        for byte in slowly {
            sleep(Duration::from_secs(1)).await;
            if writer.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = writing => unreachable!("it goes on for ever"),
        heard = listen(&mut reader, PATIENCE) => heard,
    }
}

#[tokio::test]
async fn a_request_of_one_byte_per_second_is_dropped_in_bounded_time() {
    let mut house = House::start().await;
    let post = "POST /instances/abused/backups HTTP/1.1";
    let long = "x".repeat(1000);
    let head = house.request("GET /instances HTTP/1.1", &[("X-Padding", &long)], b"");
    let body = house.request(post, &[("Content-Length", "1000")], long.as_bytes());
    let chunks =
        house.request(post, &[("Transfer-Encoding", "chunked")], "1\r\n \r\n".repeat(500).as_bytes());
    let mut second = house.request("GET /instances/nobody HTTP/1.1", &[("Connection", "keep-alive")], b"");
    let first = second.len();
    second.extend_from_slice(&head);
    let mut drips = JoinSet::new();
    for (attempt, address, bytes, at_once) in [
        ("nothing", house.http, Vec::new(), 0),
        ("nothing to the port of HTTPS", house.https, Vec::new(), 0),
        ("a slow hello to the port of HTTPS", house.https, vec![22, 3, 1, 0, 200, 1, 0, 0, 196], 3),
        ("a head from its first byte on", house.http, head.clone(), 0),
        ("the end of a head", house.http, head.clone(), head.len() - 500),
        ("a second head", house.http, second, first + 10),
        ("chunks", house.http, chunks.clone(), chunks.len() - 3000),
        ("a body", house.http, body.clone(), body.len() - 1000),
    ] {
        drips.spawn(async move { (attempt, drip(address, bytes, at_once).await) });
    }
    sleep(Duration::from_millis(500)).await;
    house.is_unharmed_by("slow clients that go on").await;
    while let Some(ended) = drips.join_next().await {
        let (attempt, heard) = ended.unwrap();
        assert!(heard.is_closed, "{attempt}: still open after {PATIENCE:?}");
        if !attempt.ends_with("HTTPS") {
            heard.replies(attempt).iter().for_each(|reply| has_a_documented_shape(attempt, reply));
        }
        house.is_unharmed_by(attempt).await;
    }
}
