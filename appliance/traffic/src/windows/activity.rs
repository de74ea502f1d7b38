//! What one source or destination did in the last 2 s and the last 60 s.
//!
//! A window is two slots of half its length, the running one and the one before: it reaches back between half and the
//! whole of its length, costs the same whatever happens in it, and needs no list of events.

use core::time::Duration;

use super::Deed;
use super::sketch::Sketch;
use crate::time::{Timestamp, nanos};

/// Lengths of the two windows.
const WINDOWS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(60)];

/// Lengths of their slots, in nanoseconds.
const SLOTS_NS: [u64; 2] = [nanos(WINDOWS[0]) / 2, nanos(WINDOWS[1]) / 2];

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
    /// Flows that were refused, by a reset or an ICMP error.
    pub refused: u32,
    /// Flows to login services.
    pub logins: u32,
    /// Login connections that ended soon after they began.
    pub short_logins: u32,
    /// Of these, those in which the responder said little to what it was told.
    pub meagre_logins: u32,
    /// Established connections that ended; counted for pairs only.
    pub ended: u32,
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

    /// Connections that are established and have not ended. Some that ended may have been established before the window,
    /// therefore it is a lower bound.
    #[must_use]
    pub const fn open(&self) -> u32 {
        self.established.saturating_sub(self.ended)
    }

    /// Distinct ports for each distinct address; 0 where there are none. Far above 1 where one host is searched, far below
    /// where one service is searched on many, and near 1 among peers, each of which has a port of its own.
    #[must_use]
    pub fn ports_per_peer(&self) -> f32 {
        if self.peers > 0.0 { self.ports / self.peers } else { 0.0 }
    }
}

/// Some of the flows that answers belong to may have begun before the window, therefore it is bounded.
fn share(some: u32, all: u32) -> f32 {
    if all == 0 { 0.0 } else { some.min(all) as f32 / all as f32 }
}

/// Counts over some time, exact but for the sketches.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    flows: u32,
    tcp_flows: u32,
    answered: u32,
    established: u32,
    refused: u32,
    logins: u32,
    short_logins: u32,
    meagre_logins: u32,
    ended: u32,
    ports: Sketch,
    peers: Sketch,
}

impl Tally {
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
            Deed::Ended => add(&mut self.ended, true),
            Deed::ShortLogin => add(&mut self.short_logins, true),
            Deed::MeagreLogin => add(&mut self.meagre_logins, true),
        }
    }

    fn counts(&self) -> Counts {
        Counts {
            flows: self.flows,
            tcp_flows: self.tcp_flows,
            answered: self.answered,
            established: self.established,
            refused: self.refused,
            logins: self.logins,
            short_logins: self.short_logins,
            meagre_logins: self.meagre_logins,
            ended: self.ended,
            ports: self.ports.estimate(),
            peers: self.peers.estimate(),
        }
    }
}

/// One window. Both tallies are kept up with every deed, so that reading costs nothing: it is done more often.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// Number of the running slot since the epoch.
    running: u64,
    /// Over the running slot.
    slot: Tally,
    /// Over the running slot and the one before.
    both: Tally,
}

impl Window {
    fn new(number: u64) -> Self {
        Self { running: number, slot: Tally::default(), both: Tally::default() }
    }

    fn count(&mut self, number: u64, deed: Deed, facts: &Facts) {
        self.advance(number);
        self.slot.count(deed, facts);
        self.both.count(deed, facts);
    }

    /// Moves the window to now. A packet out of order counts where the window is; a clock that was set back by far empties
    /// it.
    fn advance(&mut self, number: u64) {
        match number.checked_sub(self.running) {
            None if self.running - number > SLOTS_OUT_OF_ORDER => *self = Self::new(number),
            None | Some(0) => {}
            Some(1) => *self = Self { running: number, slot: Tally::default(), both: self.slot },
            Some(_) => *self = Self::new(number),
        }
    }

    fn counts(&self, number: u64) -> Counts {
        match number.saturating_sub(self.running) {
            0 => self.both.counts(),
            1 => self.slot.counts(),
            _ => Counts::default(),
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
        Self { windows: slot_numbers(now).map(Window::new) }
    }

    pub(super) fn count(&mut self, deed: Deed, facts: &Facts, now: Timestamp) {
        for (window, number) in self.windows.iter_mut().zip(slot_numbers(now)) {
            window.count(number, deed, facts);
        }
    }

    /// The counts over 2 s and over 60 s.
    #[must_use]
    pub fn counts(&self, now: Timestamp) -> [Counts; 2] {
        let ([short, long], [short_number, long_number]) = (&self.windows, slot_numbers(now));
        [short.counts(short_number), long.counts(long_number)]
    }

    /// Flows begun over 60 s.
    pub(super) fn flows(&self, now: Timestamp) -> u32 {
        let [_, long] = self.counts(now);
        long.flows
    }
}

/// Slots are cut at fixed times of the clock, so that the same packets give the same counts wherever a capture begins to
/// be read.
fn slot_numbers(now: Timestamp) -> [u64; 2] {
    SLOTS_NS.map(|slot| now.as_nanos() / slot)
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
