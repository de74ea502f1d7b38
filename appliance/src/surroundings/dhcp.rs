//! What a DHCP server gives its clients: the gateway, the resolvers, and itself.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use smoltcp::wire::{DhcpMessageType, DhcpOpCode, DhcpPacket};

use super::Announcement;
use super::frame::is_host;

/// Options of RFC 2132 (and RFC 2131 for those of the protocol itself).
const SUBNET_MASK: u8 = 1;
const ROUTER: u8 = 3;
const DOMAIN_NAME_SERVER: u8 = 6;
const LEASE_TIME: u8 = 51;
const MESSAGE_TYPE: u8 = 53;
const SERVER_IDENTIFIER: u8 = 54;
/// "DHCP" in front of the options (RFC 2131 section 3).
const MAGIC: u32 = 0x6382_5363;

/// Messages of RFC 8415 section 7.3: Advertise and Reply.
const V6_MESSAGES: [u8; 2] = [2, 7];
/// The type and the transaction in front of the options.
const V6_HEADER_BYTES: usize = 4;
const V6_OPTION_HEADER_BYTES: usize = 4;
/// RFC 3646 section 3.
const V6_DNS_SERVERS: u16 = 23;

/// How long something holds where it is not said: offers to probing clients hold for a moment only, but the server stays.
const SHORTEST: Duration = Duration::from_secs(3_600);
/// A DHCPv6 client asks again after a day at the latest (RFC 8415 section 7.6, IRT_DEFAULT).
const V6_LIFETIME: Duration = Duration::from_secs(86_400);

/// Reads an OFFER or an ACK of DHCPv4.
pub(super) fn read_v4(message: &[u8], tell: &mut dyn FnMut(Announcement)) -> Option<()> {
    let packet = DhcpPacket::new_checked(message).ok()?;
    if packet.opcode() != DhcpOpCode::Reply || packet.magic_number() != MAGIC {
        return None;
    }
    let option = |kind| packet.options().find(|option| option.kind == kind).map(|option| option.data);
    let kind = DhcpMessageType::from(*option(MESSAGE_TYPE)?.first()?);
    if !matches!(kind, DhcpMessageType::Offer | DhcpMessageType::Ack) {
        return None;
    }
    let lease_s = option(LEASE_TIME).and_then(|data| Some(u32::from_be_bytes(*data.first_chunk()?)));
    let lifetime = Duration::from_secs(lease_s.unwrap_or(0).into()).max(SHORTEST);
    let addresses = |kind| v4_addresses(option(kind).unwrap_or_default());
    let network = option(SUBNET_MASK).and_then(|mask| lease_network(packet.your_ip(), mask));
    // A router that is not in the network of its clients is none that they could reach.
    for address in addresses(ROUTER).map(IpAddr::V4).filter(|router| network.is_none_or(|net| net.contains(router))) {
        tell(Announcement::Gateway { address, network, lifetime });
    }
    for address in addresses(DOMAIN_NAME_SERVER) {
        tell(Announcement::Resolver { address: address.into(), lifetime });
    }
    for address in addresses(SERVER_IDENTIFIER).take(1) {
        tell(Announcement::DhcpServer { address: address.into(), lifetime });
    }
    Some(())
}

/// Reads an ADVERTISE or a REPLY of DHCPv6. It has no gateways: those advertise themselves.
pub(super) fn read_v6(message: &[u8], server: Ipv6Addr, tell: &mut dyn FnMut(Announcement)) -> Option<()> {
    if !V6_MESSAGES.contains(message.first()?) {
        return None;
    }
    let mut rest = message.get(V6_HEADER_BYTES..)?;
    while let Some([k0, k1, l0, l1]) = rest.first_chunk::<V6_OPTION_HEADER_BYTES>() {
        let end = V6_OPTION_HEADER_BYTES + usize::from(u16::from_be_bytes([*l0, *l1]));
        let data = rest.get(V6_OPTION_HEADER_BYTES..end)?;
        if u16::from_be_bytes([*k0, *k1]) == V6_DNS_SERVERS {
            for address in v6_addresses(data) {
                tell(Announcement::Resolver { address: address.into(), lifetime: V6_LIFETIME });
            }
        }
        rest = rest.get(end..)?;
    }
    if is_host(server.into()) {
        tell(Announcement::DhcpServer { address: server.into(), lifetime: V6_LIFETIME });
    }
    Some(())
}

/// The network that a client is told to be in.
fn lease_network(client: Ipv4Addr, mask: &[u8]) -> Option<IpNet> {
    let mask = Ipv4Addr::from(<[u8; 4]>::try_from(mask).ok()?);
    (!client.is_unspecified()).then(|| Ipv4Net::with_netmask(client, mask).ok())?.map(|network| network.trunc().into())
}

fn v4_addresses(data: &[u8]) -> impl Iterator<Item = Ipv4Addr> {
    data.as_chunks::<4>().0.iter().copied().map(Ipv4Addr::from).filter(|address| is_host(IpAddr::V4(*address)))
}

/// The addresses in these bytes, as the options for resolvers hold them.
pub(super) fn v6_addresses(data: &[u8]) -> impl Iterator<Item = Ipv6Addr> {
    data.as_chunks::<16>().0.iter().copied().map(Ipv6Addr::from).filter(|address| is_host(IpAddr::V6(*address)))
}

#[cfg(test)]
mod tests {
    use super::super::frame::tests::{ethernet, ipv4, ipv6, told, udp};
    use super::*;

    /// A message of a server to a client at 198.51.100.77.
    fn reply(options: &[&[u8]]) -> Vec<u8> {
        let mut message = vec![0; 236];
        message[..4].copy_from_slice(&[2, 1, 6, 0]);
        message[16..20].copy_from_slice(&[198, 51, 100, 77]);
        message.extend_from_slice(&MAGIC.to_be_bytes());
        for option in options {
            message.extend_from_slice(option);
        }
        message.push(255);
        message
    }

    const ACK: &[u8] = &[53, 1, 5];
    const MASK: &[u8] = &[1, 4, 255, 255, 255, 0];
    const HOUR: &[u8] = &[51, 4, 0, 0, 14, 16];
    const TWO_HOURS: &[u8] = &[51, 4, 0, 0, 28, 32];
    const FROM: &[u8] = &[54, 4, 198, 51, 100, 1];
    const GATEWAY: &[u8] = &[3, 4, 198, 51, 100, 1];
    const RESOLVERS: &[u8] = &[6, 8, 198, 51, 100, 53, 203, 0, 113, 53];

    fn told_by(message: &[u8]) -> Vec<Announcement> {
        told(&ethernet(0x0800, &ipv4(&udp(67, message))))
    }

    #[test]
    fn a_lease_names_gateway_resolvers_and_server() {
        let lifetime = Duration::from_secs(7_200);
        let network = Some("198.51.100.0/24".parse().unwrap());
        let address = |text: &str| text.parse().unwrap();
        for kind in [ACK, &[53, 1, 2]] {
            assert_eq!(
                told_by(&reply(&[kind, FROM, TWO_HOURS, &[0, 0], MASK, GATEWAY, RESOLVERS])),
                [
                    Announcement::Gateway { address: address("198.51.100.1"), network, lifetime },
                    Announcement::Resolver { address: address("198.51.100.53"), lifetime },
                    Announcement::Resolver { address: address("203.0.113.53"), lifetime },
                    Announcement::DhcpServer { address: address("198.51.100.1"), lifetime },
                ]
            );
        }
    }

    #[test]
    fn a_lease_behind_a_tag_is_read() {
        let lease = ipv4(&udp(67, &reply(&[ACK, MASK, GATEWAY])));
        assert_eq!(told(&ethernet(0x8100, &[&[0, 9, 8, 0][..], &lease].concat())).len(), 1);
    }

    #[test]
    fn only_what_a_server_grants_counts_and_only_a_gateway_that_can_be_reached() {
        let nothing: [Announcement; 0] = [];
        for kind in [[53, 1, 1], [53, 1, 3], [53, 1, 6], [53, 1, 0]] {
            assert_eq!(told_by(&reply(&[&kind, GATEWAY])), nothing, "{kind:?}");
        }
        assert_eq!(told_by(&reply(&[GATEWAY])), nothing, "it is BOOTP");
        assert_eq!(told_by(&reply(&[ACK, MASK, &[3, 4, 203, 0, 113, 66]])), nothing);
        let mut request = reply(&[ACK, GATEWAY]);
        request[0] = 1;
        assert_eq!(told_by(&request), nothing);
        assert_eq!(told(&ethernet(0x0800, &ipv4(&udp(68, &reply(&[ACK, GATEWAY]))))), nothing);
    }

    #[test]
    fn options_whose_lengths_lie_end_the_reading() {
        for options in [&[3, 200, 198, 51, 100, 1][..], &[3], &[3, 3, 198, 51, 100], &[3, 0]] {
            assert_eq!(told_by(&reply(&[ACK, options])), [], "{options:?}");
        }
        let short = Announcement::Gateway { address: [198, 51, 100, 1].into(), network: None, lifetime: SHORTEST };
        assert_eq!(told_by(&reply(&[ACK, HOUR, &[1, 2, 255, 255], &[3, 7, 198, 51, 100, 1, 9, 9, 9]])), [short]);
        let whole = ethernet(0x0800, &ipv4(&udp(67, &reply(&[ACK, GATEWAY]))));
        for length in 0..whole.len() {
            told(&whole[..length]);
        }
    }

    #[test]
    fn a_reply_of_dhcpv6_names_resolvers_and_its_server() {
        let resolver = "2001:db8:1::53".parse::<Ipv6Addr>().unwrap();
        let options = [&[0, 1, 0, 2, 9, 9, 0, 23, 0, 16][..], &resolver.octets()].concat();
        let message = |kind: u8, options: &[u8]| {
            told(&ethernet(0x86dd, &ipv6(17, 1, &udp(547, &[&[kind, 1, 2, 3][..], options].concat()))))
        };
        let server = Announcement::DhcpServer { address: "fe80::7".parse().unwrap(), lifetime: V6_LIFETIME };
        let named = Announcement::Resolver { address: resolver.into(), lifetime: V6_LIFETIME };
        assert_eq!(message(7, &options), [named, server]);
        assert_eq!(message(2, &options), [named, server]);
        assert_eq!(message(1, &options), [], "a client's question");
        assert_eq!(message(7, &options[..20]), [], "it is cut off");
    }
}
