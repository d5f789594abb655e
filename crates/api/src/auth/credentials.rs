//! What a request brings to prove who asks: the `Authorization` header, read and not yet believed.

use actix_web::http::header::{self, HeaderMap};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Separates name and token of an owner's bearer token. No user's name has it, and no JSON Web Token.
const SEPARATOR: char = '~';

/// What was brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// `Basic`: name and password.
    Password(String, String),
    /// `Bearer NAME~TOKEN`: an owner's name and password.
    OwnerToken(String, String),
    /// `Bearer`, anything else: a token of the issuer's.
    Jwt(String),
}

impl Credentials {
    /// None when they are absent, malformed or of an unknown scheme.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let (scheme, value) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        let value = value.trim();
        let pair = |(name, secret): (&str, &str)| (name.to_owned(), secret.to_owned());
        if scheme.eq_ignore_ascii_case("basic") {
            let decoded = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
            let (name, password) = decoded.split_once(':').map(pair)?;
            return Some(Self::Password(name, password));
        }
        if !scheme.eq_ignore_ascii_case("bearer") || value.is_empty() {
            return None;
        }
        Some(match value.split_once(SEPARATOR).map(pair) {
            Some((name, token)) => Self::OwnerToken(name, token),
            None => Self::Jwt(value.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn schemes_are_told_apart_and_what_is_malformed_is_nothing() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(text));
            Credentials::read(&headers)
        };
        let password = |name: &str, word: &str| Some(Credentials::Password(name.into(), word.into()));
        assert_eq!(read("Basic YTpiOmM="), password("a", "b:c"));
        assert_eq!(read("basic  YTpiOmM="), password("a", "b:c"));
        let token = Some(Credentials::OwnerToken("ann".into(), "to~ken".into()));
        assert_eq!(read("Bearer ann~to~ken"), token);
        assert_eq!(read("bearer a.b.c"), Some(Credentials::Jwt("a.b.c".into())));
        for bad in [
            "",
            "Basic",
            "Basic !!!",
            "Basic YWRtaW4=",
            "Bearer",
            "Bearer ",
            "Digest a",
            "YTpi",
            "Basic /////w==",
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }
}
