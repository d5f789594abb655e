//! The protocol's refusals and answers, path by path.

use backup_protocol::{AgentInfo, OperationState};
use serde_json::{Value, json};

use crate::harness::{Agent, Client, Site, merged};

const PATHS: [(&str, &str); 9] = [
    ("GET", "/v1/operations"),
    ("GET", "/v1/info"),
    ("PUT", "/v1/backups/a"),
    ("GET", "/v1/backups/a"),
    ("DELETE", "/v1/backups/a"),
    ("PUT", "/v1/restores/a"),
    ("GET", "/v1/restores/a"),
    ("DELETE", "/v1/restores/a"),
    ("GET", "/no/such/path"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_path_demands_the_credential() {
    let site = Site::files();
    let agent = Agent::start(&site).await;
    let http = reqwest::Client::new();
    for (method, path) in PATHS {
        let request = |method: &str| http.request(method.parse().unwrap(), format!("{}{path}", agent.url()));
        let none = request(method).send().await.unwrap();
        assert_eq!(none.status().as_u16(), 401, "{method} {path}");
        assert!(none.headers().contains_key("www-authenticate"));
        assert_eq!(none.json::<Value>().await.unwrap()["error"], "Unauthorized");
        let wrong = request(method).basic_auth("manager", Some("agent-passwore")).send().await.unwrap();
        assert_eq!(wrong.status().as_u16(), 401, "{method} {path}");
        let token = request(method).bearer_auth("manager:agent-password").send().await.unwrap();
        assert_eq!(token.status().as_u16(), 401, "{method} {path}");
    }
    assert_eq!(agent.get("/v1/backups/a").await.status, 404, "a refused DELETE must leave no trace");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bearer_token_can_be_the_credential() {
    let site = Site::files().set("credential", json!({"token": "only-this"}));
    let agent = Agent::start(&site).await;
    let info = |token: &str| {
        reqwest::Client::new().get(format!("{}/v1/info", agent.url())).bearer_auth(token).send()
    };
    assert_eq!(info("only-this").await.unwrap().status().as_u16(), 200);
    assert_eq!(info("only-thiz").await.unwrap().status().as_u16(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn info_says_who_the_agent_is() {
    let site = Site::files();
    let agent = Agent::start(&site).await;
    let answer = agent.get("/v1/info").await;
    let info: AgentInfo = serde_json::from_value(answer.body).unwrap();
    assert_eq!((info.data_service.as_str(), info.protocol_versions.as_slice()), ("files", [1].as_slice()));
    assert!(
        ["postgresql", "files", "redis"].iter().all(|known| info.drivers.iter().any(|d| d == known)),
        "{:?}",
        info.drivers
    );
    assert!(info.free_scratch_bytes.unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_heard_of_is_404() {
    let site = Site::files();
    let agent = Agent::start(&site).await;
    for path in ["/v1/backups/unknown", "/v1/restores/unknown", "/v2/info", "/"] {
        assert_eq!(agent.get(path).await.refusal(), (404, "NotFound"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_request_names_the_field_and_leaves_no_trace() {
    let site = Site::files();
    let agent = Agent::start(&site).await;
    let secret = "this-key-must-not-be-echoed";
    let cases = [
        (json!({"store": "other"}), "store"),
        (json!({"object_prefix": "../x"}), "object_prefix"),
        (json!({"object_prefix": ""}), "object_prefix"),
        (json!({"compression": {"scheme": "zstd", "level": 99}}), "compression.level"),
        (json!({"compression": {"scheme": "lzma", "level": 1}}), "compression.scheme"),
        (json!({"part_size_limit": 3}), "part_size_limit"),
        (json!({"rate_limit_bytes_per_second": 0}), "rate_limit_bytes_per_second"),
        (json!({"deadline": "2001-01-01T00:00:00Z"}), "deadline"),
        (json!({"deadline": "soon"}), "deadline"),
        (json!({"epoch": "one"}), "epoch"),
        (json!({"encryption": {"scheme": "age", "key": "", "key_id": "k"}}), "encryption.key"),
        (json!({"encryption": {"scheme": "age", "key": [secret], "key_id": "k"}}), "encryption.key"),
    ];
    for (changes, field) in cases {
        let answer = agent.put("/v1/backups/b", merged(Client::backup_body(), changes)).await;
        assert_eq!(answer.refusal(), (400, "BadRequest"), "{field}");
        let description = answer.body["description"].as_str().unwrap();
        assert!(description.starts_with(&format!("{field}: ")), "{description}");
        assert!(!description.contains(secret), "{description}");
    }
    for id in ["..", "a%2Fb", "a%20b", "%C3%A4", "%2e%2e"] {
        let answer = agent.put(&format!("/v1/backups/{id}"), Client::backup_body()).await;
        assert!(matches!(answer.status, 400 | 404), "{id}: {}", answer.status);
        assert!(matches!(agent.delete(&format!("/v1/backups/{id}")).await.status, 400 | 404), "{id}");
    }
    assert_eq!(agent.get("/v1/backups/b").await.status, 404);
    assert!(site.stored().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_beyond_the_limit_is_refused() {
    let site = Site::files();
    let agent = Agent::start(&site).await;
    let body = merged(Client::backup_body(), json!({"padding": "x".repeat(100_000)}));
    assert_eq!(agent.put("/v1/backups/b", body).await.refusal(), (413, "BadRequest"));
}

#[tokio::test(flavor = "multi_thread")]
async fn https_is_served_when_configured() {
    let site = Site::files();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(site.path("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(site.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let tls = json!({"certificate_path": site.path("cert.pem"), "key_path": site.path("key.pem")});
    let site = site.set("tls", tls);
    let agent = Agent::start(&site).await;
    let authority = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let http = reqwest::Client::builder().tls_certs_only([authority]).build().unwrap();
    let port = agent.url().rsplit(':').next().unwrap();
    let answer =
        http.get(format!("https://localhost:{port}/v1/info")).basic_auth("manager", Some("agent-password"));
    assert_eq!(answer.send().await.unwrap().status().as_u16(), 200);
    assert!(http.get(format!("{}/v1/info", agent.url())).send().await.is_err(), "no plain HTTP beside it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_before_the_start_wins() {
    let site = Site::files();
    let agent = Agent::start(&site).await;
    for path in ["/v1/backups/late", "/v1/restores/late"] {
        let deleted = agent.delete(path).await;
        assert_eq!((deleted.status, deleted.operation().state), (200, OperationState::Cancelled));
    }
    let late = agent.put("/v1/backups/late", Client::backup_body()).await;
    assert_eq!((late.status, late.operation().state), (200, OperationState::Cancelled));
    assert!(site.stored().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn mutual_tls_demands_a_client_certificate() {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let site = Site::files();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(site.path("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(site.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let (authority_key, client_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    std::fs::write(site.path("ca.pem"), authority.self_signed(&authority_key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let client =
        CertificateParams::new(vec!["manager".to_owned()]).unwrap().signed_by(&client_key, &issuer).unwrap();
    let tls = json!({
        "certificate_path": site.path("cert.pem"),
        "key_path": site.path("key.pem"),
        "client_ca_path": site.path("ca.pem"),
    });
    let site = site.set("tls", tls);
    let agent = Agent::start(&site).await;
    let port = agent.url().rsplit(':').next().unwrap();
    let root = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let info = |http: reqwest::Client| {
        let request = http.get(format!("https://localhost:{port}/v1/info"));
        request.basic_auth("manager", Some("agent-password")).send()
    };
    let builder = || reqwest::Client::builder().tls_certs_only([root.clone()]);
    assert!(info(builder().build().unwrap()).await.is_err());
    let identity = format!("{}{}", client_key.serialize_pem(), client.pem());
    let identity = reqwest::Identity::from_pem(identity.as_bytes()).unwrap();
    assert_eq!(info(builder().identity(identity).build().unwrap()).await.unwrap().status().as_u16(), 200);
}
