//! The rules at the top of the contract: listeners, credentials, ids, errors, request ids.

use reqwest::{Method, tls};
use serde_json::json;

use crate::paths::{HEALTH, PATHS, filled};
use crate::skip;
use crate::target::Target;

pub(crate) async fn check(target: Target) {
    https_speaks_both_versions_of_tls(&target).await;
    everything_but_health_needs_credentials(&target).await;
    ids_are_numeric(&target).await;
    unknown_things_are_not_found(&target).await;
    wrong_methods_name_the_right_ones(&target).await;
    bodies_are_json_or_refused(&target).await;
    every_answer_carries_a_request_id(&target).await;
}

async fn https_speaks_both_versions_of_tls(target: &Target) {
    let Some(https) = &target.https else { return skip("HTTPS", "BACKUP_MANAGER_HTTPS_URL") };
    for version in [tls::Version::TLS_1_2, tls::Version::TLS_1_3] {
        let client = https.with_tls(version);
        client.get(&format!("/instances/{}", target.instance)).await.json(200);
        client.call(Method::GET, "/instances").anonymous().send().await.error(401, "Unauthorized");
    }
}

async fn everything_but_health_needs_credentials(target: &Target) {
    let api = &target.api;
    for (path, methods) in PATHS {
        for method in *methods {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = api.call(method, &filled(path, &target.instance, "1")).anonymous().send().await;
            answer.error(401, "Unauthorized");
            assert!(answer.header("www-authenticate").contains("Basic"), "{answer}");
        }
    }
    // Few, because an API may lock out who guesses.
    let refused = [
        api.call(Method::GET, "/instances").credentials(&api.user, "wrong"),
        api.call(Method::GET, "/instances").credentials("nobody-at-all", &api.password),
        api.call(Method::GET, "/instances").anonymous().header("Authorization", "Basic %%%"),
    ];
    for call in refused {
        let answer = call.send().await;
        answer.error(401, "Unauthorized");
        answer.header("www-authenticate");
    }
    let health = api.call(Method::GET, HEALTH).anonymous().send().await;
    health.json(200);
}

async fn ids_are_numeric(target: &Target) {
    for (path, methods) in PATHS.iter().filter(|(path, _)| path.contains("{id}")) {
        for method in *methods {
            for id in ["x", "1x", "-1", "1.0", "0x1", "%20", "1%00"] {
                let method = Method::from_bytes(method.as_bytes()).unwrap();
                let answer = target.api.call(method, &filled(path, &target.instance, id)).send().await;
                answer.error(400, "BadRequest");
            }
        }
    }
}

async fn unknown_things_are_not_found(target: &Target) {
    let api = &target.api;
    for path in ["/", "/no/such/path", "/instances/a/b/c", "/v3/instances", "/v1", "/instances/"] {
        api.get(path).await.error(404, "NotFound");
    }
    let unknown = "00000000-0000-0000-0000-000000000000";
    for (path, methods) in PATHS.iter().filter(|(path, _)| path.contains("{guid}")) {
        for method in *methods {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let call = api.call(method.clone(), &filled(path, unknown, "1"));
            let call = match method {
                Method::PUT => call.json(&json!({"min_backup_count": 5})),
                Method::POST if path.ends_with("/backups/restore") => call.form("backup_id=1"),
                _ => call,
            };
            let said = call.send().await.error(404, "NotFound");
            assert_eq!(said, format!("The instance {unknown} was not found."), "{path}");
        }
    }
    for (path, methods) in PATHS.iter().filter(|(path, _)| path.contains("{id}")) {
        for method in *methods {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            for id in ["9223372036854775807", "99999999999999999999"] {
                let answer = api.call(method.clone(), &filled(path, &target.instance, id)).send().await;
                answer.error(404, "NotFound");
            }
        }
    }
    let number = api.get(&format!("/instances/{}", target.instance)).await.json(200)["id"].clone();
    for (path, body) in [
        ("/backup_agent/backup", json!({"instance_guid": unknown})),
        ("/backup_agent/restores", json!({"backup_id": i64::MAX, "instance_id": number})),
        ("/backup_agent/restores", json!({"backup_id": 1, "instance_id": i64::MAX})),
    ] {
        api.post(path).json(&body).send().await.error(404, "NotFound");
    }
}

async fn wrong_methods_name_the_right_ones(target: &Target) {
    for (path, methods) in PATHS.iter().chain(&[(HEALTH, &["GET"][..])]) {
        let answer = target.api.call(Method::PATCH, &filled(path, &target.instance, "1")).send().await;
        answer.error(405, "MethodNotAllowed");
        let allowed: Vec<&str> = answer.header("allow").split(',').map(str::trim).collect();
        for method in *methods {
            assert!(allowed.contains(method), "{path}: Allow is {allowed:?}, without {method}");
        }
    }
}

async fn bodies_are_json_or_refused(target: &Target) {
    let takes_bodies = [
        (Method::POST, "/backup_agent/backup".to_owned()),
        (Method::POST, "/backup_agent/restores".to_owned()),
        (Method::POST, format!("/instances/{}/backups", target.instance)),
        (Method::PUT, format!("/instances/{}", target.instance)),
        (Method::POST, format!("/instances/{}/backups/1/restore", target.instance)),
        (Method::POST, format!("/v1/instances/{}/disaster-recovery/prepare", target.instance)),
    ];
    for (method, path) in takes_bodies {
        let send =
            |body: String| target.api.call(method.clone(), &path).body("application/json", body).send();
        for malformed in ["{", "}", "{\"a\": }", "{\"a\" 1}", "[1]", "{'a': 1}", "{\"a\": \"\u{1}\"}"] {
            send(malformed.to_owned()).await.error(400, "BadRequest");
        }
        send(format!("{{\"a\": \"{}\"}}", "x".repeat(1 << 20))).await.error(413, "PayloadTooLarge");
    }
}

async fn every_answer_carries_a_request_id(target: &Target) {
    // Whether it is echoed is checked with every request of the suite.
    let mut seen = std::collections::BTreeSet::new();
    for path in ["/instances", HEALTH, "/no/such/path", "/instances/x/backups/y"] {
        for is_anonymous in [true, false] {
            let call = target.api.call(Method::GET, path).without_id();
            let call = if is_anonymous { call.anonymous() } else { call };
            seen.insert(call.send().await.header("x-request-id").to_owned());
        }
    }
    assert_eq!(seen.len(), 8, "each request gets an id of its own: {seen:?}");
}
