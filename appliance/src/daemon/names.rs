//! Looks up the names of the allowlist again and again: addresses of dynamic DNS change every day, and names are added while
//! the daemon runs.
//!
//! A name that cannot be looked up keeps the addresses that it had; the store keeps them over a restart. One that never had any
//! protects nobody, which is a fault.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::ToSocketAddrs;
use std::sync::Arc;

use log::warn;

use super::spawn;
use crate::clock::{Stopwatch, back_off};
use crate::control::Handle;
use crate::health::Gauges;

/// How often it is looked whether a name is due.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// How long what was found is taken to hold. The system's resolver does not tell how long it does.
const FOUND_PAUSE: Duration = Duration::from_secs(300);

/// When it is tried again where nothing was found: this long, then twice as long, up to the other.
const FAILED_PAUSE: Duration = Duration::from_secs(10);

/// Addresses of one name. More are left out.
const ADDRESSES: usize = 32;

/// One name that was looked up.
struct Lookup {
    asked: Stopwatch,
    /// Until it is looked up again.
    pause: Duration,
    failures: u32,
}

/// Starts a thread that tells the control thread of the addresses of names. It ends with the program.
pub(super) fn look_up(handle: Handle, gauges: Arc<Gauges>) -> anyhow::Result<()> {
    let mut lookups: BTreeMap<String, Lookup> = BTreeMap::new();
    spawn("names", move || {
        loop {
            let names = &handle.snapshot().allowed_names;
            lookups.retain(|name, _| names.contains(name));
            for name in names {
                if lookups.get(name).is_none_or(|lookup| lookup.asked.elapsed() >= lookup.pause) {
                    let failures = lookups.get(name).map_or(0, |lookup| lookup.failures);
                    lookups.insert(name.clone(), ask(name, failures, &handle));
                }
            }
            let failed = lookups.iter().filter(|(_, lookup)| lookup.failures > 0).map(|(name, _)| name.clone());
            gauges.failed_names.set(failed.collect());
            std::thread::sleep(LOOK_INTERVAL);
        }
    })?;
    Ok(())
}

/// Looks a name up that failed so many times before.
fn ask(name: &str, failures: u32, handle: &Handle) -> Lookup {
    let asked = Stopwatch::start();
    match addresses(name) {
        Ok(addresses) => {
            handle.resolved(name, addresses);
            Lookup { asked, pause: FOUND_PAUSE, failures: 0 }
        }
        Err(error) => {
            if failures == 0 {
                warn!("{name} of the allowlist cannot be looked up: {error}; trying on");
            }
            let pause = back_off(FAILED_PAUSE, failures, FOUND_PAUSE);
            Lookup { asked, pause, failures: failures.saturating_add(1) }
        }
    }
}

/// The addresses of a name, in order.
fn addresses(name: &str) -> io::Result<Vec<IpAddr>> {
    let found: BTreeSet<IpAddr> = (name, 0).to_socket_addrs()?.map(|socket| socket.ip().to_canonical()).collect();
    Ok(found.into_iter().take(ADDRESSES).collect())
}
