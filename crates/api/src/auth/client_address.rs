//! Who sent a request, when proxies stand in between: `X-Forwarded-For` is believed from those that
//! `listen.trusted_proxies` names. `X-Forwarded-Proto` and `X-Forwarded-Host` are used for nothing.

use std::net::{IpAddr, SocketAddr};

use actix_web::dev::ServiceRequest;
use actix_web::http::header::HeaderName;
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the client, for the logs, the audit trail and the count of failed logins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientAddress(pub(crate) Option<IpAddr>);

/// The proxies that are believed.
#[derive(Debug, Default)]
pub(crate) struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    pub(crate) fn new(networks: &[IpNet]) -> Self {
        Self(networks.to_vec())
    }

    pub(crate) fn client_of(&self, request: &ServiceRequest) -> ClientAddress {
        let peer = request.peer_addr().map(|address| address.ip());
        let lines = request.headers().get_all(X_FORWARDED_FOR).map(|line| line.to_str().unwrap_or_default());
        let lines: Vec<&str> = lines.collect();
        ClientAddress(peer.map(|peer| self.client(peer, &lines)))
    }

    /// Goes back from the peer as long as it meets trusted proxies. Each has added the one before it at the end, so
    /// what stands further to the left may be invented. At something that is no address the last proxy is the client.
    fn client(&self, peer: IpAddr, lines: &[&str]) -> IpAddr {
        let mut client = peer.to_canonical();
        let mut earlier = lines.iter().rev().flat_map(|line| line.rsplit(','));
        while self.0.iter().any(|network| network.contains(&client)) {
            match earlier.next().and_then(address) {
                Some(before) => client = before.to_canonical(),
                None => break,
            }
        }
        client
    }
}

/// An address, also with a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_rightmost_address_that_is_no_trusted_proxy() {
        let networks = ["10.0.0.0/8".parse().unwrap(), "fd00::/64".parse().unwrap()];
        let trusted = TrustedProxies::new(&networks);
        let cases: &[(&str, &[&str], &str)] = &[
            // (peer, X-Forwarded-For, client)
            ("192.0.2.9", &["203.0.113.1"], "192.0.2.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.1"], "203.0.113.1"),
            ("::ffff:10.0.0.1", &["203.0.113.1"], "203.0.113.1"),
            ("10.0.0.1", &["1.1.1.1, 203.0.113.1"], "203.0.113.1"),
            ("10.0.0.1", &["1.1.1.1", "203.0.113.1,10.0.0.2"], "203.0.113.1"),
            ("10.0.0.1", &["203.0.113.1", "10.0.0.2"], "203.0.113.1"),
            ("10.0.0.1", &["10.0.0.3, fd00::7"], "10.0.0.3"),
            ("10.0.0.1", &["203.0.113.1:4711"], "203.0.113.1"),
            ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", &["1.1.1.1, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1, , 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &["999.1.1.1"], "10.0.0.1"),
        ];
        for (peer, lines, expected) in cases {
            let found = trusted.client(peer.parse().unwrap(), lines);
            assert_eq!(found.to_string(), *expected, "{peer} {lines:?}");
        }
    }

    #[test]
    fn without_trusted_proxies_nobody_is_believed() {
        let client = TrustedProxies::default().client("127.0.0.1".parse().unwrap(), &["203.0.113.1"]);
        assert_eq!(client.to_string(), "127.0.0.1");
    }
}
