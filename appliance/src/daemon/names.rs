//! Looks up the names of the allowlist again and again: addresses of dynamic DNS change every day.
//!
//! A name that cannot be looked up keeps the addresses that it had; the store keeps them over a restart.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeSet;
use std::io;
use std::net::ToSocketAddrs;

use log::warn;

use super::spawn;
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

/// Starts a thread that tells the control thread of the addresses of these names; none where there are no names. It ends with
/// the program.
pub(super) fn look_up(names: Vec<String>, handle: Handle) -> anyhow::Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let new = |name| Lookup { name, pause: FAILED_PAUSE, left: Duration::ZERO, told: false };
    let mut lookups: Vec<Lookup> = names.into_iter().map(new).collect();
    spawn("names", move || {
        loop {
            for lookup in lookups.iter_mut().filter(|lookup| lookup.left.is_zero()) {
                lookup.ask(&handle);
            }
            let pause = lookups.iter().map(|lookup| lookup.left).min().unwrap_or(FOUND_PAUSE);
            std::thread::sleep(pause);
            lookups.iter_mut().for_each(|lookup| lookup.left -= pause);
        }
    })?;
    Ok(())
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
