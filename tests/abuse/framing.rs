//! Where one request ends and the next begins: smuggling, bodies that stop, pipelines, and bytes that are not HTTP at all.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::house::{House, has_a_documented_shape};
use crate::raw::{PATIENCE, listen, say_and_leave, talk};

/// Each hides a request for a backup, with credentials, behind a framing that two parsers could read differently.
#[tokio::test]
async fn an_ambiguous_framing_is_refused_and_what_it_hides_is_not_done() {
    let mut house = House::start().await;
    let hidden = house.request("POST /instances/abused/backups HTTP/1.1", &[("Content-Length", "0")], b"");
    let length = hidden.len();
    let chunked = "Transfer-Encoding: chunked";
    let cases = [
        format!("Content-Length: 0\r\nContent-Length: {length}"),
        format!("Content-Length: {length}\r\nContent-Length: 0"),
        "Content-Length: 0\r\nContent-Length: 0".to_owned(),
        format!("Content-Length: 0, {length}"),
        "Content-Length: +0".to_owned(),
        "Content-Length: -1".to_owned(),
        "Content-Length: 0x0".to_owned(),
        "Content-Length: ".to_owned(),
        "Content-Length: 99999999999999999999".to_owned(),
        "Content-Length : 0".to_owned(),
        "Content-Length\t: 0".to_owned(),
        "X: y\r\n Content-Length: 0".to_owned(),
        format!("{chunked}\r\nContent-Length: {length}"),
        format!("Content-Length: 0\r\n{chunked}"),
        format!("{chunked}\r\n{chunked}"),
        "Transfer-Encoding: chunked, identity".to_owned(),
        "Transfer-Encoding: identity, chunked".to_owned(),
        "Transfer-Encoding: xchunked".to_owned(),
        "Transfer-Encoding: identity".to_owned(),
        "Transfer-Encoding: \u{b}chunked".to_owned(),
        "Transfer-Encoding : chunked".to_owned(),
        "Transfer-Encoding: gzip".to_owned(),
        "Host: y\r\nContent-Length: 0".to_owned(),
    ];
    for headers in &cases {
        let mut bytes =
            house.request("POST /backup_agent/backup HTTP/1.1", &[("Connection", "keep-alive")], b"");
        bytes.truncate(bytes.len() - 2);
        bytes.extend_from_slice(format!("{headers}\r\n\r\n").as_bytes());
        if headers.contains("chunked") {
            bytes.extend_from_slice(b"0\r\n\r\n");
        }
        bytes.extend_from_slice(&hidden);
        assert_eq!(house.answer(headers, &bytes).await.status, 400, "{headers:?}");
        house.is_unharmed_by(headers).await;
    }
    for chunks in [
        "-1\r\n",
        "0x5\r\n",
        "fffffffffffffffff\r\n",
        "5 5\r\nabcde",
        "\r\n",
        "z\r\n",
        "2\r\n{}xx\r\n0\r\n\r\n",
        "2\n{}\n0\n\n",
    ] {
        let headers = [("Transfer-Encoding", "chunked"), ("Connection", "keep-alive")];
        let mut bytes = house.request("POST /instances/abused/backups HTTP/1.1", &headers, chunks.as_bytes());
        bytes.extend_from_slice(&hidden);
        assert_eq!(house.answer(chunks, &bytes).await.status, 400, "{chunks:?}");
        house.is_unharmed_by(chunks).await;
    }
}

#[tokio::test]
async fn a_request_that_stops_in_the_middle_does_nothing() {
    let mut house = House::start().await;
    let post = "POST /instances/abused/backups HTTP/1.1";
    let chunked = [("Transfer-Encoding", "chunked"), ("Content-Type", "application/json")];
    let sized = [("Content-Length", "10")];
    for bytes in [
        house.request(post, &sized, b""),
        house.request(post, &sized, b"{\"a\": 1}"),
        house.request(post, &chunked, b""),
        house.request(post, &chunked, b"8\r\n{\"a\""),
        house.request(post, &chunked, b"8\r\n{\"a\": 1}\r\n"),
        house.request(post, &chunked, b"8\r\n{\"a\": 1}\r\n0"),
        house.request(post, &[("Expect", "100-continue"), ("Content-Length", "2")], b""),
        house.request(post, &[], b"")[..40].to_vec(),
    ] {
        say_and_leave(house.http, &bytes).await;
        house.is_unharmed_by(&String::from_utf8_lossy(&bytes)).await;
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_and_expect_is_heard() {
    let mut house = House::start().await;
    let count = 60;
    let mut bytes = Vec::new();
    for number in 1..=count {
        let connection = if number == count { "close" } else { "keep-alive" };
        let line = format!("POST /instances/abused/backups/{number}/restore HTTP/1.1");
        bytes.extend(house.request(&line, &[("Connection", connection), ("Content-Length", "2")], b"{}"));
    }
    let replies = talk(house.http, &bytes).await.replies("a pipeline");
    assert_eq!(replies.len(), count);
    for (number, reply) in (1..).zip(&replies) {
        has_a_documented_shape("a pipeline", reply);
        let said = String::from_utf8_lossy(&reply.body).into_owned();
        assert!(said.contains(&format!("The backup {number} was not found.")), "{number}: {said}");
    }
    house.is_unharmed_by("a pipeline").await;

    let mut stream = TcpStream::connect(house.http).await.unwrap();
    let body = b"{\"instance_guid\": \"nobody\"}";
    let length = body.len().to_string();
    let head = house.request(
        "POST /backup_agent/backup HTTP/1.1",
        &[("Expect", "100-continue"), ("Content-Length", &length)],
        b"",
    );
    stream.write_all(&head).await.unwrap();
    stream.readable().await.unwrap();
    stream.write_all(body).await.unwrap();
    let replies = listen(&mut stream, PATIENCE).await.replies("Expect");
    assert_eq!(replies.iter().map(|reply| reply.status).collect::<Vec<_>>(), [100, 404]);
}

#[tokio::test]
async fn what_is_not_http_is_closed_and_the_wrong_port_says_nothing_wrong() {
    let mut house = House::start().await;
    let hello = [&b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03"[..], &[7; 189]].concat();
    let get = house.request("GET /instances HTTP/1.1", &[], b"");
    let noise: Vec<u8> =
        (0..200_000_u32).map(|n| u8::try_from(n.wrapping_mul(2_654_435_761) >> 24).unwrap()).collect();
    let all: [&[u8]; 8] = [
        b"rubbish\r\n\r\n",
        &hello,
        &[0; 200_000],
        &noise,
        &[b'\n'; 200_000],
        b"SSH-2.0-x\r\n",
        b"\x80\x2e\x01\x03\x01",
        &get,
    ];
    for bytes in all {
        for (port, is_http) in [(house.http, true), (house.https, false)] {
            let heard = talk(port, bytes).await;
            assert!(heard.is_closed, "{:?} is still open", &bytes[..bytes.len().min(20)]);
            assert!(!heard.bytes.contains(&b'<'), "{:?}", String::from_utf8_lossy(&heard.bytes));
            if is_http && bytes != get {
                heard.replies("noise").iter().for_each(|reply| has_a_documented_shape("noise", reply));
            } else if !is_http {
                assert!(!heard.bytes.starts_with(b"HTTP/"), "plain HTTP on the port of HTTPS");
            }
        }
        house.is_unharmed_by(&format!("{:?}", &bytes[..bytes.len().min(20)])).await;
    }
}
