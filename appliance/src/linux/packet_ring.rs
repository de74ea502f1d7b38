//! The ring that frames of one interface arrive in: memory that the kernel fills block by block and we read in place.
//!
//! `TPACKET_V3` over `AF_PACKET`. The socket sees frames as they come in, before nftables drops any, and only those that
//! come in (`PACKET_IGNORE_OUTGOING`): a bridged frame is seen once, at the port that it came by. The filter and the
//! ring are in place before the socket is bound, so that nothing arrives unfiltered.

use core::ffi::{c_int, c_void};
use core::num::NonZeroUsize;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, getsockopt, socket, sockopt::SocketError};
use traffic::arena::Footprint;
use traffic::time::Timestamp;

use super::capture_filter::{self, Shedding};
use super::ring_block::{Cursor, RingFrame, STATUS_OFFSET_BYTES};

/// What the kernel is told about the size of frames; a `TPACKET_V3` block packs them densely whatever it says.
const FRAME_BYTES: u32 = 2_048;
/// All protocols, in the byte order of the network.
const ALL_PROTOCOLS: u16 = (libc::ETH_P_ALL as u16).to_be();

/// Size and timing of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingConfig {
    /// Size of a block: a multiple of the page size and of 2,048.
    pub block_bytes: u32,
    /// How many blocks; the memory of the ring is their product.
    pub blocks: u32,
    /// A block that holds a frame is handed over after this time at the earliest and twice this time at the latest, full or not.
    pub retire_ms: u32,
    /// How many bytes are kept of each frame that is not short ([`capture_filter::SHORT_BYTES`]).
    pub snap_bytes: u32,
}

impl Default for RingConfig {
    /// 4 MiB: some 9,000 frames at least, or 25 ms of a flood at 600,000 frames per second.
    ///
    /// Many small blocks: one that was handed over because its time was up takes as much of the ring as a full one. Where we
    /// are behind, the ring does not run out of them as long as a full block (some 150 to 220 frames) is read in less than `retire_ms`.
    fn default() -> Self {
        Self { block_bytes: 64 * 1024, blocks: 64, retire_ms: 8, snap_bytes: 192 }
    }
}

impl RingConfig {
    /// 512 KiB, for boards with little memory.
    #[must_use]
    pub fn small() -> Self {
        Self { block_bytes: 16 * 1024, blocks: 32, ..Self::default() }
    }

    /// What the rings of so many ports take together.
    #[must_use]
    pub const fn footprint(self, ports: usize) -> Footprint {
        let entries = ports * self.blocks as usize;
        Footprint { name: "packet ring blocks", entries, bytes: entries * self.block_bytes as usize }
    }

    fn map_bytes(self) -> Option<NonZeroUsize> {
        let bytes = usize::try_from(self.block_bytes).ok()?.checked_mul(usize::try_from(self.blocks).ok()?)?;
        NonZeroUsize::new(bytes)
    }
}

/// Why no frames of an interface can be had.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// There is no interface of that name.
    #[error("no interface `{interface}`")]
    NoInterface {
        /// The name.
        interface: String,
    },
    /// Missing rights.
    #[error("no right to capture; run as root or with CAP_NET_RAW")]
    NotPermitted,
    /// Anything else that the kernel refused.
    #[error("cannot capture on `{interface}`: {step}: {cause}")]
    Kernel {
        /// The interface.
        interface: String,
        /// What was tried.
        step: &'static str,
        /// The kernel's answer.
        cause: io::Error,
    },
}

/// How many frames the kernel had for a ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingStatistics {
    /// Frames, those dropped included.
    pub packets: u64,
    /// Frames dropped because the ring was full.
    pub drops: u64,
}

/// An open ring.
#[derive(Debug)]
pub struct PacketRing {
    memory: Memory,
    /// The block that is ours or will be next.
    block: usize,
    /// Where we are in it, once it is ours.
    cursor: Option<Cursor>,
    interface_index: u32,
    /// The filters, one for each [`Shedding`] in their order, made in advance.
    filters: [Vec<libc::sock_filter>; Shedding::ALL.len()],
    fd: OwnedFd,
}

impl PacketRing {
    /// Opens a ring on the interface, which may be down.
    ///
    /// # Errors
    /// No such interface, missing rights, or a configuration that the kernel refuses.
    pub fn open(interface: &str, config: RingConfig) -> Result<Self, RingError> {
        let failed = |step| move |cause| explain(interface, step, cause);
        let interface_index = nix::net::if_::if_nametoindex(interface)
            .map_err(|_| RingError::NoInterface { interface: interface.to_owned() })?;
        let fd = packet_socket().map_err(failed("open a packet socket"))?;
        let version = libc::tpacket_versions::TPACKET_V3 as c_int;
        set_option(&fd, libc::PACKET_VERSION, &version).map_err(failed("choose TPACKET_V3"))?;
        set_option(&fd, libc::PACKET_IGNORE_OUTGOING, &1).map_err(failed("ignore outgoing frames"))?;
        let filters = Shedding::ALL.map(|shedding| capture_filter::program(config.snap_bytes, shedding));
        let [unshed, ..] = &filters;
        set_filter(&fd, unshed).map_err(failed("set the filter"))?;
        set_ring(&fd, config).map_err(failed("make the ring"))?;
        let memory = Memory::map(&fd, config).map_err(failed("map the ring"))?;
        set_promiscuous(&fd, interface_index).map_err(failed("listen to all addresses"))?;
        bind(&fd, interface_index).map_err(failed("bind"))?;
        Ok(Self { memory, block: 0, cursor: None, interface_index, filters, fd })
    }

    /// Index of the interface that it was opened on; one that is removed and made again has another.
    #[must_use]
    pub const fn interface_index(&self) -> u32 {
        self.interface_index
    }

    /// When the next frame was received; none where no block is ready.
    pub fn next_time(&mut self) -> Option<Timestamp> {
        self.advance();
        self.cursor?.time(self.memory.block(self.block)?)
    }

    /// The next frame; none where no block is ready.
    pub fn next_frame(&mut self) -> Option<RingFrame<'_>> {
        self.advance();
        self.cursor.as_mut()?.next(self.memory.block(self.block)?)
    }

    /// Whether more than half of the ring waits to be read.
    #[must_use]
    pub fn is_half_full(&self) -> bool {
        self.is_filled_by(2)
    }

    /// How many quarters of the ring wait to be read, from 0 to 3: more than so many do.
    #[must_use]
    pub fn quarters_full(&self) -> usize {
        (1..=3).rev().find(|quarters| self.is_filled_by(*quarters)).unwrap_or(0)
    }

    /// Blocks are filled one after the other: more than so many quarters wait where the block is ours that comes after them.
    fn is_filled_by(&self, quarters: usize) -> bool {
        let ahead = self.memory.blocks * quarters / 4;
        self.memory.block((self.block + ahead) % self.memory.blocks).is_some()
    }

    /// Has the kernel pass over so much from now on. What lies in the ring stays there.
    ///
    /// # Errors
    /// The kernel refused; all is as before then.
    pub fn shed(&self, shedding: Shedding) -> io::Result<()> {
        self.filters.get(shedding as usize).map_or(Ok(()), |filter| set_filter(&self.fd, filter))
    }

    /// What was counted since the last call.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn statistics(&self) -> io::Result<RingStatistics> {
        let counted = read_statistics(&self.fd)?;
        Ok(RingStatistics { packets: counted.tp_packets.into(), drops: counted.tp_drops.into() })
    }

    /// The error that the kernel has put down for the socket, such as an interface that went down (`ENETDOWN`).
    #[must_use]
    pub fn take_error(&self) -> Option<io::Error> {
        let number = getsockopt(&self.fd, SocketError).unwrap_or_else(|errno| errno as i32);
        (number != 0).then(|| io::Error::from_raw_os_error(number))
    }

    /// Gives back blocks that are read to their end, and takes the next one that is ready.
    fn advance(&mut self) {
        for _ in 0..self.memory.blocks {
            let Some(block) = self.memory.block(self.block) else { return };
            let cursor = self.cursor.get_or_insert_with(|| Cursor::first(block));
            if cursor.time(block).is_some() {
                return;
            }
            self.memory.release(self.block);
            self.cursor = None;
            self.block = (self.block + 1) % self.memory.blocks;
        }
    }
}

impl AsFd for PacketRing {
    /// For poll(2): readable when a block is ready.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The ring's memory: blocks, each of which is the kernel's or ours, as its status word says.
#[derive(Debug)]
struct Memory {
    start: NonNull<u8>,
    block_bytes: usize,
    blocks: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and `Memory` is its only owner.
unsafe impl Send for Memory {}

impl Memory {
    fn map(fd: &OwnedFd, config: RingConfig) -> io::Result<Self> {
        let length = config.map_bytes().ok_or(io::ErrorKind::InvalidInput)?;
        let (protection, flags) = (ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED);
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory of ours.
        let start = unsafe { mmap(None, length, protection, flags, fd, 0) }?;
        let block_bytes = usize::try_from(config.block_bytes).map_err(io::Error::other)?;
        Ok(Self { start: start.cast(), block_bytes, blocks: length.get() / block_bytes })
    }

    /// The block, where it is ours. It stays so until it is released, which takes `&mut self`.
    fn block(&self, index: usize) -> Option<&[u8]> {
        if self.status(index)?.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return None;
        }
        let start = self.place(index, 0)?;
        // SAFETY: `place` lies within the mapping, with a whole block behind it. The kernel writes no block whose status
        // is "user", and only `release`, which excludes this borrow, takes that status away.
        Some(unsafe { core::slice::from_raw_parts(start.as_ptr(), self.block_bytes) })
    }

    /// Gives the block back to the kernel.
    fn release(&mut self, index: usize) {
        if let Some(status) = self.status(index) {
            status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
        }
    }

    fn status(&self, index: usize) -> Option<&AtomicU32> {
        let place = self.place(index, STATUS_OFFSET_BYTES)?;
        // SAFETY: `place` lies within the mapping, which lives as long as `self`; blocks begin at pages, and the word is
        // aligned within the block. Kernel and we change it by whole-word stores.
        Some(unsafe { AtomicU32::from_ptr(place.as_ptr().cast()) })
    }

    fn place(&self, index: usize, offset_bytes: usize) -> Option<NonNull<u8>> {
        if index >= self.blocks || offset_bytes >= self.block_bytes {
            return None;
        }
        // SAFETY: `index` and `offset_bytes` were just checked, so the result lies within the mapping.
        Some(unsafe { self.start.add(index * self.block_bytes + offset_bytes) })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this address and length, and no borrow of it outlives `self`.
        let unmapped = unsafe { munmap(self.start.cast(), self.block_bytes * self.blocks) };
        if let Err(errno) = unmapped {
            log::warn!("the memory of a packet ring could not be given back: {errno}");
        }
    }
}

fn explain(interface: &str, step: &'static str, cause: io::Error) -> RingError {
    match cause.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPERM | Errno::EACCES) => RingError::NotPermitted,
        Some(Errno::ENODEV) => RingError::NoInterface { interface: interface.to_owned() },
        _ => RingError::Kernel { interface: interface.to_owned(), step, cause },
    }
}

/// A packet socket that gets no frames yet: protocol 0.
pub(super) fn packet_socket() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket(AddressFamily::Packet, SockType::Raw, flags, None)?)
}

pub(super) fn set_option<T: Copy>(fd: &OwnedFd, name: c_int, value: &T) -> io::Result<()> {
    set_option_at(fd, libc::SOL_PACKET, name, value)
}

fn set_option_at<T: Copy>(fd: &OwnedFd, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    // SAFETY: the kernel reads `length` bytes at `value`, which is so long.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const *value).cast::<c_void>(), length) };
    Ok(Errno::result(result).map(drop)?)
}

/// Puts a filter in the place of the last one, without a moment between the two.
pub(super) fn set_filter(fd: &OwnedFd, program: &[libc::sock_filter]) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(io::Error::other)?;
    // The kernel copies the program while the call runs, and changes nothing of it.
    let filter = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    set_option_at(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter)
}

fn set_ring(fd: &OwnedFd, config: RingConfig) -> io::Result<()> {
    let request = libc::tpacket_req3 {
        tp_block_size: config.block_bytes,
        tp_block_nr: config.blocks,
        tp_frame_size: FRAME_BYTES,
        tp_frame_nr: (config.block_bytes / FRAME_BYTES).saturating_mul(config.blocks),
        tp_retire_blk_tov: config.retire_ms,
        tp_sizeof_priv: 0,
        tp_feature_req_word: 0,
    };
    set_option(fd, libc::PACKET_RX_RING, &request)
}

/// Holds as long as the socket is open.
fn set_promiscuous(fd: &OwnedFd, interface_index: u32) -> io::Result<()> {
    let membership = libc::packet_mreq {
        mr_ifindex: c_int::try_from(interface_index).map_err(io::Error::other)?,
        mr_type: libc::PACKET_MR_PROMISC as u16,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    set_option(fd, libc::PACKET_ADD_MEMBERSHIP, &membership)
}

/// Lets the socket get all frames of the interface, and sends by it what is sent without an address.
pub(super) fn bind(fd: &OwnedFd, interface_index: u32) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: ALL_PROTOCOLS,
        sll_ifindex: c_int::try_from(interface_index).map_err(io::Error::other)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = libc::socklen_t::try_from(size_of_val(&address)).map_err(io::Error::other)?;
    // SAFETY: the kernel reads `length` bytes at `address`, which is so long.
    let result = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) };
    Ok(Errno::result(result).map(drop)?)
}

pub(super) fn read_statistics(fd: &OwnedFd) -> io::Result<libc::tpacket_stats_v3> {
    let mut statistics = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
    let mut length = libc::socklen_t::try_from(size_of_val(&statistics)).map_err(io::Error::other)?;
    let place = (&raw mut statistics).cast::<c_void>();
    // SAFETY: the kernel writes at most `length` bytes at `place`, which is so long, and plain numbers.
    let result =
        unsafe { libc::getsockopt(fd.as_raw_fd(), libc::SOL_PACKET, libc::PACKET_STATISTICS, place, &raw mut length) };
    Errno::result(result)?;
    Ok(statistics)
}
