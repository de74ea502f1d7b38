//! Capture files: frames with their times out of pcap and pcapng bytes, gzip of both included.
//!
//! The reader takes any source of bytes and never opens one. It streams: memory is the same for a file of any length.

use std::io::{self, Cursor, Read};

use pcap_parser::traits::PcapReaderIterator;
use pcap_parser::{Block, InterfaceDescriptionBlock, LegacyPcapBlock, PcapBlockOwned, PcapError, PcapHeader};

use crate::decode::{Frame, LinkType};
use crate::time::Timestamp;

/// How many bytes are held at once, and the most that one block of a file may have.
const BUFFER_BYTES: usize = 1 << 20;
const LARGEST_BLOCK_BYTES: usize = 1 << 24;

/// How much of the input is looked at to tell what it is.
const PREFIX_BYTES: u64 = 1 << 16;

/// Most interfaces of a pcapng section that are remembered.
const MAX_INTERFACES: usize = 4_096;

/// First bytes of a gzip stream (RFC 1952 section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// An open capture.
pub struct CaptureFile {
    reader: Box<dyn PcapReaderIterator + Send>,
    interfaces: Vec<Interface>,
    frames: u64,
    last: Timestamp,
}

/// Why a capture could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The first bytes are of no known format.
    #[error("this is neither pcap nor pcapng, nor gzip of either")]
    NotACapture,
    /// It ends in the middle of a block.
    #[error("the capture is cut off after {frames} whole frames, at byte {bytes}")]
    Truncated {
        /// Whole frames read.
        frames: u64,
        /// Bytes of the (unpacked) capture read.
        bytes: usize,
    },
    /// A block makes no sense.
    #[error("the capture is damaged after {frames} whole frames, at byte {bytes}")]
    Damaged {
        /// Whole frames read.
        frames: u64,
        /// Bytes of the (unpacked) capture read.
        bytes: usize,
    },
    /// The source of bytes failed.
    #[error("cannot read on after {frames} frames: {cause}")]
    Read {
        /// Whole frames read.
        frames: u64,
        /// What the source said.
        cause: io::Error,
    },
}

/// What a file says of the interface that frames were captured on.
#[derive(Clone, Copy, Debug)]
struct Interface {
    link: LinkType,
    /// Time units in a second.
    units_per_s: u64,
    /// Seconds to be added.
    offset_s: i64,
    /// Longest captured length; 0 for no limit.
    snap_len: u32,
}

impl CaptureFile {
    /// Begins to read.
    ///
    /// # Errors
    /// The input cannot be read, or is no capture.
    pub fn new(input: impl Read + Send + 'static) -> Result<Self, CaptureError> {
        let (prefix, rest) = peek(Box::new(input)).map_err(read_error)?;
        let (prefix, rest) = if prefix.starts_with(&GZIP_MAGIC) {
            let packed = Cursor::new(prefix).chain(rest);
            peek(Box::new(flate2::read::MultiGzDecoder::new(packed))).map_err(read_error)?
        } else {
            (prefix, rest)
        };
        let reader = pcap_parser::create_reader(BUFFER_BYTES, Cursor::new(prefix).chain(rest))
            .map_err(|_| CaptureError::NotACapture)?;
        Ok(Self { reader, interfaces: Vec::new(), frames: 0, last: Timestamp::EPOCH })
    }

    /// Frames read so far.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// Reads up to and including the next frame and hands it to `sink`; false at the end of the capture.
    ///
    /// # Errors
    /// The capture is cut off or damaged, or its source fails.
    pub fn next_frame(&mut self, sink: &mut dyn FnMut(Timestamp, &Frame<'_>)) -> Result<bool, CaptureError> {
        loop {
            let (frames, bytes) = (self.frames, self.reader.consumed());
            match self.reader.next() {
                Ok((len, block)) => {
                    let found = read_block(&mut self.interfaces, &mut self.last, &block, sink)
                        .map_err(|UnknownInterface| CaptureError::Damaged { frames, bytes })?;
                    self.reader.consume(len);
                    if found {
                        self.frames += 1;
                        return Ok(true);
                    }
                }
                Err(PcapError::Eof) => return Ok(false),
                Err(PcapError::Incomplete(_)) => self.refill()?,
                Err(PcapError::BufferTooSmall) => self.grow()?,
                Err(PcapError::UnexpectedEof) => return Err(CaptureError::Truncated { frames, bytes }),
                Err(_) => return Err(CaptureError::Damaged { frames, bytes }),
            }
        }
    }

    fn refill(&mut self) -> Result<(), CaptureError> {
        let frames = self.frames;
        self.reader
            .refill()
            .map_err(|_| CaptureError::Read { frames, cause: io::Error::other("reading or unpacking failed") })
    }

    /// Makes room for a block that is longer than the buffer, within reason.
    fn grow(&mut self) -> Result<(), CaptureError> {
        let wanted = self.reader.data().len().saturating_mul(2).max(2 * BUFFER_BYTES);
        if wanted > LARGEST_BLOCK_BYTES || !self.reader.grow(wanted) {
            return Err(CaptureError::Damaged { frames: self.frames, bytes: self.reader.consumed() });
        }
        self.refill()
    }
}

fn read_error(cause: io::Error) -> CaptureError {
    CaptureError::Read { frames: 0, cause }
}

type Input = Box<dyn Read + Send>;

/// The first bytes of the input, and the rest of it. Sources such as pipes give few bytes at a time.
fn peek(mut input: Input) -> io::Result<(Vec<u8>, Input)> {
    let mut prefix = Vec::new();
    input.by_ref().take(PREFIX_BYTES).read_to_end(&mut prefix)?;
    Ok((prefix, input))
}

/// A frame names an interface that the file has not described.
struct UnknownInterface;

/// Reads one block; true where it was a frame.
fn read_block(
    interfaces: &mut Vec<Interface>,
    last: &mut Timestamp,
    block: &PcapBlockOwned<'_>,
    sink: &mut dyn FnMut(Timestamp, &Frame<'_>),
) -> Result<bool, UnknownInterface> {
    let (time, interface, bytes, wire_len_bytes) = match block {
        PcapBlockOwned::LegacyHeader(header) => {
            *interfaces = vec![Interface::of_pcap(header)];
            return Ok(false);
        }
        PcapBlockOwned::NG(Block::SectionHeader(_)) => {
            interfaces.clear();
            return Ok(false);
        }
        PcapBlockOwned::NG(Block::InterfaceDescription(description)) => {
            if interfaces.len() < MAX_INTERFACES {
                interfaces.push(Interface::of_pcapng(description));
            }
            return Ok(false);
        }
        PcapBlockOwned::Legacy(packet) => {
            let interface = interfaces.first().ok_or(UnknownInterface)?;
            (interface.pcap_time(packet), interface, packet.data, packet.origlen)
        }
        PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
            let interface = interfaces.get(packet.if_id as usize).ok_or(UnknownInterface)?;
            let ticks = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
            let bytes = packet.data.get(..packet.caplen as usize).unwrap_or(packet.data);
            (interface.time(ticks), interface, bytes, packet.origlen)
        }
        PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
            // It has no time of its own (draft-ietf-opsawg-pcapng section 4.4): that of the frame before is the nearest.
            let interface = interfaces.first().ok_or(UnknownInterface)?;
            let limit = if interface.snap_len == 0 { u32::MAX } else { interface.snap_len };
            let bytes = packet.data.get(..packet.origlen.min(limit) as usize).unwrap_or(packet.data);
            (*last, interface, bytes, packet.origlen)
        }
        PcapBlockOwned::NG(_) => return Ok(false),
    };
    *last = time;
    let captured = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let frame = Frame { link: interface.link, bytes, wire_len_bytes: wire_len_bytes.max(captured), vlan_tag: None };
    sink(time, &frame);
    Ok(true)
}

impl Interface {
    fn of_pcap(header: &PcapHeader) -> Self {
        let units_per_s = if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 };
        Self { link: link_type(header.network.0), units_per_s, offset_s: 0, snap_len: header.snaplen }
    }

    fn of_pcapng(description: &InterfaceDescriptionBlock<'_>) -> Self {
        Self {
            link: link_type(description.linktype.0),
            units_per_s: description.ts_resolution().filter(|units| *units > 0).unwrap_or(1_000_000),
            offset_s: description.ts_offset(),
            snap_len: description.snaplen,
        }
    }

    fn pcap_time(&self, packet: &LegacyPcapBlock<'_>) -> Timestamp {
        let seconds = u64::from(packet.ts_sec);
        self.time(seconds.saturating_mul(self.units_per_s).saturating_add(u64::from(packet.ts_usec)))
    }

    fn time(&self, ticks: u64) -> Timestamp {
        let seconds = (ticks / self.units_per_s).saturating_add_signed(self.offset_s);
        let part = u128::from(ticks % self.units_per_s) * 1_000_000_000 / u128::from(self.units_per_s);
        let nanos = u128::from(seconds) * 1_000_000_000 + part;
        Timestamp::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Link types by the number in the file (the tcpdump group's registry of LINKTYPE values).
const fn link_type(number: i32) -> LinkType {
    match number {
        1 => LinkType::Ethernet,
        12 | 14 | 101 | 228 | 229 => LinkType::RawIp,
        113 => LinkType::LinuxCooked,
        276 => LinkType::LinuxCooked2,
        0 | 108 => LinkType::Null,
        _ => LinkType::Unsupported,
    }
}

impl std::fmt::Debug for CaptureFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaptureFile")
            .field("interfaces", &self.interfaces)
            .field("frames", &self.frames)
            .finish_non_exhaustive()
    }
}
