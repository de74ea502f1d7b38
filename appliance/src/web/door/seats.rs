//! Who sits at the door: connections at once, in all and for each peer.

use core::net::IpAddr;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::policy::Subject;

/// All seats. A peer with an IPv6 address is its /64: it has as many addresses as it likes.
#[derive(Debug)]
pub(super) struct Seats {
    most: usize,
    most_per_peer: usize,
    taken: Mutex<HashMap<Subject, usize>>,
}

/// One seat; free again when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    peer: Subject,
}

impl Seats {
    pub(super) fn new(most: usize, most_per_peer: usize) -> Arc<Self> {
        Arc::new(Self { most, most_per_peer, taken: Mutex::default() })
    }

    /// A seat for the peer, or `None` when it, or all together, have as many as they may.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Seat> {
        let peer = Subject::of(peer);
        let mut taken = self.taken();
        let in_all: usize = taken.values().sum();
        let of_peer = taken.get(&peer).copied().unwrap_or(0);
        if in_all >= self.most || of_peer >= self.most_per_peer {
            return None;
        }
        taken.insert(peer, of_peer + 1);
        Some(Seat { seats: Arc::clone(self), peer })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<Subject, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        match taken.get_mut(&self.peer) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                taken.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_capped_for_each_peer_and_in_all_and_come_back() {
        let seats = Seats::new(3, 2);
        let take = |peer: &str| seats.take(peer.parse().unwrap());
        let first = take("2001:db8::1");
        let second = take("2001:db8::ffff");
        assert!(first.is_some() && second.is_some());
        assert!(take("2001:db8::2").is_none(), "the same /64 has both of its seats");
        let other = take("192.0.2.1");
        assert!(other.is_some());
        assert!(take("192.0.2.2").is_none(), "all are taken");
        drop(first);
        assert!(take("2001:db8::3").is_some());
        drop((second, other));
        assert_eq!(seats.taken().len(), 0, "nobody is remembered who is gone");
    }
}
