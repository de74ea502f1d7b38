//! A capture of any length is read in the same memory: more than 4 GiB of frames while the allocator counts.
#![allow(clippy::expect_used, reason = "a test may stop at the first surprise")]

use std::alloc::System;
use std::io::{self, Cursor, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use traffic::capture_file::CaptureFile;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const FRAME_LEN: usize = 1_500;
/// How long the captures are, unpacked: longer than 32 bits can count where that is quick.
const PLAIN_BYTES: u64 = (4 << 30) + (1 << 20);
const PACKED_BYTES: u64 = 1 << 30;
/// Frames before counting begins.
const WARM_UP: u64 = 10_000;

/// Gives these bytes over and over.
struct Endless {
    unit: Vec<u8>,
    at: usize,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = &self.unit[self.at..];
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        self.at = (self.at + len) % self.unit.len();
        Ok(len)
    }
}

/// A header, and then the unit over and over.
fn endless(header: Vec<u8>, unit: Vec<u8>) -> impl Read + Send + 'static {
    Cursor::new(header).chain(Endless { unit, at: 0 })
}

fn longs(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn pcap_header() -> Vec<u8> {
    longs(&[0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1])
}

fn pcap_records() -> Vec<u8> {
    let record = [longs(&[1, 2, FRAME_LEN as u32, FRAME_LEN as u32]), vec![7; FRAME_LEN]].concat();
    record.repeat(100)
}

/// A block with its length before and behind the body.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let len = body.len() as u32 + 12;
    [&longs(&[kind, len])[..], body, &longs(&[len])].concat()
}

fn pcapng_header() -> Vec<u8> {
    block(0x0a0d_0d0a, &longs(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]))
}

/// Sections with an interface each, frames with comments, and a block that is passed over.
fn pcapng_sections() -> Vec<u8> {
    let comment = [&longs(&[8 << 16 | 1])[..], b"a remark", &longs(&[0])].concat();
    let body = [longs(&[0, 0, 1, FRAME_LEN as u32, FRAME_LEN as u32]), vec![7; FRAME_LEN], comment].concat();
    let frames = block(6, &body).repeat(100);
    [pcapng_header(), block(1, &longs(&[1, 0])), frames, block(10, &[7; 4_000])].concat()
}

/// Reads so many bytes of frames; fails where memory is taken meanwhile.
fn read_in_constant_memory(name: &str, input: impl Read + Send + 'static, bytes: u64) {
    let mut capture = CaptureFile::new(input).expect("a capture");
    let mut seen = 0;
    let mut read_until = |frames: u64, bytes: u64| {
        while capture.frames() < frames || seen < bytes {
            let next = capture.next_frame(&mut |_, frame| seen += frame.bytes.len() as u64);
            assert!(next.expect("no damage"), "{name} has no end");
        }
    };
    read_until(WARM_UP, 0);
    let region = Region::new(ALLOCATOR);
    read_until(WARM_UP, bytes);
    let change = region.change();
    // Far fewer than frames, and less than any table: the test harness may take a line or two of its own meanwhile.
    let taken = (change.allocations + change.reallocations, change.bytes_allocated);
    assert!(taken.0 < 16 && taken.1 < 16_384, "{name}: {change:?}");
}

#[test]
fn a_capture_of_any_length_is_read_in_the_same_memory() {
    read_in_constant_memory("pcap", endless(pcap_header(), pcap_records()), PLAIN_BYTES);
    read_in_constant_memory("pcapng", endless(pcapng_header(), pcapng_sections()), PLAIN_BYTES);
    // Each unit is a member of its own (RFC 1952 section 2.2).
    let member = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    };
    let packed = endless(member(&pcapng_header()), member(&pcapng_sections()));
    read_in_constant_memory("gzip of pcapng", packed, PACKED_BYTES);
}
