//! What one source or destination did in the last 2 s and the last 60 s.
//!
//! A window is two slots of half its length, the running one and the one before: it reaches back between half and the
//! whole of its length, costs the same whatever happens in it, and needs no list of events.

use core::time::Duration;

use super::Deed;
use super::sketch::Sketch;
use crate::time::Timestamp;

/// Lengths of the two windows.
const WINDOWS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(60)];

/// A packet may be late by so many slots; see [`Timestamp::is_from_before_a_reset`].
const SLOTS_OUT_OF_ORDER: u64 = 3;

/// What the count of a deed depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub is_tcp: bool,
    pub is_login: bool,
    /// The responder's, for TCP and UDP.
    pub port: Option<u16>,
    /// The address on the other side.
    pub peer: u128,
}

/// Counts over one window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Flows begun.
    pub flows: u32,
    /// Of these, TCP.
    pub tcp_flows: u32,
    /// Flows answered.
    pub answered: u32,
    /// TCP flows with a completed handshake.
    pub established: u32,
    /// TCP flows that were refused.
    pub refused: u32,
    /// Flows to login services.
    pub logins: u32,
    /// Login connections that ended soon after they began.
    pub short_logins: u32,
    /// Distinct destination ports, estimated.
    pub ports: f32,
    /// Distinct addresses on the other side, estimated.
    pub peers: f32,
}

impl Counts {
    /// Share of flows without an answer; 0 where there are no flows.
    #[must_use]
    pub fn unanswered_share(&self) -> f32 {
        share(self.flows.saturating_sub(self.answered), self.flows)
    }

    /// Share of flows that were refused; 0 where there are no flows.
    #[must_use]
    pub fn refused_share(&self) -> f32 {
        share(self.refused, self.flows)
    }

    /// Share of TCP flows without a completed handshake; 0 where there are no flows.
    #[must_use]
    pub fn unfinished_share(&self) -> f32 {
        share(self.tcp_flows.saturating_sub(self.established), self.tcp_flows)
    }
}

/// Some of the flows that answers belong to may have begun before the window, therefore it is bounded.
fn share(some: u32, all: u32) -> f32 {
    if all == 0 { 0.0 } else { some.min(all) as f32 / all as f32 }
}

/// Counts over one slot, exact but for the sketches.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    flows: u32,
    tcp_flows: u32,
    answered: u32,
    established: u32,
    refused: u32,
    logins: u32,
    short_logins: u32,
    ports: Sketch,
    peers: Sketch,
}

impl Slot {
    fn count(&mut self, deed: Deed, facts: &Facts) {
        let add = |count: &mut u32, is: bool| *count = count.saturating_add(u32::from(is));
        match deed {
            Deed::Begun => {
                add(&mut self.flows, true);
                add(&mut self.tcp_flows, facts.is_tcp);
                add(&mut self.logins, facts.is_login);
                if let Some(port) = facts.port {
                    self.ports.insert(u128::from(port));
                }
                self.peers.insert(facts.peer);
            }
            Deed::Answered => add(&mut self.answered, true),
            Deed::Established => add(&mut self.established, true),
            Deed::Refused => add(&mut self.refused, true),
            Deed::ShortLogin => add(&mut self.short_logins, true),
        }
    }
}

/// The running slot and the one before.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// Number of the running slot since the epoch.
    running: u64,
    slots: [Slot; 2],
}

impl Window {
    fn new(number: u64) -> Self {
        Self { running: number, slots: [Slot::default(); 2] }
    }

    /// The running slot, after the window was moved to now. A packet out of order counts where the window is; a clock that
    /// was set back by far empties it.
    fn running(&mut self, number: u64) -> &mut Slot {
        match number.checked_sub(self.running) {
            None if self.running - number > SLOTS_OUT_OF_ORDER => {
                *self = Self::new(number);
                return &mut self.slots[0];
            }
            None | Some(0) => {}
            Some(1) => self.slots = [Slot::default(), self.slots[0]],
            Some(_) => self.slots = [Slot::default(); 2],
        }
        self.running = self.running.max(number);
        &mut self.slots[0]
    }

    fn counts(&self, number: u64) -> Counts {
        let none = Slot::default();
        let [running, before] = match number.saturating_sub(self.running) {
            0 => [&self.slots[0], &self.slots[1]],
            1 => [&none, &self.slots[0]],
            _ => [&none, &none],
        };
        Counts {
            flows: running.flows.saturating_add(before.flows),
            tcp_flows: running.tcp_flows.saturating_add(before.tcp_flows),
            answered: running.answered.saturating_add(before.answered),
            established: running.established.saturating_add(before.established),
            refused: running.refused.saturating_add(before.refused),
            logins: running.logins.saturating_add(before.logins),
            short_logins: running.short_logins.saturating_add(before.short_logins),
            ports: running.ports.union(&before.ports).estimate(),
            peers: running.peers.union(&before.peers).estimate(),
        }
    }
}

/// Both windows of one source or destination.
#[derive(Clone, Copy, Debug)]
pub struct Activity {
    windows: [Window; 2],
}

impl Activity {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { windows: WINDOWS.map(|length| Window::new(slot_number(now, length))) }
    }

    pub(super) fn count(&mut self, deed: Deed, facts: &Facts, now: Timestamp) {
        for (window, length) in self.windows.iter_mut().zip(WINDOWS) {
            window.running(slot_number(now, length)).count(deed, facts);
        }
    }

    /// The counts over 2 s and over 60 s.
    #[must_use]
    pub fn counts(&self, now: Timestamp) -> [Counts; 2] {
        let [short, long] = &self.windows;
        [short.counts(slot_number(now, WINDOWS[0])), long.counts(slot_number(now, WINDOWS[1]))]
    }
}

/// Slots are cut at fixed times of the clock, so that the same packets give the same counts wherever a capture begins to
/// be read.
fn slot_number(now: Timestamp, window: Duration) -> u64 {
    let slot_nanos = u64::try_from(window.as_nanos() / 2).unwrap_or(u64::MAX);
    now.as_nanos() / slot_nanos
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(port: u16) -> Facts {
        Facts { is_tcp: true, is_login: false, port: Some(port), peer: 7 }
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut activity = Activity::new(Timestamp::from_secs(100));
        for port in 0..30 {
            activity.count(Deed::Begun, &facts(port), Timestamp::from_secs(100));
        }
        let [short, long] = activity.counts(Timestamp::from_secs(101));
        assert_eq!((short.flows, long.flows), (30, 30));
        let [short, long] = activity.counts(Timestamp::from_secs(102));
        assert_eq!((short.flows, long.flows), (0, 30), "the short window is over");
        let [_, long] = activity.counts(Timestamp::from_secs(160));
        assert_eq!(long.flows, 0, "the long window is over");
    }

    #[test]
    fn shares_stay_between_zero_and_one_when_answers_come_a_slot_later() {
        let mut activity = Activity::new(Timestamp::from_secs(10));
        activity.count(Deed::Begun, &facts(1), Timestamp::from_secs(10));
        let at = Timestamp::from_secs(12);
        activity.count(Deed::Begun, &facts(1), at);
        for _ in 0..2 {
            activity.count(Deed::Answered, &facts(1), at);
            activity.count(Deed::Established, &facts(1), at);
            activity.count(Deed::Refused, &facts(1), at);
        }
        let [short, _] = activity.counts(at);
        assert_eq!(short.flows, 1);
        assert_eq!((short.unanswered_share(), short.refused_share(), short.unfinished_share()), (0.0, 1.0, 0.0));
    }

    #[test]
    fn packets_out_of_order_count_and_a_clock_set_back_begins_anew() {
        let mut activity = Activity::new(Timestamp::from_secs(10_000));
        activity.count(Deed::Begun, &facts(1), Timestamp::from_secs(10_000));
        activity.count(Deed::Begun, &facts(2), Timestamp::from_secs(9_999));
        assert_eq!(activity.counts(Timestamp::from_secs(10_000))[0].flows, 2);
        activity.count(Deed::Begun, &facts(3), Timestamp::from_secs(6_400));
        assert_eq!(activity.counts(Timestamp::from_secs(6_400)).map(|counts| counts.flows), [1, 1]);
    }
}
