//! When things happen in the box's kernel: a block that comes to stand, and the first packet of an attack.

use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::namespace::Namespace;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sluice::clock;
use sluice::linux::netlink::{Protocol, Reply, Socket, attributes};
use sluice::linux::packet_ring::{PacketRing, RingConfig};
use traffic::time::Timestamp;

/// `NFNLGRP_NFTABLES`: where the kernel tells of each change of nftables once it holds.
const GROUP: u32 = 7;
/// `NFT_MSG_NEWSETELEM` of nftables.
const NEW_ELEMENT: u16 = 10 << 8 | 12;
/// Attributes of that message, of its list, of an element, and of a key.
const SET: u16 = 2;
const ELEMENTS: u16 = 3;
const LIST_ELEMENT: u16 = 1;
const KEY: u16 = 1;
const VALUE: u16 = 1;

/// An element that stands since this time.
#[derive(Debug)]
pub struct Element {
    /// When we heard of it: later than it stood, by as long as our thread waited for a processor.
    pub time: Timestamp,
    /// Its set.
    pub set: String,
    /// Its key.
    pub key: Vec<u8>,
}

/// Hears of elements of sets in a namespace, until the program ends.
pub struct Elements(Receiver<Element>);

impl Elements {
    /// Hears of all that come from now on.
    ///
    /// # Errors
    /// Not root.
    pub fn listen(namespace: &Namespace) -> Result<Self> {
        let socket = namespace.enter(|| Socket::listen(Protocol::Netfilter, GROUP))??;
        let (sender, receiver) = channel();
        thread::spawn(move || hear(socket, &sender));
        Ok(Self(receiver))
    }

    /// Forgets what was heard so far.
    pub fn forget(&self) {
        self.0.try_iter().for_each(drop);
    }

    /// Waits for the first element that is meant.
    ///
    /// # Errors
    /// None comes within the limit.
    pub fn wait_for(&self, limit: Duration, is_meant: impl Fn(&Element) -> bool) -> Result<Element> {
        let watch = clock::Stopwatch::start();
        loop {
            let left = limit.saturating_sub(watch.elapsed());
            let element = self.0.recv_timeout(left).with_context(|| format!("no block within {limit:?}"))?;
            if is_meant(&element) {
                return Ok(element);
            }
        }
    }
}

fn hear(mut socket: Socket, heard: &Sender<Element>) {
    loop {
        let mut gone = false;
        let told = socket.hear(|event| {
            let time = clock::now();
            gone |= elements(&event).into_iter().any(|(set, key)| heard.send(Element { time, set, key }).is_err());
        });
        if told.is_err() || gone {
            return;
        }
    }
}

/// Set and key of each new element in a message.
fn elements(event: &Reply<'_>) -> Vec<(String, Vec<u8>)> {
    if event.kind != NEW_ELEMENT {
        return Vec::new();
    }
    let body = event.payload.get(4..).unwrap_or_default();
    let set = find(body, SET).unwrap_or_default();
    let set = String::from_utf8_lossy(set.strip_suffix(&[0]).unwrap_or(set)).into_owned();
    let list = attributes(find(body, ELEMENTS).unwrap_or_default()).filter(|(kind, _)| *kind == LIST_ELEMENT);
    let keys = list.filter_map(|(_, element)| find(find(element, KEY)?, VALUE));
    keys.map(|key| (set.clone(), key.to_vec())).collect()
}

fn find(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

/// Keeps the first frames that come in by a port, with the kernel's time of each; what comes when it is full is not kept.
pub struct FirstFrames(PacketRing);

impl FirstFrames {
    /// From now on.
    ///
    /// # Errors
    /// Not root, or no such port.
    pub fn record(namespace: &Namespace, port: &str) -> Result<Self> {
        Ok(Self(namespace.enter(|| PacketRing::open(port, RingConfig::default()))??))
    }

    /// When the first frame came that is meant.
    ///
    /// # Errors
    /// None came.
    pub fn time_of(&mut self, is_meant: impl Fn(&[u8]) -> bool) -> Result<Timestamp> {
        loop {
            while let Some(frame) = self.0.next_frame() {
                if is_meant(frame.bytes) {
                    return Ok(frame.time);
                }
            }
            let patience = PollTimeout::from(100_u8);
            let more = poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], patience)?;
            anyhow::ensure!(more > 0, "the first packet of the attack was not seen");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice::linux::netlink::{Request, replies};

    #[test]
    fn set_and_keys_are_read_from_what_the_kernel_tells() {
        let mut request = Request::new();
        let message = request.message(NEW_ELEMENT, 0, &[5, 0, 0, 0]);
        message.text(1, "sluice").text(SET, "deny4").nest(ELEMENTS, |list| {
            for last in [1, 2] {
                list.nest(LIST_ELEMENT, |element| {
                    element.nest(KEY, |key| {
                        key.attribute(VALUE, &[192, 0, 2, last]);
                    });
                });
            }
        });
        let event = replies(request.finish()).next().unwrap();
        let expected = [1, 2].map(|last| (String::from("deny4"), vec![192, 0, 2, last]));
        assert_eq!(elements(&event), expected);
    }
}
