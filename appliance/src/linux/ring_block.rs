//! One block of the packet ring, as the kernel lays it out (`struct tpacket_block_desc` and `struct tpacket3_hdr`).
//!
//! Every offset is looked up within the block. Whatever does not fit ends the block early: no frame is better than a wrong one.

use core::mem::offset_of;

use libc::{tpacket_block_desc, tpacket_hdr_v1, tpacket_hdr_variant1, tpacket3_hdr};
use traffic::time::Timestamp;

/// Where the status word of a block is: it says whose the block is.
pub const STATUS_OFFSET_BYTES: usize = BLOCK_HEADER + offset_of!(tpacket_hdr_v1, block_status);

/// Where a block's `bh1` begins.
const BLOCK_HEADER: usize = offset_of!(tpacket_block_desc, hdr);
const FRAMES: usize = BLOCK_HEADER + offset_of!(tpacket_hdr_v1, num_pkts);
const FIRST_FRAME: usize = BLOCK_HEADER + offset_of!(tpacket_hdr_v1, offset_to_first_pkt);
const VLAN_TAG: usize = offset_of!(tpacket3_hdr, hv1) + offset_of!(tpacket_hdr_variant1, tp_vlan_tci);
/// The kernel takes this much out of a frame whose VLAN tag it gives separately.
const VLAN_TAG_BYTES: u32 = 4;

/// A frame in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingFrame<'a> {
    /// When the kernel received it.
    pub time: Timestamp,
    /// Its length on the wire, with the VLAN tag that the kernel took out.
    pub wire_len_bytes: u32,
    /// The 802.1Q tag control information that the kernel took out.
    pub vlan_tag: Option<u16>,
    /// The bytes captured, from the Ethernet header on.
    pub bytes: &'a [u8],
}

/// A place in a block: before its next frame.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    offset_bytes: usize,
    frames_left: u32,
}

impl Cursor {
    /// Before the first frame of the block.
    #[must_use]
    pub fn first(block: &[u8]) -> Self {
        let offset_bytes = read_u32(block, FIRST_FRAME).and_then(|offset| usize::try_from(offset).ok());
        Self { offset_bytes: offset_bytes.unwrap_or(usize::MAX), frames_left: read_u32(block, FRAMES).unwrap_or(0) }
    }

    /// When the next frame was received; none at the end of the block.
    #[must_use]
    pub fn time(&self, block: &[u8]) -> Option<Timestamp> {
        self.read(block).map(|(frame, _)| frame.time)
    }

    /// The next frame; none at the end of the block.
    pub fn next<'a>(&mut self, block: &'a [u8]) -> Option<RingFrame<'a>> {
        let (frame, next_offset_bytes) = self.read(block)?;
        self.frames_left -= 1;
        self.offset_bytes = next_offset_bytes;
        Some(frame)
    }

    fn read<'a>(&self, block: &'a [u8]) -> Option<(RingFrame<'a>, usize)> {
        if self.frames_left == 0 {
            return None;
        }
        let header = block.get(self.offset_bytes..)?;
        let seconds = read_u32(header, offset_of!(tpacket3_hdr, tp_sec))?;
        let nanos = read_u32(header, offset_of!(tpacket3_hdr, tp_nsec))?;
        let captured = usize::try_from(read_u32(header, offset_of!(tpacket3_hdr, tp_snaplen))?).ok()?;
        let start = usize::from(read_u16(header, offset_of!(tpacket3_hdr, tp_mac))?);
        let bytes = header.get(start..start.checked_add(captured)?)?;
        let status = read_u32(header, offset_of!(tpacket3_hdr, tp_status))?;
        let mut wire_len_bytes = read_u32(header, offset_of!(tpacket3_hdr, tp_len))?;
        let mut vlan_tag = None;
        if status & libc::TP_STATUS_VLAN_VALID != 0 {
            // The field has 32 bits, of which the tag is the lower half.
            vlan_tag = u16::try_from(read_u32(header, VLAN_TAG)? & 0xffff).ok();
            wire_len_bytes = wire_len_bytes.saturating_add(VLAN_TAG_BYTES);
        }
        let time = Timestamp::from_nanos(u64::from(seconds) * 1_000_000_000 + u64::from(nanos));
        let next = usize::try_from(read_u32(header, offset_of!(tpacket3_hdr, tp_next_offset))?).ok()?;
        Some((RingFrame { time, wire_len_bytes, vlan_tag, bytes }, self.offset_bytes.checked_add(next)?))
    }
}

fn read_u32(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

fn read_u16(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIRST: usize = 64;
    const DATA: usize = 80;
    const STEP: usize = 128;

    fn put(block: &mut [u8], at: usize, bytes: &[u8]) {
        block[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// A block as the kernel would write it: two frames of 3 bytes, the second with a tag.
    fn block() -> Vec<u8> {
        let mut block = vec![0; 512];
        put(&mut block, FRAMES, &2_u32.to_ne_bytes());
        put(&mut block, FIRST_FRAME, &(FIRST as u32).to_ne_bytes());
        for (index, status) in [(0, 0), (1, libc::TP_STATUS_VLAN_VALID)] {
            let at = FIRST + STEP * index;
            put(&mut block, at + offset_of!(tpacket3_hdr, tp_next_offset), &(STEP as u32).to_ne_bytes());
            put(&mut block, at + offset_of!(tpacket3_hdr, tp_sec), &7_u32.to_ne_bytes());
            put(&mut block, at + offset_of!(tpacket3_hdr, tp_nsec), &(index as u32).to_ne_bytes());
            put(&mut block, at + offset_of!(tpacket3_hdr, tp_snaplen), &3_u32.to_ne_bytes());
            put(&mut block, at + offset_of!(tpacket3_hdr, tp_len), &60_u32.to_ne_bytes());
            put(&mut block, at + offset_of!(tpacket3_hdr, tp_status), &status.to_ne_bytes());
            put(&mut block, at + offset_of!(tpacket3_hdr, tp_mac), &(DATA as u16).to_ne_bytes());
            put(&mut block, at + VLAN_TAG, &9_u32.to_ne_bytes());
            put(&mut block, at + DATA, &[index as u8; 3]);
        }
        block
    }

    #[test]
    fn frames_come_out_as_the_kernel_put_them_in() {
        let block = block();
        let mut cursor = Cursor::first(&block);
        let time = |nanos| Timestamp::from_secs(7).plus(core::time::Duration::from_nanos(nanos));
        assert_eq!(cursor.time(&block), Some(time(0)));
        let first = RingFrame { time: time(0), wire_len_bytes: 60, vlan_tag: None, bytes: &[0; 3] };
        assert_eq!(cursor.next(&block), Some(first));
        let second = RingFrame { time: time(1), wire_len_bytes: 64, vlan_tag: Some(9), bytes: &[1; 3] };
        assert_eq!(cursor.next(&block), Some(second));
        assert_eq!(cursor.next(&block), None);
        assert_eq!(cursor.time(&block), None);
    }

    #[test]
    fn a_frame_beyond_the_block_ends_it() {
        let mut block = block();
        put(&mut block, FIRST + offset_of!(tpacket3_hdr, tp_snaplen), &u32::MAX.to_ne_bytes());
        assert_eq!(Cursor::first(&block).next(&block), None);
        put(&mut block, FIRST_FRAME, &u32::MAX.to_ne_bytes());
        assert_eq!(Cursor::first(&block).next(&block), None);
        assert_eq!(Cursor::first(&[]).next(&[]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_within_the_block(mut block in proptest::collection::vec(any::<u8>(), 0..512), frames in 0_u32..64) {
            if block.len() > FIRST_FRAME + 4 {
                put(&mut block, FRAMES, &frames.to_ne_bytes());
                put(&mut block, FIRST_FRAME, &48_u32.to_ne_bytes());
            }
            let mut cursor = Cursor::first(&block);
            for _ in 0..frames + 1 {
                if let Some(frame) = cursor.next(&block) {
                    prop_assert!(frame.bytes.len() <= block.len());
                }
            }
        }
    }
}
