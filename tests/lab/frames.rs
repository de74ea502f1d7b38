//! Capture files as lists of frames: to count them, to cut them short, and to put them into a VLAN.
//!
//! Written apart from Sluice's own reader, so that a mistake there cannot hide itself here. Only classic little-endian pcap.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Length of the header of a pcap file.
pub const FILE_HEADER_LEN: usize = 24;
/// Length of the header of a frame in a pcap file.
const FRAME_HEADER_LEN: usize = 16;
/// The first four bytes of a little-endian pcap file with microseconds.
const MAGIC: u32 = 0xA1B2_C3D4;

/// One captured frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// When, in microseconds since 1970.
    pub time_us: u64,
    /// How long it was on the wire.
    pub wire_len: u32,
    /// What was captured of it.
    pub bytes: Vec<u8>,
}

/// Reads a pcap file as tcpdump writes it.
///
/// # Errors
/// It cannot be read, or is something else.
pub fn read_pcap(file: &Path) -> Result<Vec<Frame>> {
    let bytes = fs::read(file).with_context(|| file.display().to_string())?;
    ensure!(word(&bytes, 0) == Some(MAGIC), "{}: not a little-endian pcap file", file.display());
    let mut frames = Vec::new();
    let mut at = FILE_HEADER_LEN;
    while let Some((frame, next)) = frame_at(&bytes, at) {
        frames.push(frame);
        at = next;
    }
    Ok(frames)
}

/// Writes Ethernet frames as a pcap file.
///
/// # Errors
/// It cannot be written.
pub fn write_pcap(file: &Path, frames: &[Frame]) -> Result<()> {
    let mut bytes = Vec::new();
    for word in [MAGIC, 0x0004_0002, 0, 0, 0x0004_0000, 1] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    for frame in frames {
        let (seconds, micros) = (frame.time_us / 1_000_000, frame.time_us % 1_000_000);
        let captured = u32::try_from(frame.bytes.len())?;
        for word in [u32::try_from(seconds)?, u32::try_from(micros)?, captured, frame.wire_len] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&frame.bytes);
    }
    fs::write(file, bytes).with_context(|| file.display().to_string())
}

/// The frame as it looks inside a VLAN: an 802.1Q tag after the two addresses.
#[must_use]
pub fn tagged(frame: &Frame, vlan: u16) -> Frame {
    let mut bytes = frame.bytes.clone();
    let tag = [0x81, 0x00, vlan.to_be_bytes()[0], vlan.to_be_bytes()[1]];
    bytes.splice(12..12, tag);
    Frame { wire_len: frame.wire_len + 4, bytes, ..frame.clone() }
}

/// The frame that begins at the offset, and where the next one does.
fn frame_at(bytes: &[u8], at: usize) -> Option<(Frame, usize)> {
    let (seconds, micros) = (word(bytes, at)?, word(bytes, at + 4)?);
    let (captured, wire_len) = (word(bytes, at + 8)?, word(bytes, at + 12)?);
    let start = at + FRAME_HEADER_LEN;
    let end = start.checked_add(captured as usize)?;
    let time_us = u64::from(seconds) * 1_000_000 + u64::from(micros);
    Some((Frame { time_us, wire_len, bytes: bytes.get(start..end)?.to_vec() }, end))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again() {
        let file = std::env::temp_dir().join(format!("frames-{}.pcap", std::process::id()));
        let frame = Frame { time_us: 1_700_000_000_000_001, wire_len: 60, bytes: vec![7; 60] };
        write_pcap(&file, &[frame.clone(), tagged(&frame, 7)]).unwrap();
        let frames = read_pcap(&file).unwrap();
        fs::remove_file(&file).unwrap();
        assert_eq!(frames[0], frame);
        assert_eq!(frames[1].bytes[12..16], [0x81, 0, 0, 7]);
        assert_eq!(frames[1].wire_len, 64);
    }
}
