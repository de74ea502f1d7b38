//! The flow table and the extractor around it, against a naive model of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use traffic::decode::dns::LongName;
use traffic::decode::{IcmpKind, Packet, Tcp, TcpFlags, Transport, Word};
use traffic::extractor::Extractor;
use traffic::limits::Limits;
use traffic::time::Timestamp;

use crate::input::{Clock, Input};
use crate::ledger::Ledger;
use crate::model::Model;
use crate::seen::Seen;

const HOSTS_V4: [Ipv4Addr; 4] = [
    Ipv4Addr::new(198, 51, 100, 1),
    Ipv4Addr::new(198, 51, 100, 2),
    Ipv4Addr::new(203, 0, 113, 1),
    Ipv4Addr::new(203, 0, 113, 2),
];
const HOSTS_V6: [Ipv6Addr; 4] = [
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2),
    Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1),
    Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2),
];
/// Two services, of which the first has the port of those without ports, and two clients.
const PORTS: [u16; 4] = [0, 80, 40_000, 50_000];
/// So few that they often fit: a first one, what acknowledges it, and what acknowledges one and two bytes more.
const NUMBERS: [u32; 4] = [u32::MAX, 0, 1, 2];
const PAYLOADS_BYTES: [u32; 4] = [0, 1, 100, 1_400];

/// The input: a byte that chooses how many flows there may be, and four for each step: a packet, or time that passes.
///
/// What is seen of the flows must be what the naive model sees, as long as time goes forward. How the table deals with packets
/// out of order is not in the model; from the first such packet on, only the [`Ledger`] is kept. ICMP errors are not
/// among the packets: they belong to the flow that they are about, which only frames can say (see `extractor`).
///
/// # Panics
/// The extractor panics, or differs from the model.
pub fn flow_table(data: &[u8]) {
    let mut input = Input(data);
    let Some(choice) = input.byte() else { return };
    let mut bench = Bench::new(1 + usize::from(choice % 8));
    let mut clock = Clock::new();
    while let Some([what, hosts, ports, flags]) = input.array() {
        let time = clock.step(what);
        match transport(what >> 4, ports, flags) {
            Some((protocol, transport)) => bench.packet(&packet(hosts, protocol, transport), time),
            None => bench.pass(time),
        }
    }
    bench.finish();
}

/// What the upper four bits of a step's first byte choose; `None` for time that passes.
fn transport(kind: u8, ports: u8, flags: u8) -> Option<(u8, Transport)> {
    let (source_port, destination_port) = (choose(&PORTS, ports), choose(&PORTS, ports >> 2));
    Some(match kind {
        0 => return None,
        1..=9 => {
            let (sequence, acknowledgement) = (choose(&NUMBERS, ports >> 4), choose(&NUMBERS, ports >> 6));
            let flags = tcp_flags(flags);
            let tcp = Tcp {
                source_port,
                destination_port,
                sequence,
                acknowledgement,
                flags,
                window: 1_000,
                options: None,
                word: Word::None,
            };
            (6, Transport::Tcp(tcp))
        }
        10 => (17, Transport::Udp { source_port, destination_port, asked: None }),
        11 => {
            let asked = Some(LongName { domain: u32::from(flags & 3), name: u32::from(flags >> 2) });
            (17, Transport::Udp { source_port, destination_port, asked })
        }
        12 => (if flags & 1 == 0 { 6 } else { 17 }, Transport::Fragment),
        13 if flags & 1 == 0 => (1, Transport::Icmp(IcmpKind::EchoRequest(source_port))),
        13 => (1, Transport::Icmp(IcmpKind::EchoReply(source_port))),
        14 if flags & 1 == 0 => (1, Transport::Icmp(IcmpKind::Other)),
        14 => (1, Transport::Icmp(IcmpKind::Odd(source_port))),
        15 if flags & 1 == 0 => (132, Transport::Sctp { source_port, destination_port, aborts: flags & 2 != 0 }),
        _ => (47, Transport::Other),
    })
}

/// In the order of their bits in the header.
const fn tcp_flags(bits: u8) -> TcpFlags {
    TcpFlags {
        fin: bits & 1 != 0,
        syn: bits & 2 != 0,
        rst: bits & 4 != 0,
        psh: bits & 8 != 0,
        ack: bits & 16 != 0,
        urg: bits & 32 != 0,
    }
}

fn packet(hosts: u8, protocol: u8, transport: Transport) -> Packet {
    let (from, to) = (hosts, hosts >> 2);
    let (source, destination): (IpAddr, IpAddr) = if hosts & 0x10 == 0 {
        (choose(&HOSTS_V4, from).into(), choose(&HOSTS_V4, to).into())
    } else {
        (choose(&HOSTS_V6, from).into(), choose(&HOSTS_V6, to).into())
    };
    let vlan = if hosts & 0x20 == 0 { None } else { Some(5) };
    let payload_len_bytes = choose(&PAYLOADS_BYTES, hosts >> 6);
    let ip_len_bytes = payload_len_bytes + 40;
    Packet { source, destination, to_group: false, vlan, protocol, ip_len_bytes, payload_len_bytes, transport }
}

/// What the two lowest bits choose.
fn choose<T: Copy>(from: &[T; 4], bits: u8) -> T {
    from[usize::from(bits & 3)]
}

/// The extractor, and what it is compared with.
struct Bench {
    extractor: Extractor,
    capacity: usize,
    ledger: Ledger,
    /// `None` once time has gone back.
    model: Option<Model>,
    now: Timestamp,
}

impl Bench {
    fn new(capacity: usize) -> Self {
        let limits = Limits { flows: capacity, sources: 4, destinations: 4, pairs: 4, leaks: 4 };
        Self {
            extractor: Extractor::new(&limits, [1, 2]),
            capacity,
            ledger: Ledger::default(),
            model: Some(Model::new(capacity)),
            now: Timestamp::EPOCH,
        }
    }

    fn packet(&mut self, packet: &Packet, time: Timestamp) {
        self.advance(time);
        let mut seen = Vec::new();
        let outcome = self.extractor.packet(packet, time, &mut |observation| seen.push(Seen::of(observation)));
        self.ledger.packet(packet, time, &seen, outcome);
        let mut expected = Vec::new();
        if let Some(model) = &mut self.model {
            assert_eq!(outcome, model.packet(packet, time, &mut expected), "{packet:?}");
        }
        self.compare(seen, expected);
    }

    fn pass(&mut self, time: Timestamp) {
        self.advance(time);
        let (mut seen, mut expected) = (Vec::new(), Vec::new());
        self.extractor.expire(time, &mut |observation| seen.push(Seen::of(observation)));
        self.ledger.check(time, &seen);
        if let Some(model) = &mut self.model {
            model.expire(time, &mut expected);
        }
        self.compare(seen, expected);
    }

    fn finish(mut self) {
        let (mut seen, mut expected) = (Vec::new(), Vec::new());
        self.extractor.finish(&mut |observation| seen.push(Seen::of(observation)));
        self.ledger.close(&seen);
        if let Some(model) = &mut self.model {
            model.finish(&mut expected);
        }
        self.compare(seen, expected);
        assert_eq!(self.extractor.flows(), 0, "flows left at the end");
    }

    fn advance(&mut self, time: Timestamp) {
        if time < self.now {
            self.model = None;
        }
        self.now = time;
    }

    fn compare(&self, mut seen: Vec<Seen>, mut expected: Vec<Seen>) {
        assert!(self.extractor.flows() <= self.capacity, "{} flows", self.extractor.flows());
        let Some(model) = &self.model else { return };
        // Flows that end in the same moment have no order among each other.
        seen.sort_by_key(|seen| (seen.flow, seen.packets));
        expected.sort_by_key(|seen| (seen.flow, seen.packets));
        assert_eq!(seen, expected, "seen, and expected by the model");
        assert_eq!(self.extractor.flows(), model.len(), "flows in the table");
    }
}
