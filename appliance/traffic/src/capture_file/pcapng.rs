//! The pcapng format (draft-ietf-opsawg-pcapng): blocks, of which those with frames and those that describe interfaces are
//! read, and the others passed over.

use super::interface::Interface;
use super::window::Window;
use super::{Captured, Stop, field, number};
use crate::time::Timestamp;

/// The section that is being read.
pub(super) struct Pcapng {
    is_big_endian: bool,
    interfaces: Vec<Interface>,
    /// The time of the last frame.
    last: Timestamp,
}

/// Most interfaces of a section that are remembered.
const MAX_INTERFACES: usize = 4_096;

/// Block types. That of a section header is the same in both byte orders.
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const OBSOLETE_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// What a section header says in its own byte order.
const BYTE_ORDER: u32 = 0x1a2b_3c4d;

/// Every block has its type and its length before its body, and its length again behind it.
const HEADER_LEN: usize = 8;
const TRAILER_LEN: usize = 4;
const SECTION_HEADER_LEN: usize = 28;
/// What stands before the frame in a packet block, and before the options in an interface description.
const PACKET_HEADER_LEN: usize = 28;
const SIMPLE_HEADER_LEN: usize = 12;
const DESCRIPTION_HEADER_LEN: usize = 16;

/// Options of an interface description.
const END_OF_OPTIONS: u16 = 0;
const TIME_RESOLUTION: u16 = 9;
const TIME_OFFSET: u16 = 14;

/// The header of a block.
struct Header {
    kind: u32,
    len: usize,
}

impl Pcapng {
    /// `None` where the capture is of another format.
    pub fn open(window: &mut Window) -> Result<Option<Self>, Stop> {
        let is_pcapng = window.fill(4)? && number(field(window.bytes(), 0)?, false) == SECTION_HEADER;
        Ok(is_pcapng.then(|| Self { is_big_endian: false, interfaces: Vec::new(), last: Timestamp::EPOCH }))
    }

    /// The number of a link type that is not known, of the interfaces described so far.
    pub fn unknown_link(&self) -> Option<u16> {
        self.interfaces.iter().find_map(Interface::unknown_link)
    }

    /// Reads up to the next frame; `None` at the end.
    #[inline]
    pub fn next<'a>(&mut self, window: &'a mut Window) -> Result<Option<Captured<'a>>, Stop> {
        loop {
            let Some(header) = self.header(window)? else { return Ok(None) };
            match header.kind {
                ENHANCED_PACKET | OBSOLETE_PACKET | SIMPLE_PACKET => {
                    self.hold(window, header.len)?;
                    return self.packet(window, &header).map(Some);
                }
                INTERFACE_DESCRIPTION => {
                    self.hold(window, header.len)?;
                    self.describe(block(window, header.len)?)?;
                    window.consume(header.len);
                }
                _ => {
                    if !window.skip(header.len)? {
                        return Err(Stop::Truncated);
                    }
                }
            }
        }
    }

    /// Reads the header of the next block; `None` at the end. A section header begins a new section with it.
    #[inline]
    fn header(&mut self, window: &mut Window) -> Result<Option<Header>, Stop> {
        if !window.fill(HEADER_LEN)? {
            return if window.bytes().is_empty() { Ok(None) } else { Err(Stop::Truncated) };
        }
        let kind = number(field(window.bytes(), 0)?, self.is_big_endian);
        let is_section = kind == SECTION_HEADER;
        if is_section {
            self.begin_section(window)?;
        }
        let len = number(field(window.bytes(), 4)?, self.is_big_endian) as usize;
        let least = if is_section { SECTION_HEADER_LEN } else { HEADER_LEN + TRAILER_LEN };
        if len < least { Err(Stop::Damaged) } else { Ok(Some(Header { kind, len })) }
    }

    fn begin_section(&mut self, window: &mut Window) -> Result<(), Stop> {
        if !window.fill(HEADER_LEN + 4)? {
            return Err(Stop::Truncated);
        }
        let mark = field(window.bytes(), HEADER_LEN)?;
        self.is_big_endian = number(mark, true) == BYTE_ORDER;
        self.interfaces.clear();
        if self.is_big_endian || number(mark, false) == BYTE_ORDER { Ok(()) } else { Err(Stop::Damaged) }
    }

    /// Holds a whole block, and compares its two lengths.
    #[inline]
    fn hold(&self, window: &mut Window, len: usize) -> Result<(), Stop> {
        super::check_block_len(len)?;
        if !window.fill(len)? {
            return Err(Stop::Truncated);
        }
        let again = number(field(window.bytes(), len - TRAILER_LEN)?, self.is_big_endian);
        if again as usize == len { Ok(()) } else { Err(Stop::Damaged) }
    }

    #[inline]
    fn packet<'a>(&mut self, window: &'a Window, header: &Header) -> Result<Captured<'a>, Stop> {
        let block = block(window, header.len)?;
        if header.kind == SIMPLE_PACKET {
            return self.simple_packet(block);
        }
        let number_at = |at| field(block, at).map(|bytes| number(bytes, self.is_big_endian));
        let interface = match (header.kind, self.is_big_endian) {
            (ENHANCED_PACKET, _) => number_at(8)?,
            // 16 bits, followed by a count of frames that were lost.
            (_, true) => number_at(8)? >> 16,
            (_, false) => number_at(8)? & 0xffff,
        };
        let interface = self.interfaces.get(interface as usize).ok_or(Stop::Damaged)?;
        self.last = interface.time(u64::from(number_at(12)?) << 32 | u64::from(number_at(16)?));
        let end = PACKET_HEADER_LEN.saturating_add(number_at(20)? as usize);
        let bytes = block.get(PACKET_HEADER_LEN..end).filter(|_| end + TRAILER_LEN <= block.len());
        Ok(Captured {
            time: self.last,
            link: interface.link,
            bytes: bytes.ok_or(Stop::Damaged)?,
            wire_len_bytes: number_at(24)?,
            block_len: header.len,
        })
    }

    /// It has no time of its own (section 4.4): that of the frame before is the nearest.
    fn simple_packet<'a>(&self, block: &'a [u8]) -> Result<Captured<'a>, Stop> {
        let interface = self.interfaces.first().ok_or(Stop::Damaged)?;
        let wire_len_bytes = number(field(block, HEADER_LEN)?, self.is_big_endian);
        let padded = block.get(SIMPLE_HEADER_LEN..block.len() - TRAILER_LEN).ok_or(Stop::Damaged)?;
        let limit = if interface.snap_len_bytes == 0 { u32::MAX } else { interface.snap_len_bytes };
        let bytes = padded.get(..wire_len_bytes.min(limit) as usize).unwrap_or(padded);
        Ok(Captured { time: self.last, link: interface.link, bytes, wire_len_bytes, block_len: block.len() })
    }

    /// Remembers an interface.
    fn describe(&mut self, block: &[u8]) -> Result<(), Stop> {
        let [first, second, ..] = field(block, HEADER_LEN)?;
        let link_number = self.short([first, second]);
        let snap_len_bytes = number(field(block, 12)?, self.is_big_endian);
        let (mut units_per_s, mut offset_s) = (Some(1_000_000), 0);
        let mut options = block.get(DESCRIPTION_HEADER_LEN..block.len() - TRAILER_LEN).ok_or(Stop::Damaged)?;
        while let Some(([code, code2, len, len2], rest)) = options.split_first_chunk() {
            let len = usize::from(self.short([*len, *len2]));
            let value = rest.get(..len).ok_or(Stop::Damaged)?;
            match (self.short([*code, *code2]), value) {
                (END_OF_OPTIONS, _) => break,
                (TIME_RESOLUTION, [resolution, ..]) => units_per_s = units_in_a_second(*resolution),
                (TIME_OFFSET, _) => offset_s = self.long(value.first_chunk().ok_or(Stop::Damaged)?),
                _ => {}
            }
            options = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        }
        let interface = Interface::new(link_number, snap_len_bytes, units_per_s.ok_or(Stop::Damaged)?, offset_s);
        if self.interfaces.len() < MAX_INTERFACES {
            self.interfaces.push(interface.ok_or(Stop::Damaged)?);
        }
        Ok(())
    }

    const fn short(&self, bytes: [u8; 2]) -> u16 {
        if self.is_big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    const fn long(&self, bytes: &[u8; 8]) -> i64 {
        if self.is_big_endian { i64::from_be_bytes(*bytes) } else { i64::from_le_bytes(*bytes) }
    }
}

/// The first bytes of the window, of which it holds so many.
#[inline]
fn block(window: &Window, len: usize) -> Result<&[u8], Stop> {
    window.bytes().get(..len).ok_or(Stop::Truncated)
}

/// A power of ten, or of two where the highest bit is set (section 4.2, `if_tsresol`); `None` beyond 64 bits.
const fn units_in_a_second(resolution: u8) -> Option<u64> {
    let exponent = (resolution & 0x7f) as u32;
    if resolution & 0x80 == 0 { 10_u64.checked_pow(exponent) } else { 2_u64.checked_pow(exponent) }
}
