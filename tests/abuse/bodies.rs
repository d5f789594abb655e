//! Bodies: malformed, huge, of wrong types, with odd characters.

use serde_json::{Value, json};

use crate::house::House;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// What takes a body.
const LINES: [&str; 8] = [
    "POST /backup_agent/backup HTTP/1.1",
    "POST /backup_agent/backup_all HTTP/1.1",
    "POST /backup_agent/restores HTTP/1.1",
    "PUT /instances/abused HTTP/1.1",
    "POST /instances/abused/backups HTTP/1.1",
    "POST /instances/abused/backups/1/restore HTTP/1.1",
    "POST /v1/instances/abused/disaster-recovery/prepare HTTP/1.1",
    "POST /service-instances/abused/backups/restore HTTP/1.1",
];

#[tokio::test]
async fn a_body_that_is_no_json_object_or_form_is_400_wherever_one_is_taken() {
    let mut house = House::start().await;
    let malformed = [
        "{",
        "}",
        "[",
        "{]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\" 1}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\":1}{\"b\":2}",
        "{\"a\":1} x",
        "nul",
        "{a:1}",
        "{'a':1}",
        "{\"a\":tru}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":+1}",
        "{\"a\":0x1}",
        "{\"a\":NaN}",
        "{\"a\":Infinity}",
        "{\"a\":1e999}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\0\"}",
        "{\"a\":\"",
        "{\"a",
        "/**/{}",
        "\u{feff}{}",
        "[]",
        "1",
        "null",
        "\"x\"",
        "true",
        "\0",
        "{\"a\":1,\"a\":2}",
        "{\"encryption_key\":\"first first\",\"encryption_key\":\"second second\"}",
    ];
    let mut cases: Vec<Vec<u8>> = malformed.iter().map(|text| text.as_bytes().to_vec()).collect();
    cases.push(b"{\"a\":\"\xff\xfe\"}".to_vec());
    cases.push(b"{\"a\":\"\xc0\xaf\"}".to_vec());
    cases.push("{}".encode_utf16().flat_map(u16::to_le_bytes).collect());
    cases.push("[".repeat(60_000).into_bytes());
    cases.push("{\"a\":".repeat(12_000).into_bytes());
    cases.push([b"{\"a\":".to_vec(), vec![b'9'; 60_000], b"e}".to_vec()].concat());
    for line in LINES {
        for body in &cases {
            let reply = house.send(line, JSON, body).await;
            assert_eq!(reply.status, 400, "{line} {:?}: {reply:?}", String::from_utf8_lossy(body));
        }
        for form in [
            "a=%",
            "a=%zz",
            "a=%00",
            "%00=a",
            "a=%ff",
            "a=\0",
            "a=1&a=2",
            "instance_guid=x&instance_guid=abused",
        ] {
            let reply = house.send(line, FORM, form.as_bytes()).await;
            assert_eq!(reply.status, 400, "{line} {form:?}: {reply:?}");
        }
        for kind in [
            "text/xml",
            "multipart/form-data; boundary=x",
            "application/jsonx",
            "\u{1f600}",
            "application/json\\",
        ] {
            let reply = house.send(line, kind, b"<a/>").await;
            assert!([400, 415].contains(&reply.status), "{line} {kind}: {reply:?}");
        }
        house.is_unharmed_by(line).await;
    }
}

#[tokio::test]
async fn more_than_64_kib_is_413_and_exactly_so_much_is_not() {
    let mut house = House::start().await;
    let line = LINES[0];
    let padded = |size: usize| format!("{}{}", "{\"instance_guid\": \"nobody\"}", " ".repeat(size - 27));
    assert_eq!(house.send(line, JSON, padded(64 * 1024).as_bytes()).await.status, 404);
    assert_eq!(house.send(line, JSON, padded(64 * 1024 + 1).as_bytes()).await.status, 413);
    for line in LINES {
        for body in [vec![b'['; 100_000], vec![b'x'; 1 << 20], vec![0; 3 << 20]] {
            assert_eq!(house.send(line, JSON, &body).await.status, 413, "{line}");
        }
        // Too much to be read to its end: the answer may get lost with the connection.
        let length = (10 << 20).to_string();
        let huge = house.request(line, &[("Content-Length", &length)], &vec![b'{'; 10 << 20]);
        for reply in crate::raw::talk(house.http, &huge).await.replies(line) {
            assert_eq!(reply.status, 413, "{line}");
        }
        house.is_unharmed_by(line).await;
    }
}

#[tokio::test]
async fn wrong_types_and_odd_texts_in_every_field_are_refused() {
    let mut house = House::start().await;
    let no_scalar = [json!([]), json!({}), json!([1]), json!(["abused"]), json!({"a": {"b": 1}})];
    let no_number = [
        json!(true),
        json!(1.5),
        json!(1e300),
        json!(""),
        json!(" "),
        json!("1.0"),
        json!("1e3"),
        json!("0x1"),
        json!("\u{0}"),
        json!("1\u{0}"),
        json!("\u{663}"),
        json!("\u{ff11}"),
        json!(u64::MAX),
        json!("9223372036854775808"),
        json!("1 OR 1=1"),
    ];
    let no_instance = [
        json!(true),
        json!(7),
        json!(-1),
        json!(1.5),
        json!(""),
        json!("\u{0}"),
        json!("abused\u{0}"),
        json!("abused "),
        json!("ABUSED"),
        json!("abused/.."),
        json!("../abused"),
        json!("' OR '1'='1"),
        json!("%"),
        json!("\u{202e}desuba"),
        json!("\u{1f600}"),
        json!("\r\nX-Injected: yes"),
        json!("<script>alert(1)</script>"),
        json!("x".repeat(60_000)),
    ];
    let no_bool = [json!(1), json!(0), json!("yes"), json!("TRUE"), json!(""), json!("true\u{0}")];
    let no_key = [
        json!(true),
        json!("short"),
        json!(1.5),
        json!("\u{0}".repeat(20)),
        json!("two\nlines of text"),
        json!("k".repeat(1025)),
    ];
    let beyond = [json!(-1), json!(i64::MAX), json!(i64::MIN), json!("-1"), json!(36_501)];
    let restores = |field: &str, value: &Value| {
        let mut body = json!({"backup_id": 1, "instance_id": 1});
        body[field] = value.clone();
        body
    };
    let alone = |field: &str, value: &Value| json!({field: value});
    type Body<'a> = &'a dyn Fn(&str, &Value) -> Value;
    let fields: [(usize, &str, &[Value], Body<'_>); 11] = [
        (0, "instance_guid", &no_instance, &alone),
        (2, "backup_id", &no_number, &restores),
        (2, "instance_id", &no_number, &restores),
        (3, "encryption_key", &no_key, &alone),
        (3, "exclude_from_auto_backup", &no_bool, &alone),
        (3, "credentials_updated_by_user", &no_bool, &alone),
        (3, "min_backup_count", &[&no_number[..], &beyond].concat(), &alone),
        (3, "retention_time", &[&no_number[..], &beyond].concat(), &alone),
        (5, "source_instance_id", &no_instance, &alone),
        (6, "encryption_key", &no_key, &alone),
        (7, "backup_id", &no_number, &restores),
    ];
    for (line, field, values, body) in fields {
        for value in no_scalar.iter().chain(values) {
            let body = body(field, value).to_string();
            let reply = house.send(LINES[line], JSON, body.as_bytes()).await;
            assert!([400, 404, 422].contains(&reply.status), "{} {body}: {reply:?}", LINES[line]);
        }
        house.is_unharmed_by(field).await;
    }
    for line in [3, 5, 6] {
        for name in [
            "ENCRYPTION_KEY",
            "encryption_key\u{0}",
            "encryption_key ",
            "__proto__",
            "\r\nX-Injected: yes",
            &"x".repeat(9000),
        ] {
            let body = json!({name: "a good long key"}).to_string();
            assert_eq!(house.send(LINES[line], JSON, body.as_bytes()).await.status, 400, "{body}");
        }
    }
    house.is_unharmed_by("unknown fields").await;
}
