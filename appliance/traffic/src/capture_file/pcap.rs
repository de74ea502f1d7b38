//! The pcap format (draft-ietf-opsawg-pcap): a header, and records of one frame each.

use super::interface::Interface;
use super::window::Window;
use super::{Captured, Stop, field, number};

/// What the header says of the records.
pub(super) struct Pcap {
    is_big_endian: bool,
    /// Length of what stands before each frame.
    record_header_len: usize,
    interface: Interface,
}

const HEADER_LEN: usize = 24;
const RECORD_HEADER_LEN: usize = 16;
/// Some kernels of the nineties wrote eight bytes more, of no use here.
const MODIFIED_RECORD_HEADER_LEN: usize = 24;

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
const MODIFIED: u32 = 0xa1b2_cd34;

impl Pcap {
    /// Whether a capture with these first bytes is of this format, and if so whether it is big-endian, how many time units
    /// there are in a second, and the length of record headers.
    fn recognise(magic: [u8; 4]) -> Option<(bool, u64, usize)> {
        [false, true].into_iter().find_map(|is_big_endian| match number(magic, is_big_endian) {
            MICROSECONDS => Some((is_big_endian, 1_000_000, RECORD_HEADER_LEN)),
            NANOSECONDS => Some((is_big_endian, 1_000_000_000, RECORD_HEADER_LEN)),
            MODIFIED => Some((is_big_endian, 1_000_000, MODIFIED_RECORD_HEADER_LEN)),
            _ => None,
        })
    }

    /// Reads the header; `None` where the capture is of another format.
    pub fn open(window: &mut Window) -> Result<Option<Self>, Stop> {
        window.fill(HEADER_LEN)?;
        let Some(&header) = window.bytes().first_chunk::<HEADER_LEN>() else { return Ok(None) };
        let Some((is_big_endian, units_per_s, record_header_len)) = Self::recognise(field(&header, 0)?) else {
            return Ok(None);
        };
        window.consume(HEADER_LEN);
        // Behind the link type, in the higher bits, there may be the length of checksums.
        let link_number = (number(field(&header, 20)?, is_big_endian) & 0xffff) as u16;
        let snap_len_bytes = number(field(&header, 16)?, is_big_endian);
        let interface = Interface::new(link_number, snap_len_bytes, units_per_s, 0);
        Ok(interface.map(|interface| Self { is_big_endian, record_header_len, interface }))
    }

    /// The number of the link type, where it is not known.
    pub fn unknown_link(&self) -> Option<u16> {
        self.interface.unknown_link()
    }

    /// Reads the next record; `None` at the end.
    #[inline]
    pub fn next<'a>(&mut self, window: &'a mut Window) -> Result<Option<Captured<'a>>, Stop> {
        let header_len = self.record_header_len;
        if !window.fill(header_len)? {
            return if window.bytes().is_empty() { Ok(None) } else { Err(Stop::Truncated) };
        }
        let (&[seconds, units, captured, wire_len_bytes, ..], _) = window.bytes().as_chunks() else {
            return Err(Stop::Truncated);
        };
        let captured = number(captured, self.is_big_endian);
        let block_len = super::block_len(captured, header_len)?;
        if !window.fill(block_len)? {
            return Err(Stop::Truncated);
        }
        let bytes = window.bytes().get(header_len..block_len).ok_or(Stop::Truncated)?;
        let [seconds, units, wire_len_bytes] =
            [seconds, units, wire_len_bytes].map(|bytes| number(bytes, self.is_big_endian));
        let time = self.interface.time_of(seconds, units);
        Ok(Some(Captured { time, link: self.interface.link, bytes, wire_len_bytes, block_len }))
    }
}
