//! The issuer's keys in memory. A token under an unknown key lets them be fetched again, at most once in half a minute;
//! what is known goes on working when the issuer is away.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;
use tokio::sync::Mutex;

use super::issuer::Issuer;

/// Between two fetches that somebody's token asked for.
const PAUSE: Duration = Duration::from_secs(30);

/// Keys that are older are fetched anew behind a request, so that one the issuer took back does not live for ever.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// Why there is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyError {
    /// The issuer does not have it.
    Unknown,
    /// The issuer cannot be asked.
    Unavailable,
}

/// One key and what may be signed with it.
pub(super) struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: Arc<DecodingKey>,
}

struct KeySet {
    keys: Vec<Key>,
    fetched_at: Instant,
}

/// How the last fetch went, and when somebody's token asked for one last.
#[derive(Default)]
struct Fetches {
    last: Option<(Instant, Result<(), KeyError>)>,
    asked_at: Option<Instant>,
}

/// The keys of one issuer.
pub(super) struct Keys {
    issuer: Issuer,
    known: RwLock<Option<Arc<KeySet>>>,
    fetches: Mutex<Fetches>,
}

impl Keys {
    pub(super) fn new(issuer: Issuer) -> Self {
        Self { issuer, known: RwLock::default(), fetches: Mutex::default() }
    }

    /// The key of this id for this algorithm. A token without an id is fine as long as only one key fits.
    pub(super) async fn find(
        self: &Arc<Self>,
        id: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Arc<DecodingKey>, KeyError> {
        let known = self.known();
        if let Some(key) = known.as_ref().and_then(|known| known.find(id, algorithm)) {
            if known.is_some_and(|known| known.is_old(Instant::now())) {
                self.renew();
            }
            return Ok(key);
        }
        self.fetch().await?;
        self.known().and_then(|known| known.find(id, algorithm)).ok_or(KeyError::Unknown)
    }

    fn known(&self) -> Option<Arc<KeySet>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Fetches the keys for a request that needs other ones. Whoever waited while another fetched takes its outcome.
    async fn fetch(&self) -> Result<(), KeyError> {
        let asked_at = Instant::now();
        let mut fetches = self.fetches.lock().await;
        if let Some((ended_at, outcome)) = fetches.last
            && (ended_at >= asked_at || fetches.is_pausing(self.known().is_some()))
        {
            return outcome;
        }
        self.fetch_now(&mut fetches).await
    }

    /// Fetches the keys while what is known is used, unless that is happening already.
    fn renew(self: &Arc<Self>) {
        let keys = Arc::clone(self);
        tokio::spawn(async move {
            if let Ok(mut fetches) = keys.fetches.try_lock()
                && !fetches.is_pausing(true)
            {
                // A failure is logged; the keys stay as they are.
                keys.fetch_now(&mut fetches).await.ok();
            }
        });
    }

    async fn fetch_now(&self, fetches: &mut Fetches) -> Result<(), KeyError> {
        if self.known().is_some() {
            fetches.asked_at = Some(Instant::now());
        }
        let outcome = match self.issuer.fetch().await {
            Ok(keys) => {
                let set = Arc::new(KeySet { keys, fetched_at: Instant::now() });
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(set);
                Ok(())
            }
            Err(error) => {
                let error = backup_daemon::exit::chain(&error);
                tracing::warn!(error, "the keys of auth.oidc.issuer cannot be fetched");
                Err(KeyError::Unavailable)
            }
        };
        fetches.last = Some((Instant::now(), outcome));
        outcome
    }
}

impl Fetches {
    /// Without any key there is no pause: nobody gets in, and the next request may find the issuer back.
    fn is_pausing(&self, has_keys: bool) -> bool {
        has_keys && self.asked_at.is_some_and(|at| at.elapsed() < PAUSE)
    }
}

impl KeySet {
    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<Arc<DecodingKey>> {
        let fits =
            |key: &&Key| key.algorithms.contains(&algorithm) && (id.is_none() || key.id.as_deref() == id);
        let mut fitting = self.keys.iter().filter(fits);
        let first = fitting.next()?;
        let is_clear = id.is_some() || fitting.next().is_none();
        is_clear.then(|| Arc::clone(&first.key))
    }

    fn is_old(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.fetched_at) > MAX_AGE
    }
}

/// Reads one key of a set; none for keys of other kinds and for other purposes, which a set may contain.
pub(super) fn read(value: &Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
    if jwk.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
        return None;
    }
    let fitting = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => vec![Algorithm::RS256, Algorithm::PS256],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => vec![Algorithm::ES256],
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            vec![Algorithm::EdDSA]
        }
        _ => return None,
    };
    let algorithms = match jwk.common.key_algorithm {
        None => fitting,
        Some(named) => {
            fitting.into_iter().filter(|algorithm| KeyAlgorithm::from(*algorithm) == named).collect()
        }
    };
    let key = Arc::new(DecodingKey::from_jwk(&jwk).ok()?);
    Some(Key { id: jwk.common.key_id, algorithms, key })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(more: Value) -> Option<Key> {
        let mut value =
            json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        read(&value)
    }

    fn set(keys: Vec<Key>) -> KeySet {
        KeySet { keys, fetched_at: Instant::now() }
    }

    #[test]
    fn only_keys_for_signatures_of_known_kinds_are_read() {
        assert_eq!(key(json!({"kid": "a"})).unwrap().algorithms, [Algorithm::EdDSA]);
        assert_eq!(key(json!({"use": "sig", "alg": "EdDSA"})).unwrap().algorithms, [Algorithm::EdDSA]);
        assert!(key(json!({"use": "enc"})).is_none());
        assert!(key(json!({"alg": "RS256"})).unwrap().algorithms.is_empty());
        assert!(read(&json!({"kty": "oct", "k": "c2VjcmV0", "kid": "a"})).is_none());
        assert!(read(&json!({"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"})).is_none());
        assert!(read(&json!({"kty": "new"})).is_none());
        assert!(read(&json!("a text")).is_none());
    }

    #[test]
    fn a_token_without_a_key_id_is_fine_while_only_one_key_fits() {
        let one = set(vec![key(json!({"kid": "a"})).unwrap()]);
        assert!(one.find(None, Algorithm::EdDSA).is_some());
        assert!(one.find(None, Algorithm::ES256).is_none());
        assert!(one.find(Some("b"), Algorithm::EdDSA).is_none());
        let two = set(vec![key(json!({"kid": "a"})).unwrap(), key(json!({"kid": "b"})).unwrap()]);
        assert!(two.find(None, Algorithm::EdDSA).is_none());
        assert!(two.find(Some("b"), Algorithm::EdDSA).is_some());
    }

    #[test]
    fn keys_are_old_after_an_hour() {
        let set = set(Vec::new());
        assert!(!set.is_old(set.fetched_at + MAX_AGE));
        assert!(set.is_old(set.fetched_at + MAX_AGE + Duration::from_secs(1)));
    }
}
