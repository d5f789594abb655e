//! Paths, queries, headers and methods: what names things, and what comes back in errors.

use crate::house::{House, has_a_documented_shape};
use crate::raw::talk;

#[tokio::test]
async fn no_path_or_query_leads_anywhere_but_to_an_error() {
    let mut house = House::start().await;
    let long = |count: usize| format!("/instances/{}", "x".repeat(count));
    let paths = [
        "/instances/..",
        "/instances/../..",
        "/instances/../../etc/passwd",
        "/instances/abused/..",
        "/instances/abused/../abused",
        "/instances/%2e%2e",
        "/instances/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/instances/..%2f..%2fetc",
        "/instances/%252e%252e",
        "/instances/%c0%ae%c0%ae%c0%af",
        "/instances/..;/abused",
        "/instances/abused;x=1",
        "/instances/abused/",
        "//instances",
        "///",
        "/instances//abused",
        "/./instances/./abused",
        "/v1/../instances",
        "/INSTANCES",
        "/instances/abused%00",
        "/instances/%00",
        "/instances/abused/backups/1%00",
        "/instances/abused/backups/%00",
        "/instances/abused%2fbackups",
        "/instances/abused%5cbackups",
        "/instances/%ff%fe",
        "/instances/%F0%9F%98%80",
        "/instances/%E2%80%AEdesuba",
        "/instances/%0d%0aX-Injected:%20yes",
        "/instances/%0aabused",
        "/instances/abused%0a",
        "/instances/%1b[31m",
        "/instances/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "/instances/{instance_id}",
        "/instances/%7Binstance_id%7D",
        "/instances/abused/backups/-1",
        "/instances/abused/backups/+1",
        "/instances/abused/backups/1.0",
        "/instances/abused/backups/0x1",
        "/instances/abused/backups/1e3",
        "/instances/abused/backups/%D9%A3",
        "/instances/abused/backups/%EF%BC%91",
        "/instances/abused/backups/%31%20",
        "/instances/abused/backups/9223372036854775808",
        "/instances/abused/backups/-9223372036854775809",
        "/instances/abused/restores/x",
        "/instances/abused/backups/1/download/..",
        "/v2/../instances",
        "/v2/retention?instance_id=%00",
        "/v2/retention?instance_id=%ff",
        "/v2/queues/jobs?queue=%00",
        "/v2/queues/jobs?state=%0d%0a",
        "/v2/queues/jobs?limit=-1",
        "/instances?page=%00",
        "/instances?page=%ff",
        "/instances?page=-1",
        "/instances?page=9223372036854775808",
        "/instances?page=1e3",
        "/instances?per_page=%0d%0aX-Injected:1",
        "/instances?page=%EF%BC%91",
        "/instances?per_page=1001",
    ];
    let mut targets: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
    targets.extend([long(256), long(5000), long(9000), long(60_000), long(100 * 1024), long(200 * 1024)]);
    targets.push(format!("/instances/abused/backups/{}", "9".repeat(5000)));
    targets.push("/instances".to_owned() + &"/x".repeat(4000));
    targets.push(format!("/instances?page={}", "1".repeat(60_000)));
    targets.push(format!("/instances/{}", "%00".repeat(2000)));
    for target in &targets {
        let attempt: String = target.chars().take(100).collect();
        let reply = house.answer(&attempt, &house.request(&format!("GET {target} HTTP/1.1"), &[], b"")).await;
        assert!([400, 404, 414, 431].contains(&reply.status), "{attempt}: {reply:?}");
    }
    // Deletions as well: what a path could be normalised to must not be hit.
    for target in [
        "/instances/abused/backups/../backups/1",
        "/instances/abused/backups/1%2f..",
        "/instances/abused/backups/*",
    ] {
        let reply =
            house.answer(target, &house.request(&format!("DELETE {target} HTTP/1.1"), &[], b"")).await;
        assert!([400, 404].contains(&reply.status), "{target}: {reply:?}");
    }
    house.is_unharmed_by("odd paths").await;
}

#[tokio::test]
async fn what_is_echoed_in_headers_and_errors_is_clean() {
    let mut house = House::start().await;
    let line = "POST /instances/nobody/backups HTTP/1.1";
    for id in [
        "a b",
        "a\"b",
        "<script>",
        "a,b",
        "\u{e9}",
        "%0d%0aX-Injected: yes",
        "a\tb",
        "",
        &"x".repeat(129),
        &"x".repeat(20_000),
    ] {
        let reply = house.answer(id, &house.request(line, &[("X-Request-Id", id)], b"")).await;
        assert_eq!(
            (reply.status, reply.header("x-request-id").unwrap().len()),
            (404, 36),
            "{id:?}: {reply:?}"
        );
    }
    for key in ["", "\u{e9}", &"k".repeat(256), &"k".repeat(20_000)] {
        let reply = house.answer(key, &house.request(line, &[("Idempotency-Key", key)], b"")).await;
        assert_eq!(reply.status, 400, "{key:?}: {reply:?}");
    }
    // Control characters in a header, a line of its own without a name: no HTTP.
    for headers in [
        "X-Request-Id: a\rX-Injected: yes",
        "X-Request-Id: a\0b",
        "X-Request-Id: a\u{1}b",
        "no header",
        ": nameless",
        "a b: c",
        "X\0: y",
    ] {
        let bytes = format!("GET /instances HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n");
        assert_eq!(house.answer(headers, bytes.as_bytes()).await.status, 400, "{headers:?}");
    }
    for (name, value, statuses) in [
        ("X-Padding", "x".repeat(16 * 1024), &[404][..]),
        ("X-Padding", "x".repeat(1 << 20), &[431]),
        ("Authorization", format!("Basic {}", "QQ==".repeat(1 << 18)), &[431]),
        ("Cookie", "a=b; ".repeat(100_000), &[431]),
    ] {
        let bytes = format!(
            "{line}\r\nHost: x\r\nAuthorization: {}\r\nConnection: close\r\n{name}: {value}\r\n\r\n",
            house.authorization
        );
        let heard = talk(house.http, bytes.as_bytes()).await;
        for reply in heard.replies(name) {
            has_a_documented_shape(name, &reply);
            assert!(statuses.contains(&reply.status), "{name}: {reply:?}");
        }
    }
    let many: Vec<(String, String)> = (0..500).map(|n| (format!("X-{n}"), "y".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert!([400, 431].contains(&house.answer("500 headers", &house.request(line, &many, b"")).await.status));
    house.is_unharmed_by("odd headers").await;

    for credentials in [
        "Basic",
        "Basic ",
        "Basic %%%",
        "Basic bm9jb2xvbg==",
        "Basic /////w==",
        "Bearer x",
        "Basic Og==",
        "\u{e9}",
    ] {
        let bytes = format!("{line}\r\nHost: x\r\nConnection: close\r\nAuthorization: {credentials}\r\n\r\n");
        let reply = house.answer(credentials, bytes.as_bytes()).await;
        assert_eq!(reply.status, 401, "{credentials}: {reply:?}");
        assert!(reply.header("www-authenticate").is_some(), "{reply:?}");
    }
    let huge = format!(
        "{line}\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic {}\r\n\r\n",
        "QQ==".repeat(25_000)
    );
    assert_eq!(house.answer("credentials of 100 KB", huge.as_bytes()).await.status, 401);
    house.is_unharmed_by("odd credentials").await;
}

#[tokio::test]
async fn methods_and_forms_of_targets_nobody_needs_are_refused_or_harmless() {
    let mut house = House::start().await;
    for (line, statuses) in [
        ("TRACE /instances HTTP/1.1", &[405][..]),
        ("OPTIONS /instances HTTP/1.1", &[405]),
        ("OPTIONS * HTTP/1.1", &[400, 404, 405]),
        ("CONNECT example.org:80 HTTP/1.1", &[400, 404, 405]),
        ("CONNECT /instances HTTP/1.1", &[400, 404, 405]),
        ("FOO /instances HTTP/1.1", &[405]),
        ("get /instances HTTP/1.1", &[405]),
        ("PROPFIND /instances/abused HTTP/1.1", &[405]),
        ("DELETE /instances/abused HTTP/1.1", &[405]),
        ("G(T /instances HTTP/1.1", &[400]),
        (" /instances HTTP/1.1", &[400]),
        ("GET http://evil.example/instances/nobody HTTP/1.1", &[400, 404]),
        // An absolute target is allowed; whose name stands in it makes no difference.
        ("GET http://evil.example:99999/instances HTTP/1.1", &[200, 400]),
        ("GET example.org:80 HTTP/1.1", &[400, 404]),
        ("GET instances HTTP/1.1", &[400, 404]),
        ("GET  /instances HTTP/1.1", &[400]),
        ("GET /instances HTTP/2.0", &[400]),
        ("GET /instances HTTP/1.9", &[400]),
        ("GET /instances", &[400]),
        ("GET /instances FTP/1.1", &[400]),
        ("PRI * HTTP/2.0", &[400]),
    ] {
        let reply = house.answer(line, &house.request(line, &[("Content-Length", "0")], b"")).await;
        assert!(statuses.contains(&reply.status), "{line}: {reply:?}");
        let said = String::from_utf8_lossy(&reply.body).into_owned();
        assert!(!said.contains("Authorization"), "{line} is echoed: {said}");
    }
    let long = format!("{} /instances HTTP/1.1", "M".repeat(20_000));
    assert!(
        [400, 405].contains(&house.answer("a long method", &house.request(&long, &[], b"")).await.status)
    );
    let old = format!("GET /instances/abused HTTP/1.0\r\nAuthorization: {}\r\n\r\n", house.authorization);
    assert_eq!(house.answer("HTTP/1.0", old.as_bytes()).await.status, 200);
    for upgrade in ["websocket", "h2c"] {
        let headers =
            [("Connection", "Upgrade, close"), ("Upgrade", upgrade), ("HTTP2-Settings", "AAMAAABkAAQAAP__")];
        let reply =
            house.answer(upgrade, &house.request("GET /instances/nobody HTTP/1.1", &headers, b"")).await;
        assert_eq!(reply.status, 404, "{upgrade}: {reply:?}");
    }
    house.is_unharmed_by("odd methods").await;
}
