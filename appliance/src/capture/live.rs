//! The live source: one packet ring for each port, merged into one stream in the order of time.
//!
//! Each ring hands over blocks of frames every few milliseconds, the two not in step. Block by block, an answer would be
//! seen before its question. Frames are therefore taken one by one, the earlier of both rings first; and where one ring
//! has none, those of the other are held back until it can have none that are earlier. A ring that fills up does not wait.
//!
//! Where the rings fill up all the same, the kernel passes over what is worth least ([`super::overload`]).
//!
//! A port that goes down or disappears is a fault, not an error: its ring is opened anew when the port is back.

use core::time::Duration;
use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use traffic::decode::{Frame, LinkType};
use traffic::time::Timestamp;

use super::overload::{Missed, Overload};
use super::{Arrival, FrameSource, Polled, Port};
use crate::clock::{self, Stopwatch};
use crate::linux::capture_filter::{Shedding, passed_over_for};
use crate::linux::links::Links;
use crate::linux::netlink::NetlinkError;
use crate::linux::packet_ring::{PacketRing, RingConfig, RingError};

/// Frames handed out by one poll at most, so that in a flood the caller comes to its other work, and we to look how full the
/// rings are.
const FRAMES_PER_POLL: u64 = 2_048;
/// How often a port that is down or gone is looked at.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// The kernel hands a block over after twice its time at the latest; after this much more it has done so even on a busy board.
const HOLD_MARGIN: Duration = Duration::from_millis(4);
/// The shortest sleep of poll(2).
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// Both ports.
#[derive(Debug)]
pub struct Live {
    first: PortRing,
    second: PortRing,
    links: Links,
    hold: Duration,
    overload: Overload,
    /// Frames that the kernel dropped.
    dropped: Missed,
    /// Frames that it passed over.
    passed_over: Missed,
}

/// Why the ports cannot be captured on.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// A ring could not be opened.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// The interfaces could not be looked at.
    #[error("cannot look at the interfaces: {0}")]
    Links(#[from] NetlinkError),
}

impl Live {
    /// Opens the rings of both ports; either may be down.
    ///
    /// # Errors
    /// A port does not exist, or may not be captured on.
    pub fn open([first, second]: [&str; 2], config: RingConfig) -> Result<Self, LiveError> {
        let retire = Duration::from_millis(config.retire_ms.into());
        Ok(Self {
            first: PortRing::open(first, Port::First, config)?,
            second: PortRing::open(second, Port::Second, config)?,
            links: Links::open()?,
            hold: retire.saturating_mul(2).saturating_add(HOLD_MARGIN),
            overload: Overload::new(),
            dropped: Missed::default(),
            passed_over: Missed::default(),
        })
    }

    fn ports(&mut self) -> [&mut PortRing; 2] {
        [&mut self.first, &mut self.second]
    }

    /// The port whose frame is the next, and how long that is to be held back yet.
    fn next(&mut self, now: Timestamp) -> Option<(&mut PortRing, Duration)> {
        let (port, time, is_alone) = match (self.first.ring.next_time(), self.second.ring.next_time()) {
            (Some(first), Some(second)) if second < first => (&mut self.second, second, false),
            (Some(first), Some(_)) => (&mut self.first, first, false),
            (Some(first), None) => (&mut self.first, first, true),
            (None, Some(second)) => (&mut self.second, second, true),
            (None, None) => return None,
        };
        // A frame of the future means that the clock was set back: it is not to wait until then.
        let may_wait = is_alone && time <= now && !port.ring.is_half_full();
        let wait = if may_wait { time.plus(self.hold).since(now) } else { Duration::ZERO };
        Some((port, wait))
    }

    /// Has more passed over where a ring fills up, and less when all is calm.
    fn relieve(&mut self) {
        let quarters = self.first.ring.quarters_full().max(self.second.ring.quarters_full());
        if let Some(shedding) = self.overload.look(quarters) {
            for port in self.ports() {
                port.shed(shedding);
            }
        }
    }

    /// Sleeps until a port has frames that it had not, or until held ones are due, or for this time.
    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        let due = self.next(clock::now()).map(|(_, wait)| wait);
        let timeout = match due {
            Some(Duration::ZERO) => Duration::ZERO,
            Some(wait) => timeout.min(wait.max(SHORTEST_WAIT)),
            None => timeout,
        };
        // A port whose frames are held back is readable all the time.
        let events = self.ports().map(|port| match port.ring.next_time() {
            Some(_) => PollFlags::empty(),
            None => PollFlags::POLLIN,
        });
        let [first_events, second_events] = events;
        let mut descriptors =
            [PollFd::new(self.first.ring.as_fd(), first_events), PollFd::new(self.second.ring.as_fd(), second_events)];
        match poll(&mut descriptors, PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let [first, second] =
            descriptors.map(|one| one.revents().is_some_and(|seen| seen.contains(PollFlags::POLLERR)));
        self.first.look_after(first, &mut self.links);
        self.second.look_after(second, &mut self.links);
        Ok(())
    }
}

impl FrameSource for Live {
    type Error = io::Error;

    fn poll(&mut self, timeout: Duration, sink: &mut dyn FnMut(&Arrival<'_>)) -> io::Result<Polled> {
        self.wait(timeout)?;
        self.relieve();
        // Read before the rings are: a frame that is due by this time cannot be preceded by one that comes later.
        let now = clock::now();
        let mut frames = 0;
        while frames < FRAMES_PER_POLL {
            match self.next(now) {
                Some((port, Duration::ZERO)) => frames += u64::from(port.hand_out(sink)),
                _ => break,
            }
        }
        self.passed_over.set(self.first.passed_over.saturating_add(self.second.passed_over));
        Ok(Polled::Frames(frames))
    }

    fn dropped(&mut self) -> u64 {
        for port in self.ports() {
            port.count_drops();
        }
        self.dropped.set(self.first.dropped.saturating_add(self.second.dropped));
        self.dropped.count()
    }

    fn passed_over(&self) -> u64 {
        self.passed_over.count()
    }

    fn faults(&self) -> Vec<String> {
        let ports = [&self.first, &self.second];
        let mut faults: Vec<_> =
            ports.into_iter().filter_map(|port| port.trouble.as_ref().map(|it| it.fault.clone())).collect();
        faults.extend(self.passed_over.recent().map(|count| {
            format!(
                "about {count} packets of running connections were passed over unread because they came too fast; new \
                 connections are still looked at: give the box less other work, or a faster processor"
            )
        }));
        faults.extend(self.dropped.recent().map(|count| {
            format!(
                "{count} packets passed unseen because they came too fast to be read: give the box less other work, \
                 memory.profile = \"default\" in sluice.toml, or a faster processor"
            )
        }));
        faults
    }
}

/// One port, and its ring: that of before where the port has disappeared, which is silent.
#[derive(Debug)]
struct PortRing {
    name: String,
    port: Port,
    config: RingConfig,
    ring: PacketRing,
    trouble: Option<Trouble>,
    shedding: Shedding,
    dropped: u64,
    passed_over: u64,
}

/// A port that is down or gone.
#[derive(Debug)]
struct Trouble {
    fault: String,
    last_look: Stopwatch,
}

impl PortRing {
    fn open(name: &str, port: Port, config: RingConfig) -> Result<Self, RingError> {
        let ring = PacketRing::open(name, config)?;
        let name = name.to_owned();
        Ok(Self { name, port, config, ring, trouble: None, shedding: Shedding::Nothing, dropped: 0, passed_over: 0 })
    }

    /// Hands out the next frame, where there is one.
    fn hand_out(&mut self, sink: &mut dyn FnMut(&Arrival<'_>)) -> bool {
        let Some(seen) = self.ring.next_frame() else { return false };
        let (bytes, wire_len_bytes, vlan_tag) = (seen.bytes, seen.wire_len_bytes, seen.vlan_tag);
        self.passed_over += passed_over_for(bytes.len(), wire_len_bytes, self.config.snap_bytes);
        let frame = Frame { link: LinkType::Ethernet, bytes, wire_len_bytes, vlan_tag };
        sink(&Arrival { time: seen.time, port: self.port, frame });
        true
    }

    fn shed(&mut self, shedding: Shedding) {
        self.shedding = shedding;
        if let Err(error) = self.ring.shed(shedding) {
            log::warn!("port `{}`: its filter cannot be changed: {error}", self.name);
        }
    }

    fn count_drops(&mut self) {
        if let Ok(counted) = self.ring.statistics() {
            self.dropped = self.dropped.saturating_add(counted.drops);
        }
    }

    /// Sees to what poll(2) reported, and from time to time to a port in trouble.
    fn look_after(&mut self, reported: bool, links: &mut Links) {
        if reported && let Some(error) = self.ring.take_error() {
            self.say(format!(
                "port `{}` is down ({error}); see its cable, or: ip link set {} up",
                self.name, self.name
            ));
        }
        if self.trouble.as_ref().is_some_and(|trouble| trouble.last_look.elapsed() >= RETRY_INTERVAL) {
            self.look(links);
        }
    }

    /// Looks whether the port is back.
    fn look(&mut self, links: &mut Links) {
        let found = links.all().ok().and_then(|all| all.into_iter().find(|link| link.name == self.name));
        match found {
            None => {
                self.say(format!("port `{}` is gone; plug it in again, or set bridge.ports in sluice.toml", self.name));
            }
            Some(link) if link.index != self.ring.interface_index() => self.open_again(),
            Some(link) if !link.is_up => {
                self.say(format!("port `{}` is down; to set it up: ip link set {} up", self.name, self.name));
            }
            // The kernel has bound the ring to the port again by itself.
            Some(_) => self.recovered(),
        }
    }

    fn open_again(&mut self) {
        match PacketRing::open(&self.name, self.config) {
            Ok(ring) => {
                self.count_drops();
                self.ring = ring;
                self.shed(self.shedding);
                self.recovered();
            }
            Err(error) => self.say(error.to_string()),
        }
    }

    fn recovered(&mut self) {
        log::info!("port `{}` is back", self.name);
        self.trouble = None;
    }

    fn say(&mut self, fault: String) {
        if self.trouble.is_none() {
            log::warn!("{fault}");
        }
        self.trouble = Some(Trouble { fault, last_look: Stopwatch::start() });
    }
}
