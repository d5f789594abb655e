//! Failed logins per client address: ten at once, then one every six seconds. Kept by this process alone; several API
//! processes count on their own.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time in which one failure is forgiven.
const REFILL: Duration = Duration::from_secs(6);

/// Failures in a row that are put up with.
const BURST: u32 = 10;

/// Addresses that are remembered; more push out those that would be forgiven first.
const MOST_ADDRESSES: usize = 10_000;

/// Too many failures: nothing more is verified for so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait(pub(crate) Duration);

/// The failures of each address, as the moment when all of them will be forgiven.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    forgiven_at: Mutex<HashMap<IpAddr, Instant>>,
}

impl Attempts {
    /// Whether the address may try (again) now.
    pub(crate) fn check(&self, client: IpAddr, now: Instant) -> Result<(), Wait> {
        let known = self.lock();
        let Some(forgiven_at) = known.get(&network(client)) else { return Ok(()) };
        let owed = forgiven_at.saturating_duration_since(now);
        match owed.checked_sub(REFILL.saturating_mul(BURST.saturating_sub(1))) {
            None | Some(Duration::ZERO) => Ok(()),
            Some(wait) => Err(Wait(wait)),
        }
    }

    /// Notes a failure.
    pub(crate) fn fail(&self, client: IpAddr, now: Instant) {
        let client = network(client);
        let mut known = self.lock();
        if known.len() >= MOST_ADDRESSES && !known.contains_key(&client) {
            make_room(&mut known, now);
        }
        let owed = known.get(&client).map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        let owed = owed.saturating_add(REFILL).min(REFILL.saturating_mul(BURST));
        known.insert(client, now.checked_add(owed).unwrap_or(now));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Instant>> {
        self.forgiven_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_room(known: &mut HashMap<IpAddr, Instant>, now: Instant) {
    known.retain(|_, forgiven_at| *forgiven_at > now);
    if known.len() >= MOST_ADDRESSES
        && let Some(next) =
            known.iter().min_by_key(|(_, forgiven_at)| **forgiven_at).map(|(client, _)| *client)
    {
        known.remove(&next);
    }
}

/// What one client can be expected to hold: an IPv4 address, or an IPv6 network of 64 bits.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn ten_failures_are_put_up_with_and_one_more_every_six_seconds() {
        let (attempts, now, client) = (Attempts::default(), Instant::now(), address("192.0.2.1"));
        for _ in 0..10 {
            assert_eq!(attempts.check(client, now), Ok(()));
            attempts.fail(client, now);
        }
        assert_eq!(attempts.check(client, now), Err(Wait(Duration::from_secs(6))));
        assert_eq!(attempts.check(address("192.0.2.2"), now), Ok(()));
        let later = now + Duration::from_secs(6);
        assert_eq!(attempts.check(client, later), Ok(()));
        attempts.fail(client, later);
        assert_eq!(attempts.check(client, later), Err(Wait(Duration::from_secs(6))));
        assert_eq!(attempts.check(client, later + Duration::from_secs(60)), Ok(()));
    }

    #[test]
    fn failures_that_overtake_the_check_cost_no_more_than_the_burst() {
        let (attempts, now, client) = (Attempts::default(), Instant::now(), address("192.0.2.1"));
        (0..1000).for_each(|_| attempts.fail(client, now));
        assert_eq!(attempts.check(client, now), Err(Wait(Duration::from_secs(6))));
    }

    #[test]
    fn an_ipv6_client_is_its_network_and_a_mapped_ipv4_address_is_itself() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        (0..10).for_each(|count| attempts.fail(address(&format!("2001:db8::{count}")), now));
        assert!(attempts.check(address("2001:db8::ffff:1:2:3"), now).is_err());
        assert!(attempts.check(address("2001:db8:0:1::1"), now).is_ok());
        (0..10).for_each(|_| attempts.fail(address("::ffff:192.0.2.1"), now));
        assert!(attempts.check(address("192.0.2.1"), now).is_err());
        assert!(attempts.check(address("::ffff:192.0.2.2"), now).is_ok());
    }

    #[test]
    fn no_more_than_ten_thousand_addresses_are_remembered_and_the_oldest_go_first() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        let early = address("10.255.255.255");
        (0..10).for_each(|_| attempts.fail(early, now));
        for count in 0..MOST_ADDRESSES + 100 {
            let late = now + Duration::from_secs(55);
            attempts.fail(IpAddr::from(u32::try_from(count).unwrap().to_be_bytes()), late);
        }
        assert_eq!(attempts.lock().len(), MOST_ADDRESSES);
        assert!(!attempts.lock().contains_key(&early));
        attempts.fail(early, now + Duration::from_secs(600));
        assert_eq!(attempts.lock().len(), 1, "what is forgiven takes no room");
    }
}
