//! Counters of every stage: fixed in size, written by the packet thread, read by everybody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use traffic::decode::DecodeError;
use traffic::features::ThreatClass;

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
    /// Decisions that found the queue to the control thread full, and were left for the next flow.
    pub decisions_delayed: AtomicU64,
    /// Alerts that were not raised because there were too many.
    pub alerts_suppressed: AtomicU64,
    /// What is wrong with the ports.
    port_faults: Mutex<Vec<String>>,
    /// What is wrong with the lists.
    list_faults: Mutex<Vec<String>>,
}

impl Gauges {
    /// Publishes the counters.
    pub fn publish(&self, counters: &Counters, flows: usize, ring_drops: u64) {
        self.packets.store(counters.packets, Ordering::Relaxed);
        self.bytes.store(counters.bytes, Ordering::Relaxed);
        self.undecodable.store(counters.undecodable_total(), Ordering::Relaxed);
        self.flows.store(flows as u64, Ordering::Relaxed);
        self.alerts_suppressed.store(counters.alerts_suppressed, Ordering::Relaxed);
        self.ring_drops.store(ring_drops, Ordering::Relaxed);
    }

    /// Puts these faults in the place of the last.
    pub fn set_port_faults(&self, faults: Vec<String>) {
        *self.port_faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// Puts these faults of lists in the place of the last.
    pub fn set_list_faults(&self, faults: Vec<String>) {
        *self.list_faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// What is wrong with the lists, one line each with its remedy.
    #[must_use]
    pub fn list_faults(&self) -> Vec<String> {
        self.list_faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is wrong with the ports, one line each with its remedy.
    #[must_use]
    pub fn port_faults(&self) -> Vec<String> {
        self.port_faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
