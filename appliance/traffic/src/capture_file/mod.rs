//! Capture files: frames with their times out of pcap and pcapng bytes, gzip of both included.
//!
//! The reader takes any source of bytes and never opens one. It streams: memory is the same for a file of any length.

mod interface;
mod pcap;
mod pcapng;
mod window;

use std::io::{self, Cursor, Read};

use crate::decode::{Frame, LinkType};
use crate::time::Timestamp;
use pcap::Pcap;
use pcapng::Pcapng;
use window::Window;

/// The most that one frame with its headers may have.
const LARGEST_BLOCK_BYTES: usize = 1 << 24;

/// First bytes of a gzip stream (RFC 1952 section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// An open capture.
pub struct CaptureFile {
    window: Window,
    format: Format,
    frames: u64,
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
        bytes: u64,
    },
    /// A block makes no sense.
    #[error("the capture is damaged after {frames} whole frames, at byte {bytes}")]
    Damaged {
        /// Whole frames read.
        frames: u64,
        /// Bytes of the (unpacked) capture read.
        bytes: u64,
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

enum Format {
    Pcap(Pcap),
    Pcapng(Pcapng),
}

/// A frame as it stands in the window.
struct Captured<'a> {
    time: Timestamp,
    link: LinkType,
    bytes: &'a [u8],
    wire_len_bytes: u32,
    /// The length of the frame with all that belongs to it in the file.
    block_len: usize,
}

/// Why reading cannot go on.
enum Stop {
    Truncated,
    Damaged,
    Read(io::Error),
}

impl From<io::Error> for Stop {
    fn from(cause: io::Error) -> Self {
        // A gzip stream that is cut off.
        if cause.kind() == io::ErrorKind::UnexpectedEof { Self::Truncated } else { Self::Read(cause) }
    }
}

impl Stop {
    fn after(self, frames: u64, bytes: u64) -> CaptureError {
        match self {
            Self::Truncated => CaptureError::Truncated { frames, bytes },
            Self::Damaged => CaptureError::Damaged { frames, bytes },
            Self::Read(cause) => CaptureError::Read { frames, cause },
        }
    }
}

impl CaptureFile {
    /// Begins to read.
    ///
    /// # Errors
    /// The input cannot be read, or is no capture.
    pub fn new(input: impl Read + Send + 'static) -> Result<Self, CaptureError> {
        let mut window = Window::new(unpacked(Box::new(input)).map_err(|cause| Stop::from(cause).after(0, 0))?);
        let format = Format::of(&mut window).map_err(|stop| stop.after(0, 0))?;
        Ok(Self { window, format: format.ok_or(CaptureError::NotACapture)?, frames: 0 })
    }

    /// Frames read so far.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// The number of a link type that is not known, as far as the capture was read: no frame of it can be decoded.
    #[must_use]
    pub fn unknown_link(&self) -> Option<u16> {
        match &self.format {
            Format::Pcap(pcap) => pcap.unknown_link(),
            Format::Pcapng(pcapng) => pcapng.unknown_link(),
        }
    }

    /// Reads up to and including the next frame and hands it to `sink`; false at the end of the capture.
    ///
    /// # Errors
    /// The capture is cut off or damaged, or its source fails.
    #[inline]
    pub fn next_frame(&mut self, sink: &mut dyn FnMut(Timestamp, &Frame<'_>)) -> Result<bool, CaptureError> {
        let found = match &mut self.format {
            Format::Pcap(pcap) => pcap.next(&mut self.window),
            Format::Pcapng(pcapng) => pcapng.next(&mut self.window),
        };
        let block_len = match found {
            Ok(Some(captured)) => captured.hand_to(sink),
            Ok(None) => return Ok(false),
            Err(stop) => return Err(stop.after(self.frames, self.window.consumed())),
        };
        self.window.consume(block_len);
        self.frames += 1;
        Ok(true)
    }
}

impl Format {
    /// `None` where it is no known one.
    fn of(window: &mut Window) -> Result<Option<Self>, Stop> {
        if let Some(pcap) = Pcap::open(window)? {
            return Ok(Some(Self::Pcap(pcap)));
        }
        Ok(Pcapng::open(window)?.map(Self::Pcapng))
    }
}

impl Captured<'_> {
    /// Hands the frame to `sink`; the length of what is then done with.
    #[inline]
    fn hand_to(&self, sink: &mut dyn FnMut(Timestamp, &Frame<'_>)) -> usize {
        let &Self { time, link, bytes, .. } = self;
        let captured = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let wire_len_bytes = self.wire_len_bytes.max(captured);
        sink(time, &Frame { link, bytes, wire_len_bytes, vlan_tag: None });
        self.block_len
    }
}

/// The input, unpacked if it is packed. Sources such as pipes give few bytes at a time.
fn unpacked(mut input: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut prefix = Vec::new();
    input.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut prefix)?;
    let is_packed = prefix == GZIP_MAGIC;
    let whole = Cursor::new(prefix).chain(input);
    Ok(if is_packed { Box::new(flate2::read::MultiGzDecoder::new(whole)) } else { Box::new(whole) })
}

/// The length of a frame with its header, if it is within reason.
#[inline]
fn block_len(captured: u32, header_len: usize) -> Result<usize, Stop> {
    let len = (captured as usize).saturating_add(header_len);
    check_block_len(len).map(|()| len)
}

#[inline]
const fn check_block_len(len: usize) -> Result<(), Stop> {
    if len <= LARGEST_BLOCK_BYTES { Ok(()) } else { Err(Stop::Damaged) }
}

/// The four bytes at an offset of a block.
#[inline]
fn field(block: &[u8], at: usize) -> Result<[u8; 4], Stop> {
    block.get(at..).and_then(|bytes| bytes.first_chunk()).copied().ok_or(Stop::Damaged)
}

#[inline]
const fn number(bytes: [u8; 4], is_big_endian: bool) -> u32 {
    if is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}

impl std::fmt::Debug for CaptureFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CaptureFile").field("frames", &self.frames).finish_non_exhaustive()
    }
}
