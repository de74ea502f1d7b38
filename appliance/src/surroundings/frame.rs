//! Takes a frame apart down to what it announces. Lengths are checked before anything is read; what does not fit says nothing.

use core::net::IpAddr;

use smoltcp::wire::{
    ArpPacket, ArpRepr, EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, Ipv6Packet, UdpPacket,
};

use super::{Announcement, dhcp, discovery};
use traffic::address::Mac;

/// Types of VLAN tags: 802.1Q, 802.1ad, and what was used for the outer one before that.
const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
const TAG_BYTES: usize = 4;
/// UDP ports that servers send from: DHCP (RFC 2131 section 4.1), DHCPv6 (RFC 8415 section 7.2).
const DHCP_SERVER: u16 = 67;
const DHCPV6_SERVER: u16 = 547;
/// Neighbour discovery that has passed a router is forged (RFC 4861 section 6.1.2).
const ON_LINK_HOP_LIMIT: u8 = 255;

/// Tells all that an Ethernet frame announces, which may stand behind one VLAN tag.
pub fn read(frame: &[u8], tell: &mut dyn FnMut(Announcement)) {
    // What does not fit is not an announcement.
    let _ = read_ethernet(frame, tell);
}

fn read_ethernet(frame: &[u8], tell: &mut dyn FnMut(Announcement)) -> Option<()> {
    let ethernet = EthernetFrame::new_checked(frame).ok()?;
    let sender = Mac(ethernet.src_addr().0);
    let (mut protocol, mut payload) = (ethernet.ethertype(), ethernet.payload());
    if TAGS.contains(&protocol.into()) {
        let [_, _, high, low] = *payload.first_chunk::<TAG_BYTES>()?;
        protocol = u16::from_be_bytes([high, low]).into();
        payload = payload.get(TAG_BYTES..)?;
    }
    match protocol {
        EthernetProtocol::Arp => read_arp(payload, tell),
        EthernetProtocol::Ipv4 => read_ipv4(payload, tell),
        EthernetProtocol::Ipv6 => read_ipv6(payload, sender, tell),
        _ => None,
    }
}

/// Question or answer, its sender says where itself is. A probe (RFC 5227) claims no address yet.
fn read_arp(payload: &[u8], tell: &mut dyn FnMut(Announcement)) -> Option<()> {
    let arp = ArpRepr::parse(&ArpPacket::new_checked(payload).ok()?).ok()?;
    let ArpRepr::EthernetIpv4 { source_hardware_addr, source_protocol_addr, .. } = arp else { return None };
    if is_host(source_protocol_addr.into()) {
        tell(Announcement::Owner { address: source_protocol_addr.into(), mac: Mac(source_hardware_addr.0) });
    }
    Some(())
}

fn read_ipv4(payload: &[u8], tell: &mut dyn FnMut(Announcement)) -> Option<()> {
    let ip = Ipv4Packet::new_checked(payload).ok()?;
    if ip.next_header() != IpProtocol::Udp || ip.more_frags() || ip.frag_offset() != 0 {
        return None;
    }
    let udp = UdpPacket::new_checked(ip.payload()).ok()?;
    (udp.src_port() == DHCP_SERVER).then(|| dhcp::read_v4(udp.payload(), tell))?
}

/// Extension headers stand in front of neither: those who put one there want to get past somebody (RFC 6980, RFC 7113).
fn read_ipv6(payload: &[u8], sender: Mac, tell: &mut dyn FnMut(Announcement)) -> Option<()> {
    let ip = Ipv6Packet::new_checked(payload).ok()?;
    match ip.next_header() {
        IpProtocol::Udp => {
            let udp = UdpPacket::new_checked(ip.payload()).ok()?;
            (udp.src_port() == DHCPV6_SERVER).then(|| dhcp::read_v6(udp.payload(), ip.src_addr(), tell))?
        }
        IpProtocol::Icmpv6 if ip.hop_limit() == ON_LINK_HOP_LIMIT => {
            discovery::read(ip.payload(), ip.src_addr(), sender, tell)
        }
        _ => None,
    }
}

/// An address that one host can have.
pub(super) fn is_host(address: IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !(address.is_unspecified() || address.is_multicast() || address.is_loopback() || is_broadcast)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 7]);

    pub(in super::super) fn ethernet(kind: u16, payload: &[u8]) -> Vec<u8> {
        [&[0xff; 6][..], &MAC.0, &kind.to_be_bytes(), payload].concat()
    }

    /// An IPv6 packet with that next header, from fe80::7.
    pub(in super::super) fn ipv6(next: u8, hop_limit: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        let source = "fe80::7".parse::<core::net::Ipv6Addr>().unwrap().octets();
        [&[0x60, 0, 0, 0][..], &length, &[next, hop_limit], &source, &[0xff; 16], payload].concat()
    }

    pub(in super::super) fn udp(source: u16, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len() + 8).unwrap().to_be_bytes();
        [&source.to_be_bytes()[..], &[0, 68], &length, &[0, 0], payload].concat()
    }

    /// A UDP datagram from 192.0.2.1.
    pub(in super::super) fn ipv4(udp: &[u8]) -> Vec<u8> {
        let length = u16::try_from(udp.len() + 20).unwrap().to_be_bytes();
        [&[0x45, 0][..], &length, &[0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 255, 255, 255, 255], udp].concat()
    }

    pub(in super::super) fn told(frame: &[u8]) -> Vec<Announcement> {
        let mut told = Vec::new();
        read(frame, &mut |announcement| told.push(announcement));
        told
    }

    fn arp(sender: [u8; 4]) -> Vec<u8> {
        [&[0, 1, 8, 0, 6, 4, 0, 1][..], &MAC.0, &sender, &[0; 6], &[192, 0, 2, 9], &[0; 18]].concat()
    }

    #[test]
    fn the_sender_of_an_arp_message_says_where_it_is_and_a_probe_does_not() {
        let owner = Announcement::Owner { address: [192, 0, 2, 7].into(), mac: MAC };
        let plain = arp([192, 0, 2, 7]);
        assert_eq!(told(&ethernet(0x0806, &plain)), [owner]);
        let tagged = [&[0, 9, 0x08, 0x06][..], &plain].concat();
        assert_eq!(told(&ethernet(0x8100, &tagged)), [owner]);
        assert_eq!(told(&ethernet(0x88a8, &tagged)), [owner]);
        assert_eq!(told(&ethernet(0x9100, &tagged)), [owner]);
        for nobody in [[0; 4], [255; 4], [224, 0, 0, 1], [127, 0, 0, 1]] {
            assert_eq!(told(&ethernet(0x0806, &arp(nobody))), [], "{nobody:?}");
        }
    }

    #[test]
    fn a_frame_that_is_cut_off_says_nothing() {
        let frame = ethernet(0x0806, &arp([192, 0, 2, 7])[..28]);
        for length in 0..frame.len() {
            assert_eq!(told(&frame[..length]), [], "{length}");
        }
    }

    proptest! {
        #[test]
        fn hostile_frames_are_read_to_nothing_worse_than_nonsense(
            kind in prop::sample::select(vec![0x0806, 0x0800, 0x86dd, 0x8100, 0x88a8_u16]),
            payload in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            told(&ethernet(kind, &payload));
            told(&ethernet(0x0800, &ipv4(&udp(67, &payload))));
            told(&ethernet(0x86dd, &ipv6(17, 1, &udp(547, &payload))));
            for message in [134, 136] {
                told(&ethernet(0x86dd, &ipv6(58, 255, &[&[message, 0, 0, 0][..], &payload].concat())));
            }
        }

        #[test]
        fn stated_lengths_that_lie_are_survived(at in 0_usize..80, value in any::<u8>(), options in proptest::collection::vec(any::<u8>(), 0..64)) {
            let message = [&[134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0][..], &options].concat();
            for mut frame in [ethernet(0x86dd, &ipv6(58, 255, &message)), ethernet(0x0800, &ipv4(&udp(67, &options)))] {
                if let Some(byte) = frame.get_mut(at) {
                    *byte = value;
                }
                told(&frame);
            }
        }
    }
}
