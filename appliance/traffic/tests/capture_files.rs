//! Capture files of every kind, written byte by byte as their formats say.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use traffic::capture_file::{CaptureError, CaptureFile};
use traffic::decode::LinkType;

/// The byte order of a file.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    Big,
    Little,
}
use Order::{Big, Little};

impl Order {
    fn long(self, number: u32) -> [u8; 4] {
        if self == Big { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    fn short(self, number: u16) -> [u8; 2] {
        if self == Big { number.to_be_bytes() } else { number.to_le_bytes() }
    }

    fn longs(self, numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| self.long(*number)).collect()
    }
}

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
const MODIFIED: u32 = 0xa1b2_cd34;

fn pcap_header(order: Order, magic: u32, link: u32) -> Vec<u8> {
    [&order.long(magic)[..], &order.short(2), &order.short(4), &order.longs(&[0, 0, 65_535, link])].concat()
}

fn record(order: Order, seconds: u32, units: u32, bytes: &[u8], wire: u32) -> Vec<u8> {
    [order.longs(&[seconds, units, bytes.len() as u32, wire]), bytes.to_vec()].concat()
}

/// A pcapng block; the body is padded to four bytes.
fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(4), 0);
    let len = order.long(body.len() as u32 + 12);
    [&order.long(kind)[..], &len, &body, &len].concat()
}

fn section(order: Order) -> Vec<u8> {
    let versions = [order.short(1), order.short(0)].concat();
    block(order, 0x0a0d_0d0a, &[&order.long(0x1a2b_3c4d)[..], &versions, &[0xff; 8]].concat())
}

fn option(order: Order, code: u16, value: &[u8]) -> Vec<u8> {
    let mut padded = value.to_vec();
    padded.resize(value.len().next_multiple_of(4), 0);
    [&order.short(code)[..], &order.short(value.len() as u16), &padded].concat()
}

fn interface(order: Order, link: u16, snap_len: u32, options: &[u8]) -> Vec<u8> {
    block(order, 1, &[&order.short(link)[..], &[0, 0], &order.long(snap_len), options].concat())
}

/// An enhanced packet block.
fn enhanced(order: Order, interface: u32, ticks: u64, bytes: &[u8], options: &[u8]) -> Vec<u8> {
    let (high, low, len) = ((ticks >> 32) as u32, ticks as u32, bytes.len() as u32);
    let mut body = [order.longs(&[interface, high, low, len, 1000]), bytes.to_vec()].concat();
    body.resize(body.len().next_multiple_of(4), 0);
    block(order, 6, &[body, options.to_vec()].concat())
}

/// A frame as it was read: its time in nanoseconds, link type, bytes and length on the wire.
type Read1 = (u64, LinkType, Vec<u8>, u32);

fn read(input: impl Read + Send + 'static) -> (Vec<Read1>, Option<CaptureError>) {
    let mut frames = Vec::new();
    let mut capture = match CaptureFile::new(input) {
        Ok(capture) => capture,
        Err(error) => return (frames, Some(error)),
    };
    loop {
        let next = capture.next_frame(&mut |time, frame| {
            frames.push((time.as_nanos(), frame.link, frame.bytes.to_vec(), frame.wire_len_bytes));
        });
        match next {
            Ok(true) => {}
            Ok(false) => return (frames, None),
            Err(error) => return (frames, Some(error)),
        }
    }
}

/// The frames of a file that is read to its end.
fn frames(bytes: Vec<u8>) -> Vec<Read1> {
    let (frames, error) = read(io::Cursor::new(bytes));
    assert!(error.is_none(), "{error:?}");
    frames
}

fn times(bytes: Vec<u8>) -> Vec<u64> {
    frames(bytes).into_iter().map(|frame| frame.0).collect()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// Two frames in each format.
fn samples() -> Vec<Vec<u8>> {
    let pcap =
        [pcap_header(Little, MICROSECONDS, 1), record(Little, 1, 2, b"first", 100), record(Little, 2, 3, b"second", 6)];
    let pcapng = [
        section(Little),
        interface(Little, 1, 0, &[]),
        enhanced(Little, 0, 1_000_002, b"first", &[]),
        enhanced(Little, 0, 2_000_003, b"second", &[]),
    ];
    vec![pcap.concat(), pcapng.concat()]
}

#[test]
fn pcap_of_both_byte_orders_and_all_resolutions_is_read() {
    for order in [Big, Little] {
        for (magic, nanos) in [(MICROSECONDS, 5_000), (NANOSECONDS, 5)] {
            let records = [record(order, 1_700_000_000, 5, b"abc", 1500), record(order, 0, 0, b"", 0)].concat();
            let expected = [
                (1_700_000_000_000_000_000 + nanos, LinkType::Ethernet, b"abc".to_vec(), 1500),
                (0, LinkType::Ethernet, Vec::new(), 0),
            ];
            assert_eq!(frames([pcap_header(order, magic, 1), records].concat()), expected);
        }
        // Eight more bytes before each frame.
        let modified = [order.longs(&[1, 5, 3, 1500]), vec![9; 8], b"abc".to_vec()].concat();
        let file = [pcap_header(order, MODIFIED, 1), modified].concat();
        assert_eq!(frames(file), [(1_000_005_000, LinkType::Ethernet, b"abc".to_vec(), 1500)]);
    }
}

#[test]
fn link_types_are_those_of_the_registry() {
    for (numbers, link) in [
        (&[1][..], LinkType::Ethernet),
        (&[12, 14, 101, 228, 229], LinkType::RawIp),
        (&[113], LinkType::LinuxCooked),
        (&[276], LinkType::LinuxCooked2),
        (&[0, 108], LinkType::Null),
        (&[9, 50], LinkType::Ppp),
        (&[204], LinkType::PppWithDirection),
        (&[51], LinkType::Pppoe),
        (&[105, 127, 147], LinkType::Unsupported),
    ] {
        for number in numbers {
            // The higher bits tell of frame checksums.
            let pcap = [pcap_header(Little, MICROSECONDS, 0x2400_0000 | number), record(Little, 0, 0, b"x", 1)];
            assert_eq!(frames(pcap.concat())[0].1, link, "{number}");
            let description = interface(Big, *number as u16, 0, &[]);
            assert_eq!(frames([section(Big), description, enhanced(Big, 0, 0, b"x", &[])].concat())[0].1, link);
        }
    }
}

#[test]
fn each_pcapng_interface_has_its_own_link_resolution_and_offset() {
    for order in [Big, Little] {
        let resolution = |value: u8| option(order, 9, &[value]);
        let offset = |seconds: i64| {
            let bytes = if order == Big { seconds.to_be_bytes() } else { seconds.to_le_bytes() };
            option(order, 14, &bytes)
        };
        let name = option(order, 2, b"eth0");
        let end = option(order, 0, &[]);
        let mut file = section(order);
        let mut expected = Vec::new();
        for (number, (options, ticks, nanos)) in [
            (Vec::new(), 1_500_001, 1_500_001_000_u64),
            ([name.clone(), end.clone()].concat(), 7, 7_000),
            (resolution(9), 1_500_000_001, 1_500_000_001),
            (resolution(3), 1_501, 1_501_000_000),
            (resolution(0), 3, 3_000_000_000),
            (resolution(12), 1_500_000_000_999, 1_500_000_000),
            // Powers of two: halves, and 2^20 in a second.
            (resolution(0x81), 3, 1_500_000_000),
            (resolution(0x80 | 20), 3 << 19, 1_500_000_000),
            ([resolution(6), offset(10)].concat(), 1_500_000, 11_500_000_000),
            ([offset(-1), resolution(9), end].concat(), 2_500_000_000, 1_500_000_000),
        ]
        .into_iter()
        .enumerate()
        {
            file.extend(interface(order, if number % 2 == 0 { 1 } else { 101 }, 0, &options));
            let frame = enhanced(order, number as u32, ticks, b"x", &[]);
            file.extend(frame);
            expected.push((nanos, if number % 2 == 0 { LinkType::Ethernet } else { LinkType::RawIp }));
        }
        let found: Vec<_> = frames(file).into_iter().map(|frame| (frame.0, frame.1)).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn sections_of_different_byte_order_follow_each_other() {
    let part =
        |order, ticks| [section(order), interface(order, 1, 0, &[]), enhanced(order, 0, ticks, b"x", &[])].concat();
    let file = [part(Little, 1), part(Big, 2), part(Little, 1 << 33)].concat();
    assert_eq!(times(file), [1_000, 2_000, (1 << 33) * 1_000]);
    // Interfaces are those of the section.
    let file = [part(Little, 1), section(Big), enhanced(Big, 0, 2, b"x", &[])].concat();
    assert!(matches!(read(io::Cursor::new(file)).1, Some(CaptureError::Damaged { frames: 1, .. })));
}

#[test]
fn all_three_packet_blocks_are_read() {
    for order in [Big, Little] {
        let start = [section(order), interface(order, 113, 0, &[]), interface(order, 1, 4, &[])].concat();
        // The obsolete packet block: interface and count of lost frames in 16 bits each.
        let body = [&order.short(1)[..], &order.short(0xffff), &order.longs(&[1, 2, 3, 70]), b"abc"].concat();
        let old = block(order, 2, &body);
        let simple = block(order, 3, &[&order.long(5)[..], b"abcde"].concat());
        let new = enhanced(order, 1, 9, b"xyz", &option(order, 1, b"a comment"));
        let expected = [
            (((1 << 32) + 2) * 1_000, LinkType::Ethernet, b"abc".to_vec(), 70),
            // It has no time of its own, and is of the first interface.
            (((1 << 32) + 2) * 1_000, LinkType::LinuxCooked, b"abcde".to_vec(), 5),
            (9_000, LinkType::Ethernet, b"xyz".to_vec(), 1000),
        ];
        assert_eq!(frames([start, old, simple, new].concat()), expected);
        // The snap length cuts simple packets.
        let simple = block(order, 3, &[&order.long(900)[..], b"abcd"].concat());
        let file = [section(order), interface(order, 1, 4, &[]), simple].concat();
        assert_eq!(frames(file), [(0, LinkType::Ethernet, b"abcd".to_vec(), 900)]);
    }
}

#[test]
fn blocks_that_hold_no_frame_are_passed_over_whatever_their_size() {
    let mut file = [section(Big), interface(Big, 1, 0, &[])].concat();
    // Name resolution, statistics, journal, secrets, custom, and one that nobody knows; then one larger than the window.
    for kind in [4, 5, 9, 10, 0xbad, 0x4000_0bad, 77] {
        file.extend(block(Big, kind, &[7; 33]));
    }
    file.extend(block(Big, 10, &vec![0; 40 << 20]));
    file.extend(enhanced(Big, 0, 1, b"x", &[]));
    assert_eq!(times(file), [1_000]);
}

#[test]
fn gzip_of_one_and_of_several_members_is_unpacked() {
    for sample in samples() {
        let expected = frames(sample.clone());
        assert_eq!(expected.len(), 2);
        assert_eq!(frames(packed(&sample)), expected);
        let members: Vec<u8> = sample.chunks(20).flat_map(packed).collect();
        assert_eq!(frames(members), expected, "members that end anywhere");
    }
}

/// A pipe that gives one byte at a time, with interruptions.
struct Drip(io::Cursor<Vec<u8>>, bool);

impl Read for Drip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let len = buffer.len().min(1);
        self.0.read(&mut buffer[..len])
    }
}

#[test]
fn a_pipe_that_gives_a_byte_at_a_time_reads_the_same() {
    for sample in samples() {
        for input in [sample.clone(), packed(&sample)] {
            let (found, error) = read(Drip(io::Cursor::new(input), false));
            assert!(error.is_none(), "{error:?}");
            assert_eq!(found, frames(sample.clone()));
        }
    }
}

#[test]
fn what_is_cut_off_gives_its_whole_frames_and_says_so() {
    for sample in samples() {
        let whole = frames(sample.clone());
        for len in 0..sample.len() {
            let (found, error) = read(io::Cursor::new(sample[..len].to_vec()));
            assert_eq!(found, whole[..found.len()]);
            match error {
                None => assert!(len > 0, "nothing is no capture"),
                Some(CaptureError::NotACapture) => assert!(found.is_empty() && len < 28),
                Some(CaptureError::Truncated { frames, bytes }) => {
                    assert_eq!(frames as usize, found.len());
                    assert!(bytes <= len as u64);
                }
                Some(other) => panic!("{other}"),
            }
        }
        let cut = packed(&sample);
        for len in 18..cut.len() {
            let (_, error) = read(io::Cursor::new(cut[..len].to_vec()));
            let told = matches!(error, Some(CaptureError::Truncated { .. } | CaptureError::NotACapture));
            assert!(told, "gzip cut at {len}: {error:?}");
        }
    }
}

#[test]
fn what_is_damaged_is_named_and_never_believed() {
    let pcap = |record: Vec<u8>| [pcap_header(Little, MICROSECONDS, 1), record].concat();
    let mut lying = enhanced(Little, 0, 0, b"abcd", &[]);
    lying[20..24].copy_from_slice(&5_u32.to_le_bytes());
    let mut unequal = enhanced(Little, 0, 0, b"abcd", &[]);
    *unequal.last_mut().expect("a trailer") = 1;
    let pcapng = |block: Vec<u8>| [section(Little), interface(Little, 1, 0, &[]), block].concat();
    for (what, file) in [
        ("a record of 4 GiB", pcap(Little.longs(&[0, 0, u32::MAX, 0]))),
        ("a block of 11 bytes", pcapng(Little.longs(&[6, 11, 0, 0]))),
        ("a packet block of 4 GiB", pcapng(Little.longs(&[6, 0xffff_fffc, 0, 0]))),
        ("a frame longer than its block", pcapng(lying)),
        ("lengths that differ", pcapng(unequal)),
        ("an interface that is not described", pcapng(enhanced(Little, 1, 0, b"x", &[]))),
        ("a packet block too short for its header", pcapng(block(Little, 6, &[0; 16]))),
        ("a simple packet block without a length", pcapng(block(Little, 3, &[]))),
        ("a resolution beyond 64 bits", pcapng(interface(Little, 1, 0, &option(Little, 9, &[64 | 0x80])))),
        ("an option longer than its block", pcapng(interface(Little, 1, 0, &[9, 0, 200, 0]))),
        ("a section of no byte order", pcapng(block(Little, 0x0a0d_0d0a, &[0; 16]))),
    ] {
        let (_, error) = read(io::Cursor::new(file));
        assert!(matches!(error, Some(CaptureError::Damaged { frames: 0, .. })), "{what}: {error:?}");
    }
    for nothing in [&b"GET / HTTP/1.1\r\nHost: example.org\r\n"[..], &[0; 100], &[]] {
        assert!(matches!(read(io::Cursor::new(nothing.to_vec())).1, Some(CaptureError::NotACapture)));
    }
}

#[test]
fn a_source_that_fails_is_told_with_its_reason() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is on fire"))
        }
    }
    let input = io::Cursor::new(samples().remove(0)).chain(Failing);
    let (found, error) = read(input);
    assert_eq!(found.len(), 2);
    assert_eq!(error.expect("an error").to_string(), "cannot read on after 2 frames: the disk is on fire");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn nothing_in_a_capture_makes_reading_panic(
        sample in 0..2_usize,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        is_packed in any::<bool>(),
    ) {
        let mut bytes = samples().remove(sample);
        for (at, value) in changes {
            *at.get_mut(&mut bytes) = value;
        }
        let len = bytes.len();
        let (found, _) = read(io::Cursor::new(if is_packed { packed(&bytes) } else { bytes }));
        prop_assert!(found.iter().map(|frame| frame.2.len()).sum::<usize>() < len);
    }
}
