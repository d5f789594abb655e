//! Whatever is sent, an error has the one shape.

use std::io::{Read, Write};
use std::net::TcpStream;

use backup_api::routes;
use reqwest::Method;

use crate::app::{App, PASSWORD, error, json};

#[tokio::test]
async fn unknown_paths_are_404_and_wrong_methods_405_with_the_allowed_ones() {
    let app = App::start().await;
    for path in
        ["/", "/nowhere", "/instances/", "/instances/x/y", "/v2", "/instances//backups", "/favicon.ico"]
    {
        error(app.get(path).await, 404, "NotFound").await;
    }
    for endpoint in routes::protected().iter().chain(&routes::open()) {
        let path = endpoint.path().replace("{instance_id}", "g").replace("{id}", "1");
        let answer = app.request(Method::PATCH, &path).send().await.unwrap();
        let allow = answer.headers()["allow"].to_str().unwrap().to_owned();
        let expected: Vec<_> = endpoint.methods().iter().map(ToString::to_string).collect();
        assert_eq!(allow, expected.join(", "), "{path}");
        error(answer, 405, "MethodNotAllowed").await;
    }
}

#[tokio::test]
async fn malformed_bodies_are_400_and_too_large_ones_413() {
    let app = App::start().await;
    let send = |kind: &'static str, body: Vec<u8>| {
        app.request(Method::POST, "/backup_agent/backup").header("Content-Type", kind).body(body).send()
    };
    for (kind, body) in [
        ("application/json", "{"),
        ("application/json", "[]"),
        ("application/json", "\"x\""),
        ("application/json", "{\"instance_guid\": 1e999}"),
        ("application/json", "{\"instance_guid\": [\"x\"]}"),
        ("application/json", "{}"),
        ("application/json", ""),
        ("application/json; charset=utf-8", "{\"instance_guid\": }"),
        ("application/x-www-form-urlencoded", "instance_guid=%zz"),
        ("application/x-www-form-urlencoded", "instance_guid=%"),
        ("application/x-www-form-urlencoded", "other=1"),
    ] {
        error(send(kind, body.as_bytes().to_vec()).await.unwrap(), 400, "BadRequest").await;
    }
    error(send("application/json", vec![0xff, 0xfe]).await.unwrap(), 400, "BadRequest").await;
    error(send("application/json", "[".repeat(50_000).into_bytes()).await.unwrap(), 400, "BadRequest").await;
    error(send("text/xml", b"<a/>".to_vec()).await.unwrap(), 415, "UnsupportedMediaType").await;
    error(send("application/json", vec![b' '; 65_537]).await.unwrap(), 413, "PayloadTooLarge").await;
    error(send("application/json", vec![b'x'; 3_000_000]).await.unwrap(), 413, "PayloadTooLarge").await;
    // The server goes on.
    json(app.get("/instances").await, 200).await;
}

#[tokio::test]
async fn odd_ids_are_400_or_404_and_never_500() {
    let app = App::start().await;
    app.instance("g-1");
    for id in ["x", "1x", "-1", "+1", "0x1", "1.0", "%31%00", "%20", "%ff", "1%2f2"] {
        for what in ["backups", "restores"] {
            let answer = app.get(&format!("/instances/g-1/{what}/{id}")).await;
            error(answer, 400, "BadRequest").await;
        }
    }
    for id in ["0", "2", "9223372036854775807", "9223372036854775808", "99999999999999999999999999"] {
        error(app.get(&format!("/instances/g-1/backups/{id}")).await, 404, "NotFound").await;
        error(app.get(&format!("/instances/g-1/restores/{id}")).await, 404, "NotFound").await;
    }
    for guid in ["%00", "a%00b", "%ff%fe", "%zz", "a%2fb", "%0a", "..%2f..", &"x".repeat(5000), "g-2"] {
        error(app.get(&format!("/instances/{guid}")).await, 404, "NotFound").await;
    }
    let said = error(app.get("/instances/g-2").await, 404, "NotFound").await;
    assert_eq!(said, "The instance g-2 was not found.");
}

#[tokio::test]
async fn odd_values_in_bodies_and_queries_are_refused_and_never_500() {
    let app = App::start().await;
    app.instance("g-1");
    for guid in ["a\0b", "", "\n"] {
        let answer = app.post("/backup_agent/backup", serde_json::json!({"instance_guid": guid})).await;
        error(answer, 404, "NotFound").await;
    }
    for body in [
        "backup_id=x&instance_id=1",
        "backup_id=9223372036854775808&instance_id=1",
        "backup_id=1",
        "instance_id=1",
    ] {
        error(app.post_form("/backup_agent/restores", body).await, 400, "BadRequest").await;
    }
    error(app.post_form("/backup_agent/restores", "backup_id=-1&instance_id=-1").await, 404, "NotFound")
        .await;
    for query in ["page=0", "page=x", "per_page=0", "per_page=1001", "page=99999999999999999999"] {
        error(app.get(&format!("/instances?{query}")).await, 400, "BadRequest").await;
    }
    for query in ["state=odd", "limit=0", "limit=x", "queue=%00"] {
        error(app.get(&format!("/v2/queues/jobs?{query}")).await, 400, "BadRequest").await;
    }
    error(app.get("/v2/retention?instance_id=%00").await, 404, "NotFound").await;
    error(app.get("/v2/retention?instance_id=g-2").await, 404, "NotFound").await;
    for key in ["", "a\tb", &"k".repeat(256)] {
        let request = app.request(Method::POST, "/instances/g-1/backups").header("Idempotency-Key", key);
        error(request.send().await.unwrap(), 400, "BadRequest").await;
    }
    let put = |body| app.put("/instances/g-1", body);
    error(put(serde_json::json!({"exclude_from_auto_backup": "perhaps"})).await, 400, "BadRequest").await;
    error(put(serde_json::json!({"min_backup_count": 1.5})).await, 400, "BadRequest").await;
}

#[tokio::test]
async fn every_answer_carries_the_callers_request_id_or_a_new_one() {
    let app = App::start().await;
    let with = async |id: &str| {
        let answer = app.request(Method::GET, "/instances").header("X-Request-Id", id).send().await.unwrap();
        answer.headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(with("my-id:1/2").await, "my-id:1/2");
    for odd in ["", "a b", "a\"b", &"x".repeat(129)] {
        let given = with(odd).await;
        assert_eq!(given.len(), 36, "{given}");
    }
    let unauthorized =
        app.anonymous(Method::GET, "/instances").header("X-Request-Id", "i-1").send().await.unwrap();
    assert_eq!(unauthorized.headers()["x-request-id"], "i-1");
}

#[tokio::test]
async fn head_answers_like_get_without_a_body() {
    let app = App::start().await;
    let answer = app.request(Method::HEAD, "/instances?page=1").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.text().await.unwrap(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http_gets_no_html_and_does_no_harm() {
    let app = App::start().await;
    let address = app.running.http.unwrap();
    for raw in ["rubbish\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET \0 HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(raw.as_bytes()).unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        assert!(!String::from_utf8_lossy(&said).contains('<'), "{said:?}");
    }
    let answer =
        app.client.get(app.url("/instances")).basic_auth("admin", Some(PASSWORD)).send().await.unwrap();
    json(answer, 200).await;
}
