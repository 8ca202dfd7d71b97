//! How many connections each address has on all shards together, and how many of them may be.
//!
//! All shards share one table. It is touched only when a connection comes or goes, and only while there is a cap; an address
//! without connections is not in it, so it is never larger than the connections that there are. A client with IPv6 has a
//! network of its own, so the first 64 bits of such an address count. A cap that is set while the server runs counts those
//! who come from then on.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use protocol::address::Address;

use crate::limits::Limits;

/// Into how many parts the table is divided, so that shards seldom meet.
const PARTS: usize = 16;

/// The caps of a server, and what they count. None by default.
#[derive(Clone, Default, Debug)]
pub struct AddressCaps(Arc<Shared>);

#[derive(Default, Debug)]
struct Shared {
    /// 0: any number.
    connections_max: AtomicU32,
    half_open_max: AtomicU32,
    parts: [Mutex<HashMap<IpAddr, Counts>>; PARTS],
}

#[derive(Clone, Copy, Default, Debug)]
struct Counts {
    connections: u32,
    half_open: u32,
}

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Counted {
    /// Clients.
    Connections,
    /// Connections without a complete head.
    HalfOpen,
}

/// A connection that is counted. Dropping it gives the place back.
#[derive(Debug)]
pub(crate) struct AddressPlace {
    caps: Arc<Shared>,
    network: IpAddr,
    counted: Counted,
}

/// An address has as many as it may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AddressFull {
    /// How many that are.
    pub(crate) max: u32,
}

impl AddressCaps {
    /// From now on these are the caps. Nobody is closed for it.
    pub fn change(&self, limits: &Limits) {
        let store = |max: &AtomicU32, value: Option<u32>| max.store(value.unwrap_or(0), Ordering::Relaxed);
        store(&self.0.connections_max, limits.connections_per_address_max);
        store(&self.0.half_open_max, limits.half_open_per_address_max);
    }

    /// Whether anything is counted.
    pub(crate) fn are_set(&self) -> bool {
        [Counted::Connections, Counted::HalfOpen].into_iter().any(|counted| self.0.max(counted) > 0)
    }

    /// One more of this address, if it may have one; None: nobody counts.
    pub(crate) fn enter(
        &self,
        address: Option<Address>,
        counted: Counted,
    ) -> Result<Option<AddressPlace>, AddressFull> {
        let max = self.0.max(counted);
        let Some(address) = address.filter(|_| max > 0) else { return Ok(None) };
        let network = network(address.ip());
        let mut part = self.0.part(network);
        let count = part.entry(network).or_default().of(counted);
        if *count >= max {
            return Err(AddressFull { max });
        }
        *count += 1;
        Ok(Some(AddressPlace { caps: Arc::clone(&self.0), network, counted }))
    }

    /// How many addresses are counted.
    pub fn addresses(&self) -> usize {
        self.0.parts.iter().map(|part| lock(part).len()).sum()
    }
}

impl Shared {
    fn max(&self, counted: Counted) -> u32 {
        match counted {
            Counted::Connections => self.connections_max.load(Ordering::Relaxed),
            Counted::HalfOpen => self.half_open_max.load(Ordering::Relaxed),
        }
    }

    fn part(&self, network: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, Counts>> {
        let folded = match network {
            IpAddr::V4(ip) => u64::from(ip.to_bits()),
            IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64,
        };
        let [first, ..] = &self.parts;
        // Neighbours differ in their last bits.
        lock(self.parts.get(folded as usize % PARTS).unwrap_or(first))
    }
}

fn lock(part: &Mutex<HashMap<IpAddr, Counts>>) -> MutexGuard<'_, HashMap<IpAddr, Counts>> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Counts {
    fn of(&mut self, counted: Counted) -> &mut u32 {
        match counted {
            Counted::Connections => &mut self.connections,
            Counted::HalfOpen => &mut self.half_open,
        }
    }
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        let mut part = self.caps.part(self.network);
        if let Some(counts) = part.get_mut(&self.network) {
            *counts.of(self.counted) -= 1;
            if counts.connections == 0 && counts.half_open == 0 {
                part.remove(&self.network);
            }
        }
    }
}

/// What is counted together with this address.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn caps(connections: u32, half_open: u32) -> AddressCaps {
        let caps = AddressCaps::default();
        caps.change(&limits(connections, half_open));
        caps
    }

    fn limits(connections: u32, half_open: u32) -> Limits {
        let cap = |max: u32| Some(max).filter(|max| *max > 0);
        Limits {
            connections_per_address_max: cap(connections),
            half_open_per_address_max: cap(half_open),
            ..Limits::default()
        }
    }

    fn at(text: &str) -> Option<Address> {
        text.parse::<SocketAddr>().ok().map(Address::from)
    }

    #[test]
    fn an_address_has_as_many_places_as_it_may_and_a_network_of_ipv6_counts_as_one() {
        let caps = caps(2, 1);
        let enter = |text| caps.enter(at(text), Counted::Connections);
        let (first, _second) = (enter("192.0.2.1:1").unwrap(), enter("192.0.2.1:2").unwrap());
        assert_eq!(enter("192.0.2.1:3").unwrap_err(), AddressFull { max: 2 });
        let _other = enter("192.0.2.2:1").unwrap();
        let _half_open = caps.enter(at("192.0.2.1:4"), Counted::HalfOpen).unwrap();
        assert!(caps.enter(at("192.0.2.1:5"), Counted::HalfOpen).is_err());
        drop(first);
        let _again = enter("192.0.2.1:6").unwrap();
        let _six = [enter("[2001:db8::1]:1").unwrap(), enter("[2001:db8::ffff:2]:1").unwrap()];
        assert!(enter("[2001:db8:0:0:9::]:1").is_err());
        let _next = enter("[2001:db8:0:1::]:1").unwrap();
        assert_eq!(caps.addresses(), 4);
    }

    #[test]
    fn nothing_is_kept_of_an_address_without_connections_nor_where_there_is_no_cap() {
        let off = caps(0, 0);
        assert!(off.enter(at("192.0.2.1:1"), Counted::Connections).unwrap().is_none() && !off.are_set());
        let caps = caps(1, 0);
        assert!(caps.are_set() && caps.enter(None, Counted::Connections).unwrap().is_none());
        let place = caps.enter(at("192.0.2.1:1"), Counted::Connections).unwrap();
        assert_eq!(caps.addresses(), 1);
        // Who was counted gives the place back, whatever the caps are now.
        caps.change(&limits(0, 5));
        drop(place);
        assert_eq!(caps.addresses(), 0);
    }
}
