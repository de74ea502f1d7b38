//! Counters of every stage: fixed in size, written by the packet thread, read by everybody.

use core::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use traffic::address::Mac;
use traffic::decode::DecodeError;
use traffic::features::ThreatClass;

use crate::pipeline::Compared;

/// What the packet path counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames.
    pub packets: u64,
    /// Their bytes, as on the wire.
    pub bytes: u64,
    /// Frames that carry no IP; nothing is wrong with them.
    pub not_ip: u64,
    /// Frames that could not be decoded, by kind in the order of [`DecodeError::ALL`].
    pub undecodable: [u64; DecodeError::ALL.len()],
    /// Flows that began.
    pub flows: u64,
    /// Flows that had to go before their time because the table was full.
    pub evicted: u64,
    /// Flows that ended, by their worst verdict in the order of [`ThreatClass::ALL`].
    pub verdicts: [u64; ThreatClass::ALL.len()],
    /// Alerts that were not raised because there were too many.
    pub alerts_suppressed: u64,
}

impl Counters {
    /// Frames that could not be decoded, of all kinds.
    #[must_use]
    pub fn undecodable_total(&self) -> u64 {
        self.undecodable.iter().sum()
    }
}

/// What one thread tells the others: the last that it said stands.
#[derive(Debug, Default)]
pub struct Told<T>(Mutex<T>);

impl<T: Clone> Told<T> {
    /// Puts this in the place of what was said before.
    pub fn set(&self, said: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = said;
    }

    /// What was said last.
    #[must_use]
    pub fn get(&self) -> T {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The figures of the packet thread, and faults, that others read while it runs.
#[derive(Debug, Default)]
pub struct Gauges {
    /// Frames.
    pub packets: AtomicU64,
    /// Their bytes.
    pub bytes: AtomicU64,
    /// Frames that could not be decoded.
    pub undecodable: AtomicU64,
    /// Flows in the table now.
    pub flows: AtomicU64,
    /// Frames that the kernel dropped before they could be read.
    pub ring_drops: AtomicU64,
    /// About how many frames were passed over unread because too many came.
    pub passed_over: AtomicU64,
    /// Decisions that found the queue to the control thread full, and were left for the next flow.
    pub decisions_delayed: AtomicU64,
    /// Alerts that were not raised because there were too many.
    pub alerts_suppressed: AtomicU64,
    /// The box's own address on the link; all zeros where it is not known.
    own_mac: AtomicU64,
    /// Grows while the packet thread lives.
    pub beats: AtomicU64,
    /// Grows while the control thread lives.
    pub control_beats: AtomicU64,
    /// What is wrong with the ports, one line each with its remedy, as are all faults.
    pub port_faults: Told<Vec<String>>,
    /// What the self-test of the start found.
    pub selftest_faults: Told<Vec<String>>,
    /// What is wrong with the lists.
    pub list_faults: Told<Vec<String>>,
    /// What is said of the models in force.
    compared: Mutex<Option<Compared>>,
    /// Why the last reload or restart left everything as it was; `None` where it did not.
    pub order_fault: Told<Option<String>>,
    /// Names of the allowlist that could not be looked up when that was tried last.
    pub failed_names: Told<Vec<String>>,
    /// Where the page can be opened from the network; `None` where it cannot.
    pub page: Told<Option<SocketAddr>>,
    /// Why it cannot, though it should; `None` where nothing is wrong.
    pub page_fault: Told<Option<String>>,
    /// What is wrong with lights, relay and button.
    pub front_faults: Told<Vec<String>>,
    /// What is wrong with the watchdog; `None` where nothing is.
    pub watchdog_fault: Told<Option<String>>,
    /// That the board is too hot, or has too little power.
    pub board_faults: Told<Vec<String>>,
}

impl Gauges {
    /// Publishes the counters of the path.
    pub fn publish(&self, counters: &Counters, flows: usize) {
        self.beats.fetch_add(1, Ordering::Relaxed);
        self.packets.store(counters.packets, Ordering::Relaxed);
        self.bytes.store(counters.bytes, Ordering::Relaxed);
        self.undecodable.store(counters.undecodable_total(), Ordering::Relaxed);
        self.flows.store(flows as u64, Ordering::Relaxed);
        self.alerts_suppressed.store(counters.alerts_suppressed, Ordering::Relaxed);
    }

    /// Publishes what the source of frames has to say: what it lost, what it passed over, and its faults in the place of the last.
    pub fn publish_source(&self, ring_drops: u64, passed_over: u64, faults: Vec<String>) {
        self.ring_drops.store(ring_drops, Ordering::Relaxed);
        self.passed_over.store(passed_over, Ordering::Relaxed);
        self.port_faults.set(faults);
    }

    /// Publishes what is said of the models in force. Where somebody reads just now, it is left for the next time.
    pub fn publish_compared(&self, compared: Compared) {
        if let Ok(mut place) = self.compared.try_lock() {
            *place = Some(compared);
        }
    }

    /// What was said last of the models that were in force then.
    #[must_use]
    pub fn compared(&self) -> Option<Compared> {
        *self.compared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the packet thread the box's own address on the link. Where it could not be read now, the last one stays.
    pub fn set_own_mac(&self, mac: Option<Mac>) {
        if let Some(Mac([a, b, c, d, e, f])) = mac {
            self.own_mac.store(u64::from_be_bytes([0, 0, a, b, c, d, e, f]), Ordering::Relaxed);
        }
    }

    /// The box's own address on the link.
    #[must_use]
    pub fn own_mac(&self) -> Option<Mac> {
        let [_, _, mac @ ..] = self.own_mac.load(Ordering::Relaxed).to_be_bytes();
        let mac = Mac(mac);
        (mac != Mac::default()).then_some(mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_be_read_for_a_moment_is_not_forgotten() {
        let gauges = Gauges::default();
        assert_eq!(gauges.own_mac(), None);
        gauges.set_own_mac(Some(Mac([2, 0, 0, 0, 0, 9])));
        gauges.set_own_mac(None);
        assert_eq!(gauges.own_mac(), Some(Mac([2, 0, 0, 0, 0, 9])));
    }
}
