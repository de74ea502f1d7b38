//! Windows: what each source did, and what was done to each destination, in the last seconds.
//!
//! One flow of a scan, a flood or a password attack looks like any other; many of them in a short time do not. Three
//! tables hold [`Activity`]: by source (IPv6: by /64, within which a host chooses freely), by destination host, and by
//! destination port. Each is bounded; the one that was quiet longest goes.

mod activity;
mod sketch;

pub use activity::{Activity, Counts};

use core::net::IpAddr;

use activity::Facts;

use crate::arena::Arena;
use crate::flow::{Flow, mapped};
use crate::limits::Limits;
use crate::services::Service;
use crate::time::Timestamp;

/// Address, and port where the table is about ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    address: u128,
    port: u16,
}

/// Something that a flow did and that windows count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It began.
    Begun,
    /// The responder sent something.
    Answered,
    /// The handshake was completed.
    Established,
    /// The responder reset it before any payload.
    Refused,
    /// A login connection ended soon after it began.
    ShortLogin,
}

/// The three views that the features of a flow are made from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surroundings {
    /// The initiator over 2 s, 60 s.
    pub source: [Counts; 2],
    /// The responder's host over 2 s, 60 s.
    pub host: [Counts; 2],
    /// The responder's port over 2 s, 60 s.
    pub service: [Counts; 2],
}

/// The three tables.
#[derive(Debug)]
pub struct Windows {
    sources: Table,
    hosts: Table,
    services: Table,
}

impl Windows {
    /// Takes all memory at once; `seed` keys the hashes.
    #[must_use]
    pub fn new(limits: &Limits, seed: [u64; 2]) -> Self {
        Self {
            sources: Table::new(limits.sources, seed),
            hosts: Table::new(limits.destinations, seed),
            services: Table::new(limits.destinations, seed),
        }
    }

    /// Counts a deed of a flow.
    pub fn count(&mut self, flow: &Flow, deed: Deed, now: Timestamp) {
        let peers = Peers::of(flow);
        let facts = Facts {
            is_tcp: flow.is_tcp,
            is_login: flow.service() == Service::Login,
            port: flow.has_ports.then_some(peers.service.port),
            peer: peers.host.address,
        };
        self.sources.count(peers.source, deed, &facts, now);
        let facts = Facts { peer: peers.source.address, ..facts };
        self.hosts.count(peers.host, deed, &facts, now);
        self.services.count(peers.service, deed, &facts, now);
    }

    /// What is known around a flow now.
    #[must_use]
    pub fn around(&self, flow: &Flow, now: Timestamp) -> Surroundings {
        let peers = Peers::of(flow);
        Surroundings {
            source: self.sources.counts(&peers.source, now),
            host: self.hosts.counts(&peers.host, now),
            service: self.services.counts(&peers.service, now),
        }
    }
}

/// The keys that a flow counts under.
struct Peers {
    source: Key,
    host: Key,
    service: Key,
}

impl Peers {
    fn of(flow: &Flow) -> Self {
        let initiator = flow.key.sender(flow.forward());
        let responder = flow.key.sender(flow.forward().reversed());
        let host = mapped(responder.address());
        let port = if flow.has_ports { responder.port() } else { 0 };
        Self {
            source: Key { address: source_key(initiator.address()), port: 0 },
            host: Key { address: host, port: 0 },
            service: Key { address: host, port },
        }
    }
}

/// Sources are told apart by IPv4 address or IPv6 /64.
fn source_key(address: IpAddr) -> u128 {
    let bits = mapped(address);
    if address.is_ipv6() { bits & !u128::from(u64::MAX) } else { bits }
}

#[derive(Debug)]
struct Table(Arena<Key, Activity, 1>);

impl Table {
    fn new(capacity: usize, seed: [u64; 2]) -> Self {
        Self(Arena::new(capacity, seed))
    }

    /// Counts a deed under a key; where the table is full, the key that was quiet longest goes.
    fn count(&mut self, key: Key, deed: Deed, facts: &Facts, now: Timestamp) {
        if let Some(slot) = self.0.find_or_replace_oldest(key, || Activity::new(now)) {
            self.0.get_mut(slot).count(deed, facts, now);
        }
    }

    fn counts(&self, key: &Key, now: Timestamp) -> [Counts; 2] {
        self.0.find(key).map_or_else(Default::default, |slot| self.0.get(slot).counts(now))
    }
}
