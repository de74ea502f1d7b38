//! Four shapes of traffic, the same on every run and every machine: what the path is measured with.
//!
//! Each is a short round of frames that is played again and again, and made new each time where that is the point of it:
//! another source, another port, the next bytes of a stream. Checksums are left zero, as nobody here looks at them.

mod frames;

use std::fs::File;
use std::path::Path;

use sluice::capture::{Arrival, Port};
use traffic::capture_file::CaptureFile;
use traffic::decode::{Frame, LinkType};
use traffic::time::Timestamp;

/// A flood of SYNs, each from a new source; downloads; look-ups of names; captures of the project.
pub const NAMES: [&str; 4] = ["syn", "bulk", "dns", "mixed"];

/// What of `tests/captures` the shape "mixed" consists of: ordinary traffic, a scan, and password guessing. A list, so that
/// a new capture there does not change what was measured.
const MIXED: [&str; 5] = ["benign-mix", "benign-pages", "ipv6", "syn-scan", "ssh-brute-force"];

/// Time of the first packet.
const BEGIN_NS: u64 = 1_700_000_000_000_000_000;

/// From one made-up packet to the next: 100,000 packets a second.
const GAP_NS: u64 = 10_000;

/// From the end of the captures of "mixed" to their repetition: all flows and windows are over by then.
const PAUSE_NS: u64 = 600_000_000_000;

/// From the beginning of the opening to the first round.
const OPENING_NS: u64 = 1_000_000_000;

/// A frame, and how it differs from round to round.
struct StoredFrame {
    /// From the beginning of the round.
    after_ns: u64,
    wire_len_bytes: u32,
    bytes: Vec<u8>,
    /// Writes into the bytes what is new in the round of that number.
    renew: fn(&mut [u8], u64),
}

impl StoredFrame {
    fn whole(after_ns: u64, bytes: Vec<u8>, renew: fn(&mut [u8], u64)) -> Self {
        Self { after_ns, wire_len_bytes: u32::try_from(bytes.len()).expect("a frame"), bytes, renew }
    }

    fn frame(&self) -> Frame<'_> {
        Frame { link: LinkType::Ethernet, bytes: &self.bytes, wire_len_bytes: self.wire_len_bytes, vlan_tag: None }
    }
}

/// Traffic without an end.
pub struct Shape {
    /// What goes before the first round and is not counted.
    opening: Vec<StoredFrame>,
    round: Vec<StoredFrame>,
    round_ns: u64,
    /// Packets of all rounds so far.
    played: u64,
}

impl Shape {
    /// The shape of that name, one of [`NAMES`].
    pub fn named(name: &str) -> Self {
        match name {
            "syn" => Self::made(Vec::new(), vec![(frames::syn(), frames::renew_source)]),
            "bulk" => Self::made(frames::handshakes(), frames::downloads()),
            "dns" => Self::made(Vec::new(), frames::look_ups()),
            "mixed" => Self::recorded(&MIXED),
            other => panic!("there is no shape {other:?}"),
        }
    }

    fn made(opening: Vec<Vec<u8>>, round: Vec<frames::Renewed>) -> Self {
        let times = || (0..).map(|n| n * GAP_NS);
        let round_ns = round.len() as u64 * GAP_NS;
        let opening = times().zip(opening).map(|(at, bytes)| StoredFrame::whole(at, bytes, |_, _| {})).collect();
        let round = times().zip(round).map(|(at, (bytes, renew))| StoredFrame::whole(at, bytes, renew)).collect();
        Self { opening, round, round_ns, played: 0 }
    }

    /// Captures one after the other, each a second after the one before.
    fn recorded(cases: &[&str]) -> Self {
        let (mut round, mut end_ns) = (Vec::new(), 0);
        for case in cases {
            let begin_ns = end_ns;
            let mut first = None;
            read_case(case, &mut |time, frame| {
                let after_ns = begin_ns + time.as_nanos().saturating_sub(*first.get_or_insert(time.as_nanos()));
                let stored = StoredFrame::whole(after_ns, frame.bytes.to_vec(), |_, _| {});
                round.push(StoredFrame { wire_len_bytes: frame.wire_len_bytes, ..stored });
                end_ns = end_ns.max(after_ns + 1_000_000_000);
            });
        }
        Self { opening: Vec::new(), round, round_ns: end_ns + PAUSE_NS, played: 0 }
    }

    /// Plays that many packets more.
    pub fn play(&mut self, packets: u64, take: &mut dyn FnMut(Timestamp, &Frame<'_>)) {
        for stored in self.opening.drain(..) {
            take(Timestamp::from_nanos(BEGIN_NS - OPENING_NS + stored.after_ns), &stored.frame());
        }
        let frames = self.round.len() as u64;
        for number in self.played..self.played + packets {
            let (round, place) = (number / frames, (number % frames) as usize);
            let stored = &mut self.round[place];
            (stored.renew)(&mut stored.bytes, round);
            take(Timestamp::from_nanos(BEGIN_NS + round * self.round_ns + stored.after_ns), &stored.frame());
        }
        self.played += packets;
    }
}

/// The frame as it comes in by a port.
pub fn arrival<'a>(time: Timestamp, frame: &Frame<'a>) -> Arrival<'a> {
    Arrival { time, port: Port::First, frame: *frame }
}

fn read_case(case: &str, take: &mut dyn FnMut(Timestamp, &Frame<'_>)) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/captures");
    let file = File::open(folder.join(case).join("input.pcap")).expect("a capture of the project");
    let mut capture = CaptureFile::new(file).expect("a capture");
    while capture.next_frame(take).expect("a whole capture") {}
}
