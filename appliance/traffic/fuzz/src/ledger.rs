//! What holds of all flows together even where packets are out of order or the clock is set back: each flow is numbered in
//! its turn, ends once, never before its time, and is not seen again.

use std::collections::HashMap;
use std::time::Duration;

use traffic::decode::Packet;
use traffic::extractor::Outcome;
use traffic::flow::FlowEnd;
use traffic::limits::IDLE;
use traffic::time::Timestamp;

use crate::model::{Key, key_of};
use crate::seen::Seen;

/// An account of every flow there ever was, by its number.
#[derive(Default)]
pub struct Ledger {
    flows: Vec<Account>,
    /// The number of the last flow of a key.
    numbers: HashMap<Key, usize>,
    now: Timestamp,
}

/// The last packet is the one that was stamped last, or the one that came last: so much they may differ.
const OUT_OF_ORDER: Duration = Duration::from_secs(2);

struct Account {
    last: Timestamp,
    packets: u64,
    ended: bool,
}

impl Ledger {
    /// Enters a packet and what was seen at it.
    pub fn packet(&mut self, packet: &Packet, time: Timestamp, seen: &[Seen], outcome: Outcome) {
        let (key, _) = key_of(packet);
        if outcome.created {
            self.numbers.insert(key, self.flows.len());
            self.flows.push(Account { last: time, packets: 0, ended: false });
        }
        self.check(time, seen);
        let number = self.numbers.get(&key).expect("every packet has a flow");
        let account = &mut self.flows[*number];
        account.last = account.last.advanced(time);
        let evicted = seen.iter().filter(|seen| seen.end == Some(FlowEnd::Evicted)).count();
        assert_eq!(evicted, usize::from(outcome.evicted), "flows evicted for one packet");
    }

    /// Enters what was seen when time passed.
    pub fn check(&mut self, time: Timestamp, seen: &[Seen]) {
        self.now = self.now.advanced(time);
        for seen in seen {
            let number = usize::try_from(seen.flow).expect("few flows");
            self.flows.get_mut(number).expect("flows are numbered in their turn").see(seen, self.now);
        }
    }

    /// The last flows were seen; all have ended now.
    pub fn close(&mut self, seen: &[Seen]) {
        self.check(self.now, seen);
        let left = self.flows.iter().filter(|account| !account.ended).count();
        assert_eq!(left, 0, "flows without an end");
    }
}

impl Account {
    fn see(&mut self, seen: &Seen, now: Timestamp) {
        assert!(!self.ended, "seen after its end: {seen:?}");
        assert!(seen.packets >= self.packets.max(1), "packets are taken back: {seen:?}");
        self.packets = seen.packets;
        self.ended = !matches!(seen.end, None | Some(FlowEnd::Segment));
        if seen.end == Some(FlowEnd::Idle) {
            let was_silent = now.since(self.last) + OUT_OF_ORDER >= IDLE || self.last.is_from_before_a_reset(now);
            assert!(was_silent, "ended at {now:?} though its last packet came at {:?}: {seen:?}", self.last);
        }
    }
}
