//! Elements of the sets: addresses with the time after which the kernel takes them out, and networks as intervals.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use ipnet::IpNet;
use traffic::address::Mac;
use traffic::protocols::{ICMP, ICMPV6};

use super::batch::{Batch, Key, TABLE};
use super::numbers::{element, limit, message, rule};
use super::table::{ECHO_REQUEST, ECHO_REQUEST_IPV6};
use crate::linux::netlink::{FLAG_CREATE, Reply, Request, attributes, read_be_u64};
use crate::policy::{Subject, Target};

/// Elements in one message: 128 bytes each at most, and a list of attributes ends at 64 KiB.
const ELEMENTS_PER_MESSAGE: usize = 400;
/// The shortest time that is asked for: the kernel rounds to its ticks, and takes zero for "for ever".
const SHORTEST_TIMEOUT_MS: u64 = 20;

/// Adds subjects to a set of their kind, each with the time that it stays there. A service is found there only once more
/// than `limit_per_s` comes to it.
pub(super) fn add_blocks(batch: &mut Batch, set: &str, blocks: &[(Subject, Duration)], limit_per_s: u32) {
    for some in blocks.chunks(ELEMENTS_PER_MESSAGE) {
        let request = batch.message("add blocks", message::NEW_SET_ELEMENT, FLAG_CREATE);
        write_list(request, set, some, |request, (subject, timeout)| {
            request.be_u64(element::TIMEOUT, timeout_ms(*timeout));
            write_key(request, &key_of(*subject));
            if let Subject::Service(_) = subject {
                write_limit(request, limit_per_s);
            }
        });
    }
}

fn timeout_ms(timeout: Duration) -> u64 {
    u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(SHORTEST_TIMEOUT_MS)
}

/// Takes one subject, which stands there, out of a set.
pub(super) fn delete_block(batch: &mut Batch, set: &str, subject: Subject) {
    let request = batch.message("remove a block", message::DELETE_SET_ELEMENT, 0);
    write_subject(request, set, subject);
}

/// Names one subject of a set, to delete or to ask for it.
pub(super) fn write_subject(request: &mut Request, set: &str, subject: Subject) {
    write_list(request, set, &[subject], |request, subject| write_key(request, &key_of(*subject)));
}

fn write_limit(request: &mut Request, per_s: u32) {
    request.nest(element::EXPRESSION, |expression| {
        expression.text(rule::EXPRESSION_NAME, "limit").nest(rule::EXPRESSION_DATA, |data| {
            data.be_u64(limit::RATE, u64::from(per_s.max(1))).be_u64(limit::UNIT_S, 1);
            data.be_u32(limit::BURST, per_s.max(1)).be_u32(limit::TYPE, limit::TYPE_PACKETS);
            data.be_u32(limit::FLAGS, limit::FLAG_OVER);
        });
    });
}

/// Adds devices to a set, for as long as the table stands.
pub(super) fn add_devices(batch: &mut Batch, set: &str, devices: &[Mac]) {
    for some in devices.chunks(ELEMENTS_PER_MESSAGE) {
        let request = batch.message("add devices", message::NEW_SET_ELEMENT, FLAG_CREATE);
        write_list(request, set, some, |request, Mac(bytes)| write_key(request, bytes));
    }
}

/// Adds types of frames to a set, each with the time that it stays there.
pub(super) fn add_frame_types(batch: &mut Batch, set: &str, types: &[u16], timeout: Duration) {
    let request = batch.message("keep the table alive", message::NEW_SET_ELEMENT, FLAG_CREATE);
    write_list(request, set, types, |request, frame_type| {
        request.be_u64(element::TIMEOUT, timeout_ms(timeout));
        write_key(request, &frame_type.to_be_bytes());
    });
}

/// Takes all elements out of a set.
pub(super) fn flush(batch: &mut Batch, set: &str) {
    let request = batch.message("keep the table alive", message::DELETE_SET_ELEMENT, 0);
    request.text(element::TABLE, TABLE).text(element::SET, set);
}

/// The key of a subject: an address, an Ethernet address, or a service or a host by a protocol, each part of which fills words of
/// four bytes.
fn key_of(subject: Subject) -> Vec<u8> {
    match subject {
        Subject::Source(address) => octets(address),
        Subject::Device(Mac(bytes)) => bytes.to_vec(),
        Subject::Service(target) => {
            let Target { destination, protocol, port } = target;
            let of_host = [octets(destination), vec![protocol, 0, 0, 0]].concat();
            let ping = ping(protocol).filter(|_| !target.is_group());
            match ping.or(port.map(u16::to_be_bytes)) {
                Some([high, low]) => [of_host, vec![high, low, 0, 0]].concat(),
                None => of_host,
            }
        }
    }
}

/// The type of what asks a host for an answer, which stands in the place of the port; its code may be any.
const fn ping(protocol: u8) -> Option<[u8; 2]> {
    match protocol {
        ICMP => Some([ECHO_REQUEST, 0]),
        ICMPV6 => Some([ECHO_REQUEST_IPV6, 0]),
        _ => None,
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// Adds networks to an interval set: overlapping and adjacent ones become one, since the kernel refuses overlaps.
pub(super) fn add_networks(batch: &mut Batch, set: &str, key: Key, networks: &[IpNet]) {
    let bounds = bounds(key, networks);
    for some in bounds.chunks(ELEMENTS_PER_MESSAGE) {
        let request = batch.message("add the allowlist", message::NEW_SET_ELEMENT, FLAG_CREATE);
        write_list(request, set, some, |request, bound| {
            write_key(request, &octets(bound.address));
            if bound.is_end {
                request.be_u32(element::FLAGS, element::FLAG_INTERVAL_END);
            }
        });
    }
}

/// One bound of an interval: its first address, or the first behind its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bound {
    address: IpAddr,
    is_end: bool,
}

fn bounds(key: Key, networks: &[IpNet]) -> Vec<Bound> {
    let mut bounds = Vec::new();
    let mut open: Option<(u128, u128)> = None;
    let mut ranges: Vec<_> = networks.iter().filter_map(|network| range(key, network)).collect();
    ranges.sort_unstable();
    for (first, last) in ranges {
        match &mut open {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            Some(finished) => {
                push_interval(&mut bounds, key, *finished);
                *finished = (first, last);
            }
            None => open = Some((first, last)),
        }
    }
    if let Some(finished) = open {
        push_interval(&mut bounds, key, finished);
    }
    bounds
}

/// First and last address of a network, where it is of this family.
fn range(key: Key, network: &IpNet) -> Option<(u128, u128)> {
    match (key, network) {
        (Key::Ipv4, IpNet::V4(v4)) => Some((v4.network().to_bits().into(), v4.broadcast().to_bits().into())),
        (Key::Ipv6, IpNet::V6(v6)) => Some((v6.network().to_bits(), v6.broadcast().to_bits())),
        _ => None,
    }
}

fn push_interval(bounds: &mut Vec<Bound>, key: Key, (first, last): (u128, u128)) {
    if let Some(address) = address(key, first) {
        bounds.push(Bound { address, is_end: false });
    }
    // An interval up to the highest address has no end.
    if let Some(address) = last.checked_add(1).and_then(|behind| address(key, behind)) {
        bounds.push(Bound { address, is_end: true });
    }
}

fn address(key: Key, bits: u128) -> Option<IpAddr> {
    match key {
        Key::Ipv4 => u32::try_from(bits).ok().map(|bits| Ipv4Addr::from_bits(bits).into()),
        Key::Ipv6 => Some(Ipv6Addr::from_bits(bits).into()),
    }
}

fn write_list<T>(request: &mut Request, set: &str, items: &[T], write: impl Fn(&mut Request, &T)) {
    request.text(element::TABLE, TABLE).text(element::SET, set).nest(element::ELEMENTS, |list| {
        for item in items {
            list.nest(element::LIST_ELEMENT, |one| write(one, item));
        }
    });
}

fn write_key(request: &mut Request, key: &[u8]) {
    request.nest(element::KEY, |nest| {
        nest.attribute(element::DATA_VALUE, key);
    });
}

/// One element of a dump: whom it means, and the time that it still stays. One without an end, which only somebody else can
/// have added, has [`Duration::MAX`].
pub(super) type Standing = (Subject, Duration);

/// The sources in one message of a dump.
pub(super) fn read_sources(reply: &Reply<'_>) -> Vec<Standing> {
    elements(reply).filter_map(|one| Some((Subject::of(read_address(key(one)?)?), time_left(one)))).collect()
}

/// The devices in one message of a dump.
pub(super) fn read_devices(reply: &Reply<'_>) -> Vec<Standing> {
    let device = |one| key(one)?.try_into().ok().map(|bytes| Subject::Device(Mac(bytes)));
    elements(reply).filter_map(|one| Some((device(one)?, time_left(one)))).collect()
}

/// The limited services in one message of a dump, each with its rate.
pub(super) fn read_services(reply: &Reply<'_>) -> Vec<(Standing, u32)> {
    read_limits(reply, read_service)
}

/// The same of all ports of hosts.
pub(super) fn read_hosts(reply: &Reply<'_>) -> Vec<(Standing, u32)> {
    read_limits(reply, read_host)
}

fn read_limits(reply: &Reply<'_>, target: impl Fn(&[u8]) -> Option<Target>) -> Vec<(Standing, u32)> {
    elements(reply).filter_map(|one| Some(((target(key(one)?)?.into(), time_left(one)), read_rate(one)?))).collect()
}

fn elements<'a>(reply: &Reply<'a>) -> impl Iterator<Item = &'a [u8]> {
    let behind_header = reply.payload.get(4..).unwrap_or_default();
    attributes(behind_header)
        .filter(|(kind, _)| *kind == element::ELEMENTS)
        .flat_map(|(_, list)| attributes(list))
        .map(|(_, one)| one)
}

fn value(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

fn key(one: &[u8]) -> Option<&[u8]> {
    value(value(one, element::KEY)?, element::DATA_VALUE)
}

fn time_left(one: &[u8]) -> Duration {
    value(one, element::EXPIRATION).and_then(read_be_u64).map_or(Duration::MAX, Duration::from_millis)
}

/// A limit that somebody else added without a rate limits nothing, and has the rate 0.
fn read_rate(one: &[u8]) -> Option<u32> {
    let Some(expression) = value(one, element::EXPRESSION) else { return Some(0) };
    let rate = read_be_u64(value(value(expression, rule::EXPRESSION_DATA)?, limit::RATE)?)?;
    Some(u32::try_from(rate).unwrap_or(u32::MAX))
}

fn read_service(bytes: &[u8]) -> Option<Target> {
    let (host, port) = bytes.split_last_chunk::<4>()?;
    let [high, low, ..] = *port;
    let host = read_host(host)?;
    Some(if ping(host.protocol).is_some() {
        host
    } else {
        Target { port: Some(u16::from_be_bytes([high, low])), ..host }
    })
}

fn read_host(bytes: &[u8]) -> Option<Target> {
    let (address, protocol) = bytes.split_last_chunk::<4>()?;
    let [protocol, ..] = *protocol;
    Some(Target { destination: read_address(address)?, protocol, port: None })
}

fn read_address(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes).map(IpAddr::from).or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(key: Key, networks: &[&str]) -> Vec<String> {
        let networks: Vec<IpNet> = networks.iter().map(|text| text.parse().unwrap()).collect();
        let shown = bounds(key, &networks);
        shown.iter().map(|bound| format!("{}{}", bound.address, if bound.is_end { ")" } else { "" })).collect()
    }

    #[test]
    fn overlapping_and_adjacent_networks_become_one_interval() {
        let networks = ["192.0.2.0/25", "192.0.2.128/25", "192.0.2.5/32", "198.51.100.7/32", "2001:db8::/32"];
        assert_eq!(shown(Key::Ipv4, &networks), ["192.0.2.0", "192.0.3.0)", "198.51.100.7", "198.51.100.8)"]);
        assert_eq!(shown(Key::Ipv6, &networks), ["2001:db8::", "2001:db9::)"]);
    }

    #[test]
    fn the_highest_network_has_no_end() {
        assert_eq!(shown(Key::Ipv4, &["255.255.255.0/24"]), ["255.255.255.0"]);
        assert_eq!(shown(Key::Ipv6, &["::/0"]), ["::"]);
    }

    #[test]
    fn elements_are_read_as_they_are_written() {
        let blocks = [
            (Subject::of("192.0.2.1".parse().unwrap()), Duration::from_secs(5)),
            (Subject::of("2001:db8:1:2::1".parse().unwrap()), Duration::from_secs(7)),
        ];
        let mut request = Request::new();
        request.message(0, 0, &[0; 4]);
        write_list(&mut request, "deny4", &blocks, |request, (subject, timeout)| {
            write_key(request, &key_of(*subject));
            request.be_u64(element::EXPIRATION, timeout.as_millis().try_into().unwrap());
        });
        let reply = Reply { kind: 0, flags: 0, sequence: 1, port: 0, payload: &request.finish()[16..] };
        assert_eq!(read_sources(&reply), blocks);
    }

    #[test]
    fn an_element_for_ever_has_no_end() {
        let mut request = Request::new();
        request.message(0, 0, &[0; 4]);
        write_subject(&mut request, "deny4", Subject::of("192.0.2.1".parse().unwrap()));
        let reply = Reply { kind: 0, flags: 0, sequence: 1, port: 0, payload: &request.finish()[16..] };
        assert_eq!(read_sources(&reply)[0].1, Duration::MAX);
    }
}
