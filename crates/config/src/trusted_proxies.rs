//! `listen.trusted_proxies`: networks, or single addresses, as text.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de};

/// One entry, so that a mistake is reported with its index.
struct Network(IpNet);

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        let allowed = "an address or a network, for example 10.0.0.7, 10.0.0.0/24 or fd00::/64";
        let network = text.parse().or_else(|_| address());
        network.map(Self).map_err(|_| de::Error::invalid_value(de::Unexpected::Str(&text), &allowed))
    }
}

/// Reads the list.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let networks = Vec::<Network>::deserialize(deserializer)?;
    Ok(networks.into_iter().map(|network| network.0).collect())
}
