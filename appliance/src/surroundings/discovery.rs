//! What routers and hosts say of themselves by IPv6 neighbour discovery (RFC 4861).

use core::net::Ipv6Addr;
use core::time::Duration;

use smoltcp::wire::{Icmpv6Message, Icmpv6Packet};

use super::Announcement;
use super::dhcp::v6_addresses;
use super::frame::is_host;
use traffic::address::Mac;

/// Options: RFC 4861 section 4.6, and RFC 8106 section 5.1.
const SOURCE_MAC: u8 = 1;
const TARGET_MAC: u8 = 2;
const RESOLVERS: u8 = 25;
/// Lengths of options are given in units of so many bytes.
const OPTION_UNIT_BYTES: usize = 8;

/// Reads a router's or a neighbour's advertisement, sent from `source` by the MAC `sender`.
pub(super) fn read(message: &[u8], source: Ipv6Addr, sender: Mac, tell: &mut dyn FnMut(Announcement)) -> Option<()> {
    let packet = Icmpv6Packet::new_checked(message).ok()?;
    if packet.msg_code() != 0 {
        return None;
    }
    match packet.msg_type() {
        // Routers speak with their link-local addresses only.
        Icmpv6Message::RouterAdvert if source.is_unicast_link_local() => {
            let mac = read_mac(packet.payload(), SOURCE_MAC).unwrap_or(sender);
            let lifetime = Duration::from_secs(packet.router_lifetime().secs());
            tell(Announcement::Owner { address: source.into(), mac });
            tell(Announcement::Gateway { address: source.into(), network: None, lifetime });
            read_resolvers(packet.payload(), tell);
        }
        Icmpv6Message::NeighborAdvert if is_host(packet.target_addr().into()) => {
            let mac = read_mac(packet.payload(), TARGET_MAC).unwrap_or(sender);
            tell(Announcement::Owner { address: packet.target_addr().into(), mac });
        }
        _ => return None,
    }
    Some(())
}

/// The options with their types; ends at the first whose length cannot be.
fn options(mut rest: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    core::iter::from_fn(move || {
        let [kind, units] = *rest.first_chunk()?;
        let end = usize::from(units) * OPTION_UNIT_BYTES;
        // A length of 0 would never end.
        let value = rest.get(2..end)?;
        rest = rest.get(end..)?;
        Some((kind, value))
    })
}

fn read_mac(rest: &[u8], wanted: u8) -> Option<Mac> {
    options(rest).find(|(kind, _)| *kind == wanted).and_then(|(_, value)| value.try_into().ok())
}

/// Two bytes of nothing, a lifetime, and addresses.
fn read_resolvers(rest: &[u8], tell: &mut dyn FnMut(Announcement)) {
    for (_, value) in options(rest).filter(|(kind, _)| *kind == RESOLVERS) {
        let Some(([_, _, lifetime @ ..], addresses)) = value.split_first_chunk::<6>() else { continue };
        let lifetime = Duration::from_secs(u32::from_be_bytes(*lifetime).into());
        for address in v6_addresses(addresses) {
            tell(Announcement::Resolver { address: address.into(), lifetime });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::tests::{ethernet, ipv6, told};
    use super::*;

    const ROUTER: Mac = Mac([2, 0, 0, 0, 0, 9]);
    const SENDER: Mac = Mac([2, 0, 0, 0, 0, 7]);

    fn advertisement(lifetime_s: u16, options: &[u8]) -> Vec<u8> {
        let [high, low] = lifetime_s.to_be_bytes();
        [&[134, 0, 0, 0, 64, 0, high, low, 0, 0, 0, 0, 0, 0, 0, 0][..], options].concat()
    }

    fn sent(hop_limit: u8, message: &[u8]) -> Vec<Announcement> {
        told(&ethernet(0x86dd, &ipv6(58, hop_limit, message)))
    }

    fn router(lifetime_s: u64, mac: Mac) -> [Announcement; 2] {
        let address = "fe80::7".parse().unwrap();
        let lifetime = Duration::from_secs(lifetime_s);
        [Announcement::Owner { address, mac }, Announcement::Gateway { address, network: None, lifetime }]
    }

    #[test]
    fn a_router_names_itself_its_mac_and_resolvers() {
        let resolver = "2001:db8:1::53".parse::<Ipv6Addr>().unwrap();
        let options =
            [&[5, 1, 0, 0, 0, 0, 5, 220, 1, 1][..], &ROUTER.0, &[25, 3, 0, 0, 0, 0, 2, 88], &resolver.octets()]
                .concat();
        let named = Announcement::Resolver { address: resolver.into(), lifetime: Duration::from_secs(600) };
        assert_eq!(sent(255, &advertisement(1_800, &options)), [&router(1_800, ROUTER)[..], &[named]].concat());
        assert_eq!(sent(255, &advertisement(1_800, &[])), router(1_800, SENDER), "without options it is the frame's");
        assert_eq!(sent(255, &advertisement(0, &[])), router(0, SENDER), "no lifetime: it is no gateway any more");
    }

    #[test]
    fn what_came_from_beyond_the_link_is_not_believed() {
        assert_eq!(sent(254, &advertisement(1_800, &[])), []);
        let mut from_afar = ipv6(58, 255, &advertisement(1_800, &[]));
        from_afar[8..10].copy_from_slice(&[0x20, 0x01]);
        assert_eq!(told(&ethernet(0x86dd, &from_afar)), []);
    }

    #[test]
    fn a_neighbour_says_where_an_address_is() {
        let target = "2001:db8:1::1".parse::<Ipv6Addr>().unwrap();
        let message = [&[136, 0, 0, 0, 0xe0, 0, 0, 0][..], &target.octets(), &[2, 1], &ROUTER.0].concat();
        assert_eq!(sent(255, &message), [Announcement::Owner { address: target.into(), mac: ROUTER }]);
        assert_eq!(sent(255, &message[..20]), []);
    }

    #[test]
    fn options_whose_lengths_lie_end_the_reading() {
        for options in [&[1, 0, 2, 0, 0, 0, 0, 9][..], &[1, 2, 2, 0, 0, 0, 0, 9], &[1], &[25, 1, 0, 0, 0, 0, 2, 88]] {
            assert_eq!(sent(255, &advertisement(1_800, options)), router(1_800, SENDER), "{options:?}");
        }
    }
}
