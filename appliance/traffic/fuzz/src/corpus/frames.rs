//! A frame of each kind that a network carries, and of some that only an attacker sends.

use super::Named;
use super::headers::{
    ACK, IPV4, IPV6, PSH, arp, dns, dns_tunnel, ethernet, extension, fragment, icmp, ipv4, ipv4_back, ipv4_with, ipv6,
    pppoe, syn, tag, tcp, tcp_with, udp,
};

/// Link types by the byte that chooses them.
pub const ETHERNET: u8 = 0;
pub const RAW: u8 = 1;
const COOKED: u8 = 2;
const COOKED2: u8 = 3;
const NULL: u8 = 4;
const PPP: u8 = 5;
const PPP_WITH_DIRECTION: u8 = 6;
const PPPOE: u8 = 7;

/// The second byte of an input: how long the frame was on the wire.
const AS_CAPTURED: u8 = 0;
const LONGER: u8 = 0x4a;

const WEB: (u16, u16) = (40_000, 80);
const DNS: (u16, u16) = (40_000, 53);

/// Each frame, with the two bytes before it that the body of decode takes.
pub fn decode_inputs() -> Vec<Named> {
    let on_ethernet = ipv4_frames().into_iter().chain(ipv6_frames()).chain(tunnels()).chain(tagged()).chain(hostile());
    let on_ethernet = on_ethernet.map(|(name, frame)| (name, [&[ETHERNET, AS_CAPTURED], &frame[..]].concat()));
    on_ethernet.chain(other_links()).collect()
}

fn ipv4_frames() -> Vec<Named> {
    let on_ethernet = |packet: Vec<u8>| ethernet(IPV4, &packet);
    let datagram = udp(DNS, &dns());
    let unreachable = icmp(3, 3, [0; 4], &ipv4(17, &datagram));
    vec![
        ("ethernet-ipv4-tcp-syn", on_ethernet(ipv4(6, &syn(WEB)))),
        (
            "ethernet-ipv4-tcp-payload",
            on_ethernet(ipv4(6, &tcp(WEB, (101, 501), PSH | ACK, b"GET / HTTP/1.1\r\n\r\n"))),
        ),
        ("ethernet-ipv4-udp-dns", on_ethernet(ipv4(17, &datagram))),
        ("ethernet-ipv4-udp-dns-tunnel", on_ethernet(ipv4(17, &udp(DNS, &dns_tunnel())))),
        ("ethernet-padded", [on_ethernet(ipv4(6, &tcp(WEB, (101, 501), ACK, &[]))), vec![0; 6]].concat()),
        ("ipv4-options", on_ethernet(ipv4_with(17, 0, &[0x94, 4, 0, 0], &datagram))),
        ("ipv4-first-fragment", on_ethernet(ipv4_with(17, 0x2000, &[], &datagram[..24]))),
        ("ipv4-later-fragment", on_ethernet(ipv4_with(17, 3, &[], &datagram[24..]))),
        ("icmp-echo", on_ethernet(ipv4(1, &icmp(8, 0, [0, 9, 0, 1], b"ping")))),
        ("icmp-echo-reply", on_ethernet(ipv4_back(1, &icmp(0, 0, [0, 9, 0, 1], b"ping")))),
        ("icmp-error", on_ethernet(ipv4_back(1, &unreachable))),
        ("igmp", on_ethernet(ipv4(2, &[0x16, 0, 0, 0, 224, 0, 0, 251]))),
    ]
}

fn ipv6_frames() -> Vec<Named> {
    let on_ethernet = |packet: Vec<u8>| ethernet(IPV6, &packet);
    let datagram = udp(DNS, &dns());
    // Hop-by-hop options, routing, destination options, an authentication header.
    let behind = [&[6, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1], &syn(WEB)[..]].concat();
    let extensions = ipv6(0, &extension(43, &extension(60, &extension(51, &behind))));
    let too_big = icmp(2, 0, [0, 0, 5, 0], &ipv6(17, &datagram));
    vec![
        ("ethernet-ipv6-tcp-syn", on_ethernet(ipv6(6, &syn(WEB)))),
        ("ethernet-ipv6-udp-dns", on_ethernet(ipv6(17, &datagram))),
        ("ipv6-extension-headers", on_ethernet(extensions)),
        ("ipv6-first-fragment", on_ethernet(ipv6(44, &fragment(17, 1, &datagram[..24])))),
        ("ipv6-later-fragment", on_ethernet(ipv6(44, &fragment(17, 24, &datagram[24..])))),
        ("icmpv6-echo", on_ethernet(ipv6(58, &icmp(128, 0, [0, 9, 0, 1], b"ping")))),
        ("icmpv6-error", on_ethernet(ipv6(58, &too_big))),
        ("icmpv6-neighbour-solicitation", on_ethernet(ipv6(58, &icmp(135, 0, [0; 4], &[0; 16])))),
    ]
}

fn tunnels() -> Vec<Named> {
    let inner = ipv6(6, &syn(WEB));
    vec![
        ("6in4", ethernet(IPV4, &ipv4(41, &inner))),
        ("gre", ethernet(IPV4, &ipv4(47, &[&[0, 0, 0x86, 0xdd], &inner[..]].concat()))),
        ("esp", ethernet(IPV4, &ipv4(50, &[0, 0, 1, 0, 0, 0, 0, 1]))),
    ]
}

fn tagged() -> Vec<Named> {
    let packet = ipv4(17, &udp(DNS, &dns()));
    let discovery = [0x11, 9, 0, 0, 0, 4, 1, 1, 0, 0];
    vec![
        ("vlan", ethernet(0x8100, &tag(5, IPV4, &packet))),
        ("vlan-priority-only", ethernet(0x8100, &tag(0xe000, IPV4, &packet))),
        ("qinq", ethernet(0x88a8, &tag(5, 0x8100, &tag(6, IPV4, &packet)))),
        ("qinq-pppoe-ipv4", ethernet(0x88a8, &tag(5, 0x8100, &tag(6, 0x8864, &pppoe(0x21, &packet))))),
        ("pppoe-ipv6", ethernet(0x8864, &pppoe(0x57, &ipv6(6, &syn(WEB))))),
        ("pppoe-discovery", ethernet(0x8863, &discovery)),
        ("arp-request", ethernet(0x0806, &arp(1))),
        ("arp-reply", ethernet(0x0806, &arp(2))),
        ("spanning-tree", ethernet(7, &[0x42, 0x42, 3, 0, 0, 0, 0])),
    ]
}

fn hostile() -> Vec<Named> {
    let on_ethernet = |packet: Vec<u8>| ethernet(IPV4, &packet);
    let headers = (0..40).fold(syn(WEB), |payload, _| extension(0, &payload));
    let mut too_long = ipv4(6, &syn(WEB));
    too_long[2] = 0xff;
    let mut offloaded = ipv4(6, &tcp(WEB, (101, 501), ACK, b"more than fits"));
    offloaded[3] = 0;
    vec![
        ("hostile-forty-extension-headers", ethernet(IPV6, &ipv6(0, &headers))),
        ("hostile-length-beyond-the-frame", on_ethernet(too_long)),
        ("hostile-tiny-fragment", on_ethernet(ipv4_with(6, 0x2000, &[], &syn(WEB)[..7]))),
        ("tiny-fragment-with-ports", on_ethernet(ipv4_with(6, 0x2000, &[], &syn(WEB)[..8]))),
        ("hostile-overlapping-fragment", on_ethernet(ipv4_with(6, 1, &[], &syn(WEB)[8..]))),
        ("hostile-overlong-fragment", on_ethernet(ipv4_with(17, 0x1fff, &[], b"ping of death"))),
        ("tcp-option-of-no-length", on_ethernet(ipv4(6, &tcp_with(WEB, (100, 0), 2, &[8, 0, 0, 0], &[])))),
        ("segmentation-offload", on_ethernet(offloaded)),
    ]
}

/// Inputs with other link types, and with a frame that was cut.
fn other_links() -> Vec<Named> {
    let (v4, v6) = (ipv4(17, &udp(DNS, &dns())), ipv6(6, &syn(WEB)));
    let cooked = [0, 0, 0, 1, 0, 6, 0, 0, 0x5e, 0, 0x53, 1, 0, 0];
    let cooked2 = [0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 0, 0, 0x5e, 0, 0x53, 1, 0, 0];
    let input = |link: u8, header: &[u8], packet: &[u8]| [&[link, AS_CAPTURED], header, packet].concat();
    vec![
        ("snapped", [&[ETHERNET, LONGER], &ethernet(IPV4, &v4)[..]].concat()),
        ("raw-ipv4", input(RAW, &[], &v4)),
        ("raw-ipv6", input(RAW, &[], &v6)),
        ("sll-ipv4", input(COOKED, &[&cooked, &IPV4.to_be_bytes()[..]].concat(), &v4)),
        ("sll2-ipv6", input(COOKED2, &[&IPV6.to_be_bytes(), &cooked2[..]].concat(), &v6)),
        ("null-ipv4", input(NULL, &[2, 0, 0, 0], &v4)),
        ("null-ipv6-big-endian", input(NULL, &[0, 0, 0, 30], &v6)),
        ("ppp-ipv4", input(PPP, &[0, 0x21], &v4)),
        ("ppp-compressed-ipv6", input(PPP, &[0x57], &v6)),
        ("ppp-hdlc-ipv4", input(PPP, &[0xff, 3, 0, 0x21], &v4)),
        ("ppp-cisco-ipv4", input(PPP, &[0x0f, 0, 8, 0], &v4)),
        ("ppp-with-direction-ipv6", input(PPP_WITH_DIRECTION, &[1, 0xff, 3, 0, 0x57], &v6)),
        ("pppoe-link-ipv4", input(PPPOE, &[], &pppoe(0x21, &v4))),
    ]
}

#[cfg(test)]
mod tests {
    use traffic::decode::{Decoded, Frame, decode};

    use crate::input::link;

    #[test]
    fn frames_are_what_their_names_say() {
        const NOT_IP: [&str; 3] = ["pppoe-discovery", "spanning-tree", "arp-"];
        for (name, input) in super::decode_inputs() {
            let bytes = &input[2..];
            let frame = Frame { link: link(input[0]), bytes, wire_len_bytes: bytes.len() as u32, vlan_tag: None };
            let decoded = decode(&frame);
            assert_eq!(decoded.is_err(), name.starts_with("hostile-"), "{name}: {decoded:?}");
            let is_ip = !NOT_IP.iter().any(|other| name.starts_with(other));
            assert!(decoded.is_err() || is_ip == matches!(decoded, Ok(Decoded::Ip(_))), "{name}: {decoded:?}");
        }
    }
}
