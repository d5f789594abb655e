//! `auth.oidc`: the issuer whose tokens are accepted below `/v1`, and what in them says whose instances they are for.

use std::path::PathBuf;

use serde::Deserialize;
use url::{Host, Url};

use crate::bounds::Bounds;

/// The `auth.oidc` section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcSettings {
    /// The `iss` of its tokens, to the letter; also where it describes itself.
    pub issuer: String,
    /// What `aud` of a token must contain.
    pub audience: String,
    /// The claim that names the bearer's space, or spaces.
    #[serde(default = "space_claim")]
    pub space_claim: String,
    /// The claim that names the bearer's organization, or organizations; none means that no claim does.
    pub organization_claim: Option<String>,
    /// Where the issuer's keys are; none means where its description says.
    pub jwks_url: Option<String>,
    /// PEM bundle of the certificate authorities to trust; none means the system's.
    pub ca_path: Option<PathBuf>,
}

impl OidcSettings {
    pub(crate) fn check(&self, path: &str, bounds: &mut Bounds) {
        let key = |name: &str| format!("{path}.{name}");
        let allowed =
            "an https URL without user, password, query and fragment (http only to a loopback address)";
        bounds.require(is_safe_url(&self.issuer), &key("issuer"), "another text", allowed);
        let is_fine = self.jwks_url.as_deref().is_none_or(is_safe_url);
        bounds.require(is_fine, &key("jwks_url"), "another text", allowed);
        bounds.require(!self.audience.trim().is_empty(), &key("audience"), "nothing", "a text");
        bounds.require(
            !self.space_claim.trim().is_empty(),
            &key("space_claim"),
            "nothing",
            "the name of a claim",
        );
        let is_named = self.organization_claim.as_deref().is_none_or(|claim| !claim.trim().is_empty());
        let allowed = "the name of a claim, or null";
        bounds.require(is_named, &key("organization_claim"), "nothing", allowed);
    }

    /// Whether keys may be fetched from this URL: whoever can change what it answers can sign tokens.
    pub fn is_safe_url(url: &str) -> bool {
        is_safe_url(url)
    }
}

fn is_safe_url(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let is_loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => return false,
    };
    let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    is_plain && url.query().is_none() && (url.scheme() == "https" || (url.scheme() == "http" && is_loopback))
}

fn space_claim() -> String {
    "space_guid".to_owned()
}
