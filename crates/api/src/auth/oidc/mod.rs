//! Tokens of an OpenID Connect issuer: whether one is good, and whose instances it is for. The keys are in `keys.rs`,
//! fetching them in `issuer.rs`.

mod issuer;
mod keys;

use std::sync::Arc;

use backup_config::{OidcSettings, Role};
use backup_core::domain::scope::{Limits, Scope};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::user::User;
use issuer::Issuer;
pub use issuer::SetupError;
use keys::{KeyError, Keys};

/// Asymmetric ones: nobody who can check a token can make one.
const ALGORITHMS: [Algorithm; 4] = [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA];

/// Seconds by which the issuer's clock may differ from ours.
const LEEWAY: u64 = 60;

/// Longest `sub` and longest GUID.
const LONGEST: usize = 255;

/// Why a token gets nobody in.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It is not good; a sentence says why.
    Invalid(&'static str),
    /// It is good, but names nothing to own; a sentence says what it lacks.
    OwnsNothing(String),
    /// The issuer's keys cannot be had at the moment.
    Unavailable,
}

/// The issuer and what is expected of its tokens.
pub(crate) struct Oidc {
    settings: OidcSettings,
    validation: Validation,
    keys: Arc<Keys>,
}

impl Oidc {
    pub(crate) fn new(settings: &OidcSettings) -> Result<Self, SetupError> {
        let mut validation = Validation { leeway: LEEWAY, validate_nbf: true, ..Validation::default() };
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&settings.audience]);
        let keys = Arc::new(Keys::new(Issuer::new(settings)?));
        Ok(Self { settings: settings.clone(), validation, keys })
    }

    /// The owner a token stands for.
    pub(crate) async fn verify(&self, token: &str) -> Result<User, Refusal> {
        let header = decode_header(token)
            .map_err(|_| Refusal::Invalid("The bearer token is no signed JSON Web Token of a known kind."))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(Refusal::Invalid("The token must be signed with RS256, PS256, ES256 or EdDSA."));
        }
        if header.crit.is_some() {
            return Err(Refusal::Invalid("The token demands something that is not understood here (crit)."));
        }
        let key = self.keys.find(header.kid.as_deref(), header.alg).await?;
        let validation = Validation { algorithms: vec![header.alg], ..self.validation.clone() };
        let claims: Map<String, Value> =
            decode(token, &key, &validation).map_err(|error| Refusal::Invalid(reason(&error)))?.claims;
        self.owner(&claims)
    }

    fn owner(&self, claims: &Map<String, Value>) -> Result<User, Refusal> {
        let subject =
            claims.get("sub").and_then(Value::as_str).filter(|sub| (1..=LONGEST).contains(&sub.len()));
        let subject = subject.filter(|sub| !sub.contains(char::is_control));
        let subject = subject.ok_or(Refusal::Invalid("The token says of nobody who they are (sub)."))?;
        let spaces = texts(claims.get(&self.settings.space_claim));
        let organization_claim = self.settings.organization_claim.as_ref();
        let organizations = texts(organization_claim.and_then(|claim| claims.get(claim)));
        if spaces.is_empty() && organizations.is_empty() {
            let wanted = match organization_claim {
                Some(claim) => format!("{} nor {claim}", self.settings.space_claim),
                None => self.settings.space_claim.clone(),
            };
            return Err(Refusal::OwnsNothing(format!("The token names no space; it has no claim {wanted}.")));
        }
        let scope = Scope::limited(Limits { spaces, organizations, ..Limits::default() });
        Ok(User { name: format!("oidc:{subject}"), role: Role::Owner, scope })
    }
}

impl From<KeyError> for Refusal {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Unknown => {
                Self::Invalid("The token is signed with a key that the issuer does not have.")
            }
            KeyError::Unavailable => Self::Unavailable,
        }
    }
}

/// A text or a list of texts; anything else names nothing.
fn texts(claim: Option<&Value>) -> Vec<String> {
    let all = match claim {
        Some(Value::Array(list)) => list.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    let texts = all.iter().filter_map(Value::as_str).filter(|text| (1..=LONGEST).contains(&text.len()));
    texts.filter(|text| !text.contains(char::is_control)).map(str::to_owned).collect()
}

fn reason(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::ExpiredSignature => "The token has expired.",
        ErrorKind::ImmatureSignature => "The token is not valid yet.",
        ErrorKind::InvalidIssuer => "The token is of another issuer.",
        ErrorKind::InvalidAudience => "The token is meant for somebody else (aud).",
        ErrorKind::MissingRequiredClaim(_) => "The token must have the claims exp, iss and aud.",
        ErrorKind::InvalidSignature => "The token's signature is wrong.",
        _ => "The token cannot be understood.",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_is_a_text_or_a_list_of_texts_and_nothing_else() {
        for (claim, expected) in [
            (json!("s-1"), vec!["s-1"]),
            (json!(["s-1", "s-2"]), vec!["s-1", "s-2"]),
            (json!(["", "s-2", 3, null, "a\nb"]), vec!["s-2"]),
            (json!(7), vec![]),
            (json!(null), vec![]),
            (json!({"a": "b"}), vec![]),
            (json!([["s-1"]]), vec![]),
        ] {
            assert_eq!(texts(Some(&claim)), expected, "{claim}");
        }
        assert_eq!(texts(None), Vec::<String>::new());
    }
}
