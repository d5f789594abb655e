//! Tokens of an issuer, from a local one.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use backup_config::{AuthSettings, OidcSettings};
use backup_core::Policy;
use backup_testkit::{Answer, FakeServer};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::app::{App, auth, error, http, json as read};

const AUDIENCE: &str = "backups";

/// A key of the issuer's.
#[derive(Clone)]
pub(crate) struct Signer {
    id: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
    public: Vec<u8>,
}

impl Signer {
    fn es256(id: &'static str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let key = EncodingKey::from_ec_der(&pair.serialize_der());
        Self { id, algorithm: Algorithm::ES256, key, public: pair.public_key_raw().to_vec() }
    }

    fn eddsa(id: &'static str) -> Self {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let key = EncodingKey::from_ed_pem(pair.serialize_pem().as_bytes()).unwrap();
        Self { id, algorithm: Algorithm::EdDSA, key, public: pair.public_key_raw().to_vec() }
    }

    fn jwk(&self) -> Value {
        use base64::Engine;
        let text = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        match self.algorithm {
            Algorithm::ES256 => {
                let (x, y) = self.public[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": self.id, "use": "sig", "x": text(x), "y": text(y)})
            }
            _ => json!({"kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": text(&self.public)}),
        }
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.to_owned()), ..Header::new(self.algorithm) };
        encode(&header, claims, &self.key).unwrap()
    }
}

/// An issuer on a loopback address.
pub(crate) struct TestIssuer {
    server: FakeServer,
    keys: Arc<Mutex<Vec<Value>>>,
    signer: Signer,
}

impl TestIssuer {
    pub(crate) fn start() -> Self {
        let signer = Signer::es256("first");
        let keys = Arc::new(Mutex::new(vec![json!({"kty": "future"}), signer.jwk()]));
        let (address, shown) = (Arc::new(Mutex::new(String::new())), Arc::clone(&keys));
        let issuer = Arc::clone(&address);
        let server = FakeServer::start(move |request| {
            let issuer = issuer.lock().unwrap().clone();
            match request.path.as_str() {
                "/.well-known/openid-configuration" => {
                    Answer::Json(200, json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")}))
                }
                "/keys" => Answer::Json(200, json!({"keys": *shown.lock().unwrap()})),
                _ => Answer::Json(404, json!({})),
            }
        })
        .unwrap();
        *address.lock().unwrap() = server.url();
        Self { server, keys, signer }
    }

    pub(crate) fn settings(&self) -> OidcSettings {
        OidcSettings {
            issuer: self.server.url(),
            audience: AUDIENCE.into(),
            space_claim: "space_guid".into(),
            organization_claim: None,
            jwks_url: None,
            ca_path: None,
        }
    }

    /// Claims as they should be, with some put over them; null takes one away.
    fn claims(&self, changes: Value) -> Value {
        let mut claims = json!({
            "iss": self.server.url(), "aud": [AUDIENCE, "else"], "exp": now() + 600, "nbf": now() - 10,
            "sub": "u-1", "space_guid": "space-own",
        });
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        claims
    }

    pub(crate) fn token_of(&self, space: &str) -> String {
        self.signer.sign(&self.claims(json!({"space_guid": space})))
    }

    fn fetches(&self) -> usize {
        self.server.requests().iter().filter(|request| request.path == "/keys").count()
    }
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

async fn app(issuer: &TestIssuer) -> App {
    let auth = AuthSettings { oidc: Some(issuer.settings()), ..auth() };
    let app = App::with_auth(Policy::default(), http(), auth).await;
    app.instance("g-own");
    app.instance("g-foreign");
    let sql = "UPDATE service_instances SET space_guid = replace(guid, 'g-', 'space-')";
    app.database.execute(sql).unwrap();
    app
}

async fn get(app: &App, path: &str, token: &str) -> Response {
    app.anonymous(Method::GET, path).bearer_auth(token).send().await.unwrap()
}

const OWN: &str = "/v1/instances/g-own/backups";

#[tokio::test]
async fn a_good_token_owns_the_instances_of_its_spaces_and_stands_in_the_audit() {
    let issuer = TestIssuer::start();
    let app = app(&issuer).await;
    let token = issuer.token_of("space-own");
    read(get(&app, OWN, &token).await, 200).await;
    let made = app.anonymous(Method::POST, OWN).bearer_auth(&token).json(&json!({})).send().await.unwrap();
    read(made, 201).await;
    let actor = app.database.value("SELECT actor FROM audit_events").unwrap().unwrap();
    assert_eq!(actor, "oidc:u-1");
    let foreign = "/v1/instances/g-foreign/backups";
    let said = error(get(&app, foreign, &token).await, 404, "NotFound").await;
    assert_eq!(said, "The instance g-foreign was not found.");
    let both = issuer.signer.sign(&issuer.claims(json!({"space_guid": ["space-own", "space-foreign"]})));
    read(get(&app, foreign, &both).await, 200).await;
    let elsewhere = get(&app, "/instances/g-own/backups", &token).await;
    assert!(error(elsewhere, 401, "Unauthorized").await.contains("/v1"));
    assert_eq!(issuer.fetches(), 1, "keys are kept");
}

#[tokio::test]
async fn a_bad_token_is_refused_with_the_reason() {
    let issuer = TestIssuer::start();
    let app = app(&issuer).await;
    let cases = [
        (json!({"exp": now() - 120}), "expired"),
        (json!({"exp": null}), "exp, iss and aud"),
        (json!({"nbf": now() + 120}), "not valid yet"),
        (json!({"aud": "others"}), "somebody else"),
        (json!({"aud": null}), "exp, iss and aud"),
        (json!({"iss": "https://evil.example"}), "another issuer"),
        (json!({"iss": null}), "exp, iss and aud"),
        (json!({"sub": null}), "who they are"),
    ];
    for (changes, reason) in cases {
        let answer = get(&app, OWN, &issuer.signer.sign(&issuer.claims(changes.clone()))).await;
        let challenges: Vec<_> = answer.headers().get_all("www-authenticate").iter().collect();
        assert!(challenges[0].to_str().unwrap().starts_with("Basic realm="), "{challenges:?}");
        assert!(challenges[1].to_str().unwrap().starts_with("Bearer realm="), "{challenges:?}");
        let said = error(answer, 401, "Unauthorized").await;
        assert!(said.contains(reason), "{changes}: {said}");
    }
    read(
        get(&app, OWN, &issuer.signer.sign(&issuer.claims(json!({"exp": now() - 30, "nbf": now() + 30}))))
            .await,
        200,
    )
    .await;
    for claim in [json!(null), json!(""), json!(7), json!([])] {
        let token = issuer.signer.sign(&issuer.claims(json!({"space_guid": claim})));
        assert!(error(get(&app, OWN, &token).await, 403, "Forbidden").await.contains("space_guid"));
    }
}

#[tokio::test]
async fn only_signatures_by_the_issuers_keys_count() {
    let issuer = TestIssuer::start();
    let app = app(&issuer).await;
    let claims = issuer.claims(json!({}));
    let good = issuer.signer.sign(&claims);
    let parts: Vec<&str> = good.split('.').collect();
    let unsigned = {
        use base64::Engine;
        let header = json!({"alg": "none", "typ": "JWT", "kid": "first"}).to_string();
        format!("{}.{}.", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(header), parts[1])
    };
    // The public key as the secret of an HMAC: the oldest trick.
    let header = Header { kid: Some("first".into()), ..Header::new(Algorithm::HS256) };
    let hmac = encode(&header, &claims, &EncodingKey::from_secret(&issuer.signer.public)).unwrap();
    let forged = Signer { id: "first", ..Signer::es256("other") }.sign(&claims);
    let changed = format!("{}.{}.{}", parts[0], good.split('.').nth(1).unwrap().to_lowercase(), parts[2]);
    for token in [unsigned, hmac, forged, changed, "a.b.c".into(), "abc".into()] {
        error(get(&app, OWN, &token).await, 401, "Unauthorized").await;
    }
    read(get(&app, OWN, &good).await, 200).await;
}

#[tokio::test]
async fn a_client_with_a_bad_token_locks_nobody_out() {
    let issuer = TestIssuer::start();
    let app = app(&issuer).await;
    let expired = issuer.signer.sign(&issuer.claims(json!({"exp": now() - 120})));
    let unknown = Signer::eddsa("unknown").sign(&issuer.claims(json!({})));
    for token in [expired, unknown, "a.b.c".into()] {
        for _ in 0..12 {
            error(get(&app, OWN, &token).await, 401, "Unauthorized").await;
        }
    }
    read(app.get("/instances").await, 200).await;
}

#[tokio::test]
async fn a_new_key_is_fetched_once_and_an_unknown_one_does_not_bother_the_issuer_again() {
    let issuer = TestIssuer::start();
    let app = app(&issuer).await;
    read(get(&app, OWN, &issuer.token_of("space-own")).await, 200).await;
    let next = Signer::eddsa("second");
    issuer.keys.lock().unwrap().push(next.jwk());
    read(get(&app, OWN, &next.sign(&issuer.claims(json!({})))).await, 200).await;
    assert_eq!(issuer.fetches(), 2);
    for _ in 0..3 {
        let unknown = Signer::eddsa("third").sign(&issuer.claims(json!({})));
        error(get(&app, OWN, &unknown).await, 401, "Unauthorized").await;
    }
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test]
async fn without_the_issuer_known_keys_go_on_and_the_rest_waits() {
    let mut issuer = TestIssuer::start();
    let app = app(&issuer).await;
    issuer.server.down();
    let token = issuer.token_of("space-own");
    let answer = get(&app, OWN, &token).await;
    assert!(answer.headers().contains_key("retry-after"));
    error(answer, 503, "ServiceUnavailable").await;
    issuer.server.up().unwrap();
    read(get(&app, OWN, &token).await, 200).await;
    issuer.server.down();
    read(get(&app, OWN, &token).await, 200).await;
    let unknown = Signer::es256("third").sign(&issuer.claims(json!({})));
    error(get(&app, OWN, &unknown).await, 503, "ServiceUnavailable").await;
    read(app.get("/instances").await, 200).await;
}

#[tokio::test]
async fn an_issuer_whose_description_is_another_ones_is_not_believed() {
    let issuer = TestIssuer::start();
    let settings = OidcSettings { issuer: format!("{}/", issuer.server.url()), ..issuer.settings() };
    let auth = AuthSettings { oidc: Some(settings), ..auth() };
    let app = App::with_auth(Policy::default(), http(), auth).await;
    error(get(&app, OWN, &issuer.token_of("space-own")).await, 503, "ServiceUnavailable").await;
}
