//! What was heard at one port, each thing for as long as it holds.
//!
//! Each port has a memory of its own: whoever fills the one of the household's side takes nothing from the other.

use core::net::IpAddr;
use core::time::Duration;

use ipnet::IpNet;

use super::Announcement;
use traffic::address::Mac;

/// Addresses whose MAC is remembered.
const OWNERS: usize = 256;
/// Gateways that are remembered, and as many resolvers, and DHCP servers.
const SERVERS: usize = 16;

/// Nobody says how long an address stays where it is.
const OWNER_LIFETIME: Duration = Duration::from_secs(86_400);

/// What was heard within this time does not give way. Routers advertise themselves at least every half hour (RFC 4861
/// section 6.2.1), so that inventing others does not push them out.
const KEPT: Duration = Duration::from_secs(3_600);

/// Everything.
#[derive(Debug)]
pub(super) struct Memory {
    /// Where addresses are.
    pub owners: Table<Mac>,
    /// Gateways, and the network of each where it is known.
    pub gateways: Table<Option<IpNet>>,
    /// Servers of names.
    pub resolvers: Table<()>,
    /// Servers of addresses.
    pub dhcp_servers: Table<()>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            owners: Table::new(OWNERS),
            gateways: Table::new(SERVERS),
            resolvers: Table::new(SERVERS),
            dhcp_servers: Table::new(SERVERS),
        }
    }
}

impl Memory {
    /// Takes in what was heard now. All times are counted from the daemon's start.
    pub fn hear(&mut self, announcement: Announcement, now: Duration) {
        match announcement {
            // Nobody can be at the address of a group.
            Announcement::Owner { mac, .. } if !mac.is_of_one_host() => {}
            Announcement::Owner { address, mac } => self.owners.hear(address, mac, OWNER_LIFETIME, now),
            Announcement::Gateway { address, network, lifetime } => {
                self.gateways.hear(address, network, lifetime, now);
            }
            Announcement::Resolver { address, lifetime } => self.resolvers.hear(address, (), lifetime, now),
            Announcement::DhcpServer { address, lifetime } => self.dhcp_servers.hear(address, (), lifetime, now),
        }
    }

    /// How many things were not remembered for want of room.
    pub const fn refused(&self) -> u64 {
        self.owners.refused + self.gateways.refused + self.resolvers.refused + self.dhcp_servers.refused
    }
}

/// Addresses with what is known of each. Full: one goes that does not hold any more, or else the one that was not heard for
/// longest, unless it was heard within [`KEPT`]; then the newcomer is not remembered, and counted.
#[derive(Debug)]
pub(super) struct Table<T> {
    entries: Vec<Entry<T>>,
    capacity: usize,
    refused: u64,
}

#[derive(Debug)]
struct Entry<T> {
    address: IpAddr,
    value: T,
    heard: Duration,
    until: Duration,
}

impl<T: Copy> Table<T> {
    const fn new(capacity: usize) -> Self {
        Self { entries: Vec::new(), capacity, refused: 0 }
    }

    fn hear(&mut self, address: IpAddr, value: T, lifetime: Duration, now: Duration) {
        let entry = Entry { address, value, heard: now, until: now.saturating_add(lifetime) };
        if let Some(known) = self.entries.iter_mut().find(|entry| entry.address == address) {
            *known = entry;
        } else if lifetime.is_zero() {
            // Something is withdrawn that was never heard of.
        } else if self.entries.len() < self.capacity {
            self.entries.push(entry);
        } else if let Some(old) = self.entries.iter_mut().min_by_key(|old| (old.until > now, old.heard))
            && (old.until <= now || now.saturating_sub(old.heard) > KEPT)
        {
            *old = entry;
        } else {
            self.refused += 1;
        }
    }

    /// Those that hold now, in the order in which they were first heard.
    pub fn standing(&self, now: Duration) -> impl Iterator<Item = (IpAddr, T)> {
        self.entries.iter().filter(move |entry| now < entry.until).map(|entry| (entry.address, entry.value))
    }

    /// Whether the address stands here now.
    pub fn has(&self, address: IpAddr, now: Duration) -> bool {
        self.standing(now).any(|(standing, _)| standing == address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn gateway(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn hear(memory: &mut Memory, last: u8, lifetime_s: u64, now_s: u64) {
        let announcement = Announcement::Gateway { address: gateway(last), network: None, lifetime: at(lifetime_s) };
        memory.hear(announcement, at(now_s));
    }

    fn standing(memory: &Memory, now_s: u64) -> Vec<u8> {
        let last = |address: IpAddr| if let IpAddr::V4(v4) = address { v4.octets()[3] } else { 0 };
        memory.gateways.standing(at(now_s)).map(|(address, _)| last(address)).collect()
    }

    #[test]
    fn a_thing_holds_for_as_long_as_was_said_last_and_can_be_withdrawn() {
        let mut memory = Memory::default();
        hear(&mut memory, 1, 10, 0);
        hear(&mut memory, 1, 10, 8);
        hear(&mut memory, 2, 0, 8);
        assert_eq!((standing(&memory, 17), standing(&memory, 18)), (vec![1], vec![]));
        hear(&mut memory, 1, 100, 20);
        hear(&mut memory, 1, 0, 21);
        assert_eq!(standing(&memory, 21), [0; 0]);
    }

    #[test]
    fn an_address_that_is_said_to_be_at_a_group_or_at_nobody_is_not_remembered() {
        let mut memory = Memory::default();
        let tell = |memory: &mut Memory, mac| memory.hear(Announcement::Owner { address: gateway(1), mac }, at(0));
        for mac in [[0; 6], [0xff; 6], [0x33, 0x33, 0, 0, 0, 1]] {
            tell(&mut memory, Mac(mac));
            assert!(!memory.owners.has(gateway(1), at(1)), "{mac:?}");
        }
        tell(&mut memory, Mac([2, 0, 0, 0, 0, 1]));
        assert!(memory.owners.has(gateway(1), at(1)));
    }

    #[test]
    fn inventing_others_pushes_nobody_out_who_is_heard_now_and_then() {
        let mut memory = Memory::default();
        hear(&mut memory, 1, 100_000, 0);
        for now_s in 0..20_000 {
            hear(&mut memory, 2 + (now_s % 250) as u8, 100_000, now_s);
            if now_s % 1_800 == 0 {
                hear(&mut memory, 1, 100_000, now_s);
            }
            assert!(memory.gateways.entries.len() <= SERVERS);
            assert!(memory.gateways.has(gateway(1), at(now_s)), "{now_s}");
        }
        assert!(memory.refused() > 0);
    }

    #[test]
    fn where_all_is_taken_those_go_that_do_not_hold_any_more_and_then_those_of_long_ago() {
        let mut memory = Memory::default();
        for last in 0..16 {
            hear(&mut memory, last, if last == 3 { 5 } else { 100_000 }, 0);
        }
        hear(&mut memory, 100, 100_000, 4);
        hear(&mut memory, 101, 100_000, 5);
        assert_eq!((memory.gateways.has(gateway(100), at(5)), memory.gateways.has(gateway(101), at(5))), (false, true));
        hear(&mut memory, 102, 100_000, 3_601);
        assert!(memory.gateways.has(gateway(102), at(3_601)));
        assert!(!memory.gateways.has(gateway(0), at(3_601)));
    }
}
