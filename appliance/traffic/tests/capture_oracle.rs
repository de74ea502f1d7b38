//! An independent reader of captures, pcap-parser, finds the same frames in every capture that there is.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod corpus;

use std::fs::File;
use std::path::Path;

use pcap_parser::{Block, PcapBlockOwned, PcapError};
use traffic::capture_file::CaptureFile;

/// More than any block of the captures has.
const BUFFER_BYTES: usize = 1 << 24;

/// A frame: its time in nanoseconds where the format is pcap, its bytes, its length on the wire.
type Seen = (Option<u64>, Vec<u8>, u32);

fn ours(path: &Path, is_pcap: bool) -> Option<(Vec<Seen>, bool)> {
    let mut capture = CaptureFile::new(File::open(path).expect("readable")).ok()?;
    let mut frames = Vec::new();
    loop {
        let next = capture.next_frame(&mut |time, frame| {
            frames.push((is_pcap.then_some(time.as_nanos()), frame.bytes.to_vec(), frame.wire_len_bytes));
        });
        match next {
            Ok(true) => {}
            end => return Some((frames, end.is_ok())),
        }
    }
}

/// What pcap-parser finds, whether it is pcap, and whether it came to the end. `None` where it is no capture for it, or it
/// holds obsolete packet blocks, which it does not read.
fn theirs(path: &Path) -> Option<(Vec<Seen>, bool, bool)> {
    let mut reader = pcap_parser::create_reader(BUFFER_BYTES, File::open(path).expect("readable")).ok()?;
    let (mut frames, mut nanos_per_unit) = (Vec::new(), None);
    loop {
        match reader.next() {
            Ok((len, block)) => {
                match block {
                    PcapBlockOwned::LegacyHeader(header) => {
                        nanos_per_unit = Some(if header.is_nanosecond_precision() { 1 } else { 1_000 });
                    }
                    PcapBlockOwned::Legacy(packet) => {
                        let fraction = u64::from(packet.ts_usec) * nanos_per_unit.expect("a header");
                        let time = u64::from(packet.ts_sec) * 1_000_000_000 + fraction;
                        frames.push((Some(time), packet.data.to_vec(), packet.origlen.max(packet.caplen)));
                    }
                    PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                        let bytes = packet.data[..packet.caplen as usize].to_vec();
                        frames.push((None, bytes, packet.origlen.max(packet.caplen)));
                    }
                    PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
                        let bytes = packet.data[..packet.data.len().min(packet.origlen as usize)].to_vec();
                        frames.push((None, bytes, packet.origlen));
                    }
                    PcapBlockOwned::NG(Block::Unknown(block)) if block.block_type == 2 => return None,
                    PcapBlockOwned::NG(_) => {}
                }
                reader.consume(len);
            }
            Err(PcapError::Incomplete(_)) => reader.refill().expect("readable"),
            end => return Some((frames, nanos_per_unit.is_some(), matches!(end, Err(PcapError::Eof)))),
        }
    }
}

#[test]
fn pcap_parser_finds_the_same_frames() {
    let (mut same, mut different) = (0, Vec::new());
    for path in corpus::files() {
        let Some((theirs, is_pcap, they_ended)) = theirs(&path) else { continue };
        let (ours, we_ended) = ours(&path, is_pcap).unwrap_or_default();
        if ours == theirs && we_ended == they_ended {
            same += 1;
        } else {
            let counts = format!("{} of {} frames, end {we_ended} {they_ended}", ours.len(), theirs.len());
            different.push(format!("{}: {counts}", path.display()));
        }
    }
    println!("{same} captures are the same");
    assert!(same >= 8 && different.is_empty(), "{same} are the same, but not\n{}", different.join("\n"));
}
