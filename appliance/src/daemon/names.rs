//! Looks up the names of the allowlist again and again: addresses of dynamic DNS change every day.
//!
//! A name that cannot be looked up keeps the addresses that it had; the store keeps them over a restart.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeSet;
use std::io;
use std::net::ToSocketAddrs;
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use log::warn;

use super::spawn;
use crate::clock::Stopwatch;
use crate::control::Handle;

/// How long what was found is taken to hold. The system's resolver does not tell how long it does.
const FOUND_PAUSE: Duration = Duration::from_secs(300);

/// When it is tried again where nothing was found: this long, then twice as long, up to the other.
const FAILED_PAUSE: Duration = Duration::from_secs(10);

/// Addresses of one name. More are left out.
const ADDRESSES: usize = 32;

/// One name.
struct Lookup {
    name: String,
    pause: Duration,
    left: Duration,
    told: bool,
}

/// Starts a thread that tells the control thread of the addresses of the names that were `wanted` last. It ends with the control
/// thread.
pub(super) fn look_up(wanted: Receiver<Vec<String>>, handle: Handle) -> anyhow::Result<()> {
    spawn("names", move || {
        let mut lookups = Vec::new();
        while wait(&wanted, &mut lookups) {
            for lookup in lookups.iter_mut().filter(|lookup| lookup.left.is_zero()) {
                lookup.ask(&handle);
            }
        }
    })?;
    Ok(())
}

/// Waits until a name is due, or others are wanted, which are taken in; false where nobody wants any more.
fn wait(wanted: &Receiver<Vec<String>>, lookups: &mut Vec<Lookup>) -> bool {
    let pause = lookups.iter().map(|lookup| lookup.left).min();
    let since = Stopwatch::start();
    let names = match pause {
        Some(pause) => wanted.recv_timeout(pause),
        None => wanted.recv().map_err(|_| RecvTimeoutError::Disconnected),
    };
    lookups.iter_mut().for_each(|lookup| lookup.left = lookup.left.saturating_sub(since.elapsed()));
    match names {
        Ok(names) => *lookups = followed_by(core::mem::take(lookups), names),
        Err(RecvTimeoutError::Timeout) => {}
        Err(RecvTimeoutError::Disconnected) => return false,
    }
    true
}

/// The same for other names: those that stay are not asked for before their time.
fn followed_by(mut before: Vec<Lookup>, names: Vec<String>) -> Vec<Lookup> {
    let mut lookup = |name: String| match before.iter().position(|lookup| lookup.name == name) {
        Some(place) => before.swap_remove(place),
        None => Lookup { name, pause: FAILED_PAUSE, left: Duration::ZERO, told: false },
    };
    names.into_iter().map(&mut lookup).collect()
}

impl Lookup {
    fn ask(&mut self, handle: &Handle) {
        match addresses(&self.name) {
            Ok(addresses) => {
                handle.resolved(&self.name, addresses);
                (self.pause, self.told, self.left) = (FAILED_PAUSE, false, FOUND_PAUSE);
            }
            Err(error) => {
                if !self.told {
                    warn!("{} of policy.allow cannot be looked up: {error}; trying on", self.name);
                    self.told = true;
                }
                self.left = self.pause;
                self.pause = self.pause.saturating_mul(2).min(FOUND_PAUSE);
            }
        }
    }
}

/// The addresses of a name, in order.
fn addresses(name: &str) -> io::Result<Vec<IpAddr>> {
    let found: BTreeSet<IpAddr> = (name, 0).to_socket_addrs()?.map(|socket| socket.ip().to_canonical()).collect();
    Ok(found.into_iter().take(ADDRESSES).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn a_new_name_is_due_at_once_and_one_that_stays_is_not() {
        let (sender, wanted) = sync_channel(1);
        let mut lookups = Vec::new();
        let want = |lookups: &mut Vec<Lookup>, names: &[&str]| {
            sender.send(names.iter().map(|name| (*name).to_owned()).collect()).unwrap();
            assert!(wait(&wanted, lookups));
            lookups.iter().map(|lookup| (lookup.name.clone(), lookup.left.is_zero())).collect::<Vec<_>>()
        };
        let due = |name: &str, is_due| (name.to_owned(), is_due);
        assert_eq!(want(&mut lookups, &["a.example"]), [due("a.example", true)]);
        lookups[0].left = FOUND_PAUSE;
        let both = [due("b.example", true), due("a.example", false)];
        assert_eq!(want(&mut lookups, &["b.example", "a.example"]), both);
        assert_eq!(want(&mut lookups, &["b.example"]), [due("b.example", true)]);
        drop(sender);
        lookups[0].left = FOUND_PAUSE;
        assert!(!wait(&wanted, &mut lookups));
    }
}
