//! The fleet as numbers: which instances there are, under which names and addresses, and whose they are. Measurement and
//! simulation agree on it without talking.

use std::net::Ipv4Addr;

/// How many brokers share the instances.
pub(super) const BROKERS: u32 = 10;

/// The name every simulated agent has in its certificate.
pub(super) const SERVER_NAME: &str = "localhost";

/// What brokers and agents accept as `Authorization`, as user and password.
pub(super) const CREDENTIAL: (&str, &str) = ("fleet", "simulated");

/// The first of the addresses of broker 0's agents is 127.10.0.1.
const FIRST_OCTET_OF_BROKERS: u32 = 10;

/// A number of instances, dealt out to the brokers in turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) instances: u32,
}

impl Shape {
    /// The instances of a broker.
    pub(super) fn of_broker(self, broker: u32) -> impl Iterator<Item = u32> {
        (0..self.instances).filter(move |instance| instance % BROKERS == broker)
    }

    /// Whose an instance is.
    pub(super) fn broker_of(instance: u32) -> u32 {
        instance % BROKERS
    }

    /// The instance's name on the platform.
    pub(super) fn guid(instance: u32) -> String {
        format!("f1ee7000-0000-4000-8000-{instance:012}")
    }

    /// The address of the instance's agent: one of its own, so that the manager needs a connection for each, as in a real fleet.
    pub(super) fn address(instance: u32) -> Ipv4Addr {
        let within = (instance / BROKERS).saturating_add(1);
        let bits =
            (127 << 24) | ((FIRST_OCTET_OF_BROKERS + Self::broker_of(instance)) << 16) | (within & 0xffff);
        Ipv4Addr::from_bits(bits)
    }

    /// Whose agent has this address; none when nobody has it.
    pub(super) fn broker_at(address: Ipv4Addr) -> Option<u32> {
        let [127, octet, ..] = address.octets() else { return None };
        u32::from(octet).checked_sub(FIRST_OCTET_OF_BROKERS).filter(|broker| *broker < BROKERS)
    }
}

/// The name of a broker in the manager's configuration.
pub(super) fn broker_name(broker: u32) -> String {
    format!("broker-{broker}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instance_has_an_address_of_its_own_that_tells_its_broker() {
        let addresses: std::collections::HashSet<_> = (0..100_000).map(Shape::address).collect();
        assert_eq!(addresses.len(), 100_000);
        for instance in [0, 1, 9, 10, 2_559, 2_560, 99_999] {
            assert_eq!(Shape::broker_at(Shape::address(instance)), Some(Shape::broker_of(instance)));
        }
        assert_eq!(Shape::broker_at(Ipv4Addr::LOCALHOST), None);
    }

    #[test]
    fn the_brokers_share_all_instances() {
        let shape = Shape { instances: 1_003 };
        let all: usize = (0..BROKERS).map(|broker| shape.of_broker(broker).count()).sum();
        assert_eq!(all, 1_003);
    }
}
