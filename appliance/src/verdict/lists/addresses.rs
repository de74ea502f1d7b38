//! A set of addresses: sorted intervals that do not touch, so that two hundred thousand entries take little memory and a lookup
//! is a binary search.

use core::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

/// A set of addresses.
#[derive(Clone, Debug, Default)]
pub(super) struct Addresses {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl Addresses {
    /// Adds a network. Nothing is found before [`Self::settle`].
    pub fn add(&mut self, network: IpNet) {
        match network {
            IpNet::V4(v4) => self.v4.push((v4.network().to_bits(), v4.broadcast().to_bits())),
            IpNet::V6(v6) => self.v6.push((v6.network().to_bits(), v6.broadcast().to_bits())),
        }
    }

    /// Puts what was added in order.
    pub fn settle(&mut self) {
        merge(&mut self.v4, |end| end.checked_add(1));
        merge(&mut self.v6, |end| end.checked_add(1));
    }

    /// The address is in the set. Addresses that mean somebody else in every network never are, whatever was added.
    pub fn holds(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(v4) => is_global(v4) && is_within(&self.v4, v4.to_bits()),
            IpAddr::V6(v6) => {
                let is_local = v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_multicast();
                !is_local && is_within(&self.v6, v6.to_bits())
            }
        }
    }

    /// How many intervals there is room for, and what they take.
    pub const fn footprint(&self) -> (usize, usize) {
        let (v4, v6) = (self.v4.capacity(), self.v6.capacity());
        (v4 + v6, v4 * size_of::<(u32, u32)>() + v6 * size_of::<(u128, u128)>())
    }
}

/// Puts the intervals in order, those that overlap or touch as one.
fn merge<T: Ord + Copy>(intervals: &mut Vec<(T, T)>, next: impl Fn(T) -> Option<T>) {
    intervals.sort_unstable();
    intervals.dedup_by(|later, earlier| {
        let goes_on = next(earlier.1).is_none_or(|next| later.0 <= next);
        if goes_on {
            earlier.1 = earlier.1.max(later.1);
        }
        goes_on
    });
    intervals.shrink_to_fit();
}

fn is_within<T: Ord + Copy>(intervals: &[(T, T)], address: T) -> bool {
    let behind = intervals.partition_point(|(first, _)| *first <= address);
    behind.checked_sub(1).and_then(|last| intervals.get(last)).is_some_and(|(_, end)| address <= *end)
}

/// Not of a household, a link, or a group.
const fn is_global(address: Ipv4Addr) -> bool {
    !(address.is_private() || address.is_link_local() || address.is_multicast() || address.is_broadcast())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(networks: &[IpNet]) -> Addresses {
        let mut set = Addresses::default();
        networks.iter().for_each(|network| set.add(*network));
        set.settle();
        set
    }

    #[test]
    fn addresses_of_households_links_and_groups_are_in_no_set() {
        let networks = ["192.168.0.0/16", "10.0.0.0/8", "224.0.0.0/8", "169.254.0.0/16", "fe80::/16", "fc00::/16"];
        let set = set(&networks.map(|network| network.parse().expect("a network")));
        for address in ["192.168.1.1", "10.1.1.1", "224.0.0.251", "169.254.1.1", "fe80::1", "fc00::1"] {
            assert!(!set.holds(address.parse().expect("an address")), "{address}");
        }
    }

    proptest! {
        #[test]
        fn an_address_is_held_where_one_of_the_networks_holds_it(
            networks in proptest::collection::vec((0_u32..1 << 12, 20_u8..=32), 0..40),
            asked in proptest::collection::vec(0_u32..1 << 12, 50),
        ) {
            // A small part of the address space, so that networks overlap and touch.
            let address = |low: u32| Ipv4Addr::from_bits(0xcb00_7000 + low);
            let network = |(low, prefix): (u32, u8)| IpNet::new_assert(address(low).into(), prefix);
            let networks: Vec<IpNet> = networks.into_iter().map(network).collect();
            let set = set(&networks);
            for low in asked {
                let asked = IpAddr::from(address(low));
                prop_assert_eq!(set.holds(asked), networks.iter().any(|network| network.contains(&asked)));
            }
            let apart = set.v4.windows(2).all(|pair| u64::from(pair[0].1) + 1 < u64::from(pair[1].0));
            prop_assert!(apart, "intervals touch: {:?}", set.v4);
        }
    }
}
