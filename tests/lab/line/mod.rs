//! A line with delay, jitter, loss, reordering and a rate, between two devices of a namespace: real TCP stacks talk through it
//! and react to it. The kernels that this runs on have `tbf` but not `netem`.
//!
//! One thread for each direction reads frames from a packet socket at one device, asks [`impairment`] when each comes out, and
//! sends it at the other device then. What a line is like is said in [`profile`].

pub mod impairment;
pub mod profile;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::sockopt::RcvBufForce;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt, socket,
};
use nix::sys::time::TimeSpec;
use sluice::clock::Stopwatch;

use crate::namespace::Namespace;
use impairment::Impairment;
use profile::Profile;

/// Holds a burst until it is read.
const RECEIVE_BUFFER_BYTES: usize = 16 << 20;
const LONGEST_FRAME_BYTES: usize = 2_048;
/// Most frames that are read before those that are due are sent.
const FRAMES_AT_A_TIME: usize = 64;
/// How often a quiet line looks whether it is to end.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A running line; it ends when dropped.
#[derive(Debug)]
pub struct Line {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Line {
    /// Starts it between two devices of a namespace: `lan_side` is where the hosts of the LAN are.
    ///
    /// # Errors
    /// Not root, or no such devices.
    pub fn start(namespace: &Namespace, lan_side: &str, wan_side: &str, profile: &Profile, seed: u64) -> Result<Self> {
        let inside = Arc::new(namespace.enter(|| open(lan_side))??);
        let outside = Arc::new(namespace.enter(|| open(wan_side))??);
        let stop = Arc::new(AtomicBool::new(false));
        let ways = [
            (&outside, &inside, Impairment::new(profile.down, seed)),
            (&inside, &outside, Impairment::new(profile.up, !seed)),
        ];
        let threads = ways.map(|(from, to, impairment)| {
            let way = Way { from: Arc::clone(from), to: Arc::clone(to), impairment, under_way: BTreeMap::new() };
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || way.run(&stop))
        });
        Ok(Self { stop, threads: threads.into() })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

/// A socket for all frames of the device but those that it sends itself.
fn open(device: &str) -> Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)?;
    setsockopt(&socket, RcvBufForce, &RECEIVE_BUFFER_BYTES)?;
    let mut addresses = getifaddrs()?.filter(|one| one.interface_name == device);
    let link: LinkAddr = addresses.find_map(|one| one.address?.as_link_addr().copied()).context("no such device")?;
    bind(socket.as_raw_fd(), &link)?;
    Ok(socket)
}

/// One direction.
struct Way {
    from: Arc<OwnedFd>,
    to: Arc<OwnedFd>,
    impairment: Impairment,
    /// Frames by when they come out, and in the order in which they came in.
    under_way: BTreeMap<(Duration, u64), Vec<u8>>,
}

impl Way {
    fn run(mut self, stop: &AtomicBool) {
        let (watch, mut serial) = (Stopwatch::start(), 0);
        let mut buffer = [0; LONGEST_FRAME_BYTES];
        while !stop.load(Ordering::Relaxed) {
            self.wait(watch);
            for _ in 0..FRAMES_AT_A_TIME {
                // The device is gone, or nothing more is there.
                let Ok(length) = recv(self.from.as_raw_fd(), &mut buffer, MsgFlags::empty()) else { break };
                let frame = buffer.get(..length).unwrap_or_default();
                if let Some(out) = self.impairment.admit(watch.elapsed(), length) {
                    self.under_way.insert((out, serial), frame.to_vec());
                    serial += 1;
                }
            }
            self.deliver(watch);
        }
    }

    /// Until a frame comes in, or one is to come out.
    fn wait(&self, watch: Stopwatch) {
        let due = self.under_way.first_key_value().map(|((out, _), _)| out.saturating_sub(watch.elapsed()));
        let timeout = TimeSpec::from(due.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN));
        let mut watched = [PollFd::new(self.from.as_fd(), PollFlags::POLLIN)];
        // An interrupted wait is only a short one.
        let _ = ppoll(&mut watched, Some(timeout), None);
    }

    fn deliver(&mut self, watch: Stopwatch) {
        while let Some(first) = self.under_way.first_entry() {
            if first.key().0 > watch.elapsed() {
                return;
            }
            let frame = first.remove();
            while send(self.to.as_raw_fd(), &frame, MsgFlags::empty()) == Err(Errno::EINTR) {}
        }
    }
}
