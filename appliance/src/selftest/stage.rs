//! The stage: two ends of a wire with our own bridge between them, in a network namespace that nobody else is in.
//!
//! ```text
//! outside slprobe0 ── slport0 [ br0 ] slport1 ── slprobe1 inside
//! ```

use core::time::Duration;
use std::io;

use nix::errno::Errno;

use super::Step;
use super::frames::{End, SCANNER, attempt, last_frame};
use crate::clock::Stopwatch;
use crate::hardware::bridge::{self, BridgeConfig};
use crate::linux::links::Links;
use crate::linux::netlink::NetlinkError;
use crate::linux::rights;
use crate::linux::wire::Wire;

const NAME: &str = "bridge";

/// Each end of the wire, and the port that it leads to.
const PAIRS: [[&str; 2]; 2] = [["slprobe0", PORTS[0]], ["slprobe1", PORTS[1]]];
/// The ports of the bridge.
pub(super) const PORTS: [&str; 2] = ["slport0", "slport1"];

/// How long the kernel may take until its bridge forwards.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long frames may be under way.
const JOURNEY: Duration = Duration::from_secs(1);

/// Whether an interface has one of the names that are used here.
pub(super) fn is_ours(name: &str) -> bool {
    PAIRS.as_flattened().contains(&name)
}

/// The stage. It ends with the thread that built it.
pub(super) struct Stage {
    wires: [Wire; 2],
}

impl Stage {
    /// Leaves the network of the program and builds the stage; frames cross it. Else the step that failed or must be skipped.
    pub(super) fn build() -> Result<(Self, Step), Step> {
        rights::leave_network().map_err(|cause| {
            cannot(format!("no network namespace ({cause}): CONFIG_NET_NS or CAP_SYS_ADMIN is missing"))
        })?;
        make_links()?;
        let [first, second] = PAIRS.map(|[end, _]| Wire::open(end));
        let wires = first.and_then(|first| Ok([first, second?])).map_err(|cause| {
            wrong(format!("frames cannot be sent by hand: {cause}"), "the kernel needs CONFIG_PACKET")
        })?;
        let stage = Self { wires };
        let begin = Stopwatch::start();
        let probe = [attempt(SCANNER[0], None)];
        while begin.elapsed() < PATIENCE {
            // The ports come up while this waits.
            match stage.crossing_within(LOOK_AGAIN, End::Outside, &probe) {
                Ok(crossed) if crossed == [true] => {
                    let seen = format!("frames cross after {} ms", begin.elapsed().as_millis());
                    return Ok((stage, Step::ok(NAME, seen)));
                }
                Ok(_) => {}
                Err(cause) => return Err(wrong(format!("frames cannot be sent: {cause}"), "see `dmesg`")),
            }
        }
        let seen = format!("no frame crosses a new bridge within {} s", PATIENCE.as_secs());
        Err(wrong(seen, "see `dmesg`; another program may hook bridges"))
    }

    /// Sends these frames, one after the other; which of them arrive at the other end.
    pub(super) fn crossing(&self, from: End, frames: &[Vec<u8>]) -> io::Result<Vec<bool>> {
        self.crossing_within(JOURNEY, from, frames)
    }

    fn crossing_within(&self, journey: Duration, from: End, frames: &[Vec<u8>]) -> io::Result<Vec<bool>> {
        let [outside, inside] = &self.wires;
        let (sender, receiver) = match from {
            End::Outside => (outside, inside),
            End::Inside => (inside, outside),
        };
        let last = last_frame();
        for frame in frames.iter().chain([&last]) {
            sender.send(frame)?;
        }
        let mut crossed = vec![false; frames.len()];
        let begin = Stopwatch::start();
        while begin.elapsed() < journey {
            let Some(received) = receiver.receive(journey.saturating_sub(begin.elapsed()))? else { continue };
            if received == last {
                break;
            }
            for (crossed, frame) in crossed.iter_mut().zip(frames) {
                *crossed |= is_same(&received, frame) || is_untagged(&received, frame);
            }
        }
        Ok(crossed)
    }
}

/// The frame arrived, perhaps without its padding, which a bridge that looks into packets cuts off (`br_netfilter`).
fn is_same(received: &[u8], sent: &[u8]) -> bool {
    sent.strip_prefix(received).is_some_and(|padding| padding.iter().all(|byte| *byte == 0))
}

/// The frame arrived as the kernel hands out one that had a VLAN tag.
fn is_untagged(received: &[u8], sent: &[u8]) -> bool {
    let parts = received.split_at_checked(12).zip(sent.split_at_checked(12));
    parts.is_some_and(|((addresses, rest), (sent_addresses, tagged))| {
        let untagged = tagged.strip_prefix(&[0x81, 0]).and_then(|tagged| tagged.get(2..));
        addresses == sent_addresses && untagged.is_some_and(|untagged| is_same(rest, untagged))
    })
}

fn make_links() -> Result<(), Step> {
    let refused = |error: NetlinkError| wrong(format!("interfaces cannot be made: {error}"), "see `dmesg`");
    let mut links = Links::open().map_err(refused)?;
    for pair in PAIRS {
        links.create_pair(pair).map_err(|error| match error.errno() {
            Some(Errno::EOPNOTSUPP) => cannot(String::from("the kernel has no CONFIG_VETH (OpenWrt: kmod-veth)")),
            _ => refused(error),
        })?;
    }
    let (addresses, gateways) = (Vec::new(), Vec::new());
    let config = BridgeConfig { name: String::from("br0"), ports: PORTS.map(str::to_owned), addresses, gateways };
    bridge::ensure(&config).map_err(|error| {
        wrong(format!("no bridge can be made: {error}"), "the kernel needs CONFIG_BRIDGE (OpenWrt: kmod-bridge)")
    })?;
    for link in links.all().map_err(refused)?.iter().filter(|link| is_ours(&link.name)) {
        links.set_up(link.index).map_err(refused)?;
    }
    Ok(())
}

fn cannot(seen: String) -> Step {
    Step::skipped(NAME, seen, "that frames cross the bridge")
}

fn wrong(seen: String, remedy: &str) -> Step {
    Step::failed(NAME, seen, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_recognised_without_its_tag_and_without_its_padding_and_no_other_is() {
        let (plain, tagged) = (attempt(SCANNER[0], None), attempt(SCANNER[0], Some(9)));
        assert!(is_same(&plain, &plain) && is_same(&plain[..58], &plain));
        assert!(is_untagged(&plain, &tagged) && is_untagged(&plain[..58], &tagged));
        assert!(!is_same(&tagged, &plain) && !is_untagged(&plain, &plain));
        assert!(!is_same(&plain[..57], &attempt(SCANNER[1], None)) && !is_same(&plain[..40], &plain));
    }
}
