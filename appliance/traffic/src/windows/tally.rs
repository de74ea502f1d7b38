//! What is counted of deeds: of a source, of a host or a port that is visited, and of a pair of the two. No more than features
//! ask for, because thousands of each are kept.

use super::Deed;
use super::awaited::AwaitedCounts;
use super::sketch::{Place, Sketch};
use crate::time::Timestamp;

/// What the count of a deed depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub is_tcp: bool,
    pub is_login: bool,
    /// The other side is a group: no host.
    pub to_group: bool,
    /// Neither the responder nor a router on the way was heard.
    pub is_awaited: bool,
    /// When the flow began.
    pub begin: Timestamp,
    /// What is counted as distinct; nothing but of a beginning and of a leak is.
    pub distinct: Distinct,
}

/// What distinct ones are counted of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Distinct {
    /// The address on the other side; of a leak, the fingerprint of the name, or the size of the ping.
    pub peer: Place,
    /// The responder's port, and the same of that host alone, for TCP and UDP.
    pub port_and_service: Option<(Place, Place)>,
}

impl Distinct {
    /// Nothing that is counted so.
    pub const NOTHING: Self = Self { peer: Place::FIRST, port_and_service: None };

    /// Of a host, and of the port there.
    pub fn of(host: u128, port: Option<u16>) -> Self {
        let port_and_service = port.map(|port| (Place::of(port.into()), Place::of(host ^ (u128::from(port) << 64))));
        Self { peer: Place::of(host), port_and_service }
    }

    /// Of something that has no ports.
    pub fn of_one(value: u128) -> Self {
        Self { peer: Place::of(value), port_and_service: None }
    }
}

/// Counts over some time, exact but for sketches.
pub(super) trait Tally: Copy + Default {
    /// What is read from it.
    type Counts: Default;

    fn count(&mut self, deed: Deed, facts: &Facts);

    fn counts(&self) -> Self::Counts;

    /// Flows begun, or what stands for them.
    fn flows(&self) -> u32;

    /// Whether [`Self::flows`] counts such a deed.
    fn begins(deed: Deed) -> bool {
        deed == Deed::Begun
    }
}

/// Flows over one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowCounts {
    /// Flows begun.
    pub begun: u32,
    /// Of these, TCP.
    pub tcp: u32,
    /// TCP flows with a completed handshake.
    pub established: u32,
}

/// Counts of a source over one window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SourceCounts {
    /// Its flows.
    pub flows: FlowCounts,
    /// Flows to which the responder sent something.
    pub answered: u32,
    /// Flows that were refused.
    pub refused: u32,
    /// Connections that the responder accepted and the source reset before the handshake was completed.
    pub half_open: u32,
    /// Flows begun to services with passwords.
    pub logins: u32,
    /// Login connections that ended soon after they began.
    pub short_logins: u32,
    /// Of these, those in which the responder said little to what it was told.
    pub meagre_logins: u32,
    /// Flows with a packet that no program in use sends.
    pub odd_probes: u32,
    /// Distinct destination ports, but of groups, those of traceroute as one, estimated.
    pub ports: f32,
    /// Distinct destination hosts, groups not among them, estimated.
    pub hosts: f32,
    /// Distinct destination ports, each host's for itself, counted like [`Self::ports`].
    pub services: f32,
}

/// Counts of a host or a port over one window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DestinationCounts {
    /// The flows to it.
    pub flows: FlowCounts,
    /// Distinct sources, estimated.
    pub sources: f32,
}

/// Counts of a pair over one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairCounts {
    /// Connections begun.
    pub flows: u32,
    /// Those with a completed handshake.
    pub established: u32,
    /// Those of them that ended, by FIN or RST.
    pub ended: u32,
    /// Login connections that ended soon after they began.
    pub short_logins: u32,
    /// Of these, those in which the responder said little to what it was told.
    pub meagre_logins: u32,
    /// Login connections that ended and in which the source was seen to fail.
    pub failed_logins: u32,
    /// Log-ins that the host refused.
    pub refused_logins: u32,
    /// Log-ins that it accepted, and requests of the web that it served.
    pub accepted_logins: u32,
    /// Requests of the web for what it has not.
    pub missing: u32,
}

/// Counts of what may carry data out over one window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LeakCounts {
    /// Long names below one domain.
    pub asked: u32,
    /// Pings of another size than the one before.
    pub resized_pings: u32,
    /// Distinct names or sizes of these, estimated: nobody's leak is both.
    distinct: f32,
}

impl LeakCounts {
    /// Distinct names.
    #[must_use]
    pub const fn names(&self) -> f32 {
        if self.asked > 0 { self.distinct } else { 0.0 }
    }

    /// Distinct sizes.
    #[must_use]
    pub const fn ping_sizes(&self) -> f32 {
        if self.resized_pings > 0 { self.distinct } else { 0.0 }
    }
}

impl FlowCounts {
    /// Share of TCP flows without a completed handshake; 0 where there are none.
    #[must_use]
    pub fn unfinished_share(&self) -> f32 {
        share(self.tcp.saturating_sub(self.established), self.tcp)
    }

    fn count(&mut self, deed: Deed, facts: &Facts) {
        match deed {
            Deed::Begun => {
                add(&mut self.begun);
                self.tcp = self.tcp.saturating_add(facts.is_tcp.into());
            }
            Deed::Established => add(&mut self.established),
            _ => {}
        }
    }
}

impl SourceCounts {
    /// Share of flows without an answer, as [`share_without`] says.
    #[must_use]
    pub fn unanswered_share(&self, awaited: AwaitedCounts) -> f32 {
        share_without(self.answered, self.flows.begun, awaited.flows)
    }

    /// Share of TCP flows without a completed handshake, as [`share_without`] says.
    #[must_use]
    pub fn unfinished_share(&self, awaited: AwaitedCounts) -> f32 {
        share_without(self.flows.established, self.flows.tcp, awaited.tcp)
    }

    /// Share of flows that were refused; 0 where there are no flows.
    #[must_use]
    pub fn refused_share(&self) -> f32 {
        share(self.refused, self.flows.begun)
    }

    /// Distinct ports for each distinct host; 0 where there are none. Far above 1 where one host is searched, far below
    /// where one service is searched on many, and near 1 among peers, each of which has a port of its own.
    #[must_use]
    pub fn ports_per_host(&self) -> f32 {
        if self.hosts > 0.0 { self.ports / self.hosts } else { 0.0 }
    }

    /// How many ports it tried at one host, on average; 0 where there are none. Above 2 where the same ports are searched on several
    /// hosts, near 1 among peers and where one service is used on many.
    #[must_use]
    pub fn services_per_host(&self) -> f32 {
        if self.hosts > 0.0 { self.services / self.hosts } else { 0.0 }
    }
}

impl PairCounts {
    /// Connections that are established and have not ended. Some that ended may have been established before the window,
    /// therefore it is a lower bound.
    #[must_use]
    pub const fn open(&self) -> u32 {
        self.established.saturating_sub(self.ended)
    }

    /// Refused log-ins that no accepted one makes up for. Programs ask many a web service without their password first, and are
    /// refused each time before they are served.
    #[must_use]
    pub const fn refused_in_vain(&self) -> u32 {
        self.refused_logins.saturating_sub(self.accepted_logins)
    }

    /// Requests of the web for what is not there that no served one makes up for: pages have broken links.
    #[must_use]
    pub const fn missed_in_vain(&self) -> u32 {
        self.missing.saturating_sub(self.accepted_logins)
    }
}

/// Some of the flows that answers belong to may have begun before the window, therefore it is bounded.
fn share(some: u32, all: u32) -> f32 {
    if all == 0 { 0.0 } else { some.min(all) as f32 / all as f32 }
}

/// Share of flows without what `some` of `all` have. Those that are awaited still may have it and are left out; but where they are most
/// of all, the share is of a third of all, lest the first one that is lost among a hundred others that just began be all there is.
fn share_without(some: u32, all: u32, awaited: u32) -> f32 {
    let others = all.saturating_sub(awaited);
    share(others.saturating_sub(some), others.max(all.div_ceil(3)))
}

/// What a source did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SourceTally {
    flows: FlowCounts,
    answered: u32,
    refused: u32,
    half_open: u32,
    logins: u32,
    short_logins: u32,
    meagre_logins: u32,
    odd_probes: u32,
    ports: Sketch,
    hosts: Sketch,
    services: Sketch,
}

/// What was done to a host or a port.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DestinationTally {
    flows: FlowCounts,
    sources: Sketch,
}

impl Tally for SourceTally {
    type Counts = SourceCounts;

    fn count(&mut self, deed: Deed, facts: &Facts) {
        self.flows.count(deed, facts);
        match deed {
            Deed::Begun => {
                self.logins = self.logins.saturating_add(facts.is_login.into());
                if !facts.to_group {
                    self.hosts.insert(facts.distinct.peer);
                    if let Some((port, service)) = facts.distinct.port_and_service {
                        self.ports.insert(port);
                        self.services.insert(service);
                    }
                }
            }
            Deed::Answered => add(&mut self.answered),
            Deed::Refused => add(&mut self.refused),
            Deed::HalfOpen => add(&mut self.half_open),
            Deed::ShortLogin => add(&mut self.short_logins),
            Deed::MeagreLogin => add(&mut self.meagre_logins),
            Deed::OddProbe => add(&mut self.odd_probes),
            Deed::Settled
            | Deed::Established
            | Deed::Ended
            | Deed::Resumed
            | Deed::FailedLogin
            | Deed::LoginRefused
            | Deed::LoginAccepted
            | Deed::Missing
            | Deed::AskedForLongName
            | Deed::ResizedPing => {}
        }
    }

    fn counts(&self) -> SourceCounts {
        SourceCounts {
            flows: self.flows,
            answered: self.answered,
            refused: self.refused,
            half_open: self.half_open,
            logins: self.logins,
            short_logins: self.short_logins,
            meagre_logins: self.meagre_logins,
            odd_probes: self.odd_probes,
            ports: self.ports.estimate(),
            hosts: self.hosts.estimate(),
            services: self.services.estimate(),
        }
    }

    fn flows(&self) -> u32 {
        self.flows.begun
    }
}

impl Tally for DestinationTally {
    type Counts = DestinationCounts;

    fn count(&mut self, deed: Deed, facts: &Facts) {
        self.flows.count(deed, facts);
        if deed == Deed::Begun {
            self.sources.insert(facts.distinct.peer);
        }
    }

    fn counts(&self) -> DestinationCounts {
        DestinationCounts { flows: self.flows, sources: self.sources.estimate() }
    }

    fn flows(&self) -> u32 {
        self.flows.begun
    }
}

/// What a source asked for below a domain, or how it pinged a host.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LeakTally {
    asked: u32,
    resized_pings: u32,
    distinct: Sketch,
}

impl Tally for LeakTally {
    type Counts = LeakCounts;

    fn count(&mut self, deed: Deed, facts: &Facts) {
        match deed {
            Deed::AskedForLongName => add(&mut self.asked),
            Deed::ResizedPing => add(&mut self.resized_pings),
            _ => return,
        }
        self.distinct.insert(facts.distinct.peer);
    }

    fn counts(&self) -> LeakCounts {
        LeakCounts { asked: self.asked, resized_pings: self.resized_pings, distinct: self.distinct.estimate() }
    }

    fn flows(&self) -> u32 {
        self.asked.saturating_add(self.resized_pings)
    }

    fn begins(_: Deed) -> bool {
        true
    }
}

/// What a source did at one host: the two are known, so that there is nothing distinct to count.
impl Tally for PairCounts {
    type Counts = Self;

    fn count(&mut self, deed: Deed, _: &Facts) {
        match deed {
            Deed::Begun => add(&mut self.flows),
            Deed::Established | Deed::Resumed => add(&mut self.established),
            Deed::Ended => add(&mut self.ended),
            Deed::ShortLogin => add(&mut self.short_logins),
            Deed::MeagreLogin => add(&mut self.meagre_logins),
            Deed::FailedLogin => add(&mut self.failed_logins),
            Deed::LoginRefused => add(&mut self.refused_logins),
            Deed::LoginAccepted => add(&mut self.accepted_logins),
            Deed::Missing => add(&mut self.missing),
            Deed::Answered
            | Deed::Settled
            | Deed::Refused
            | Deed::HalfOpen
            | Deed::OddProbe
            | Deed::AskedForLongName
            | Deed::ResizedPing => {}
        }
    }

    fn counts(&self) -> Self {
        *self
    }

    fn flows(&self) -> u32 {
        self.flows
    }
}

const fn add(count: &mut u32) {
    *count = count.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: Facts = Facts {
        is_tcp: true,
        is_login: false,
        to_group: false,
        is_awaited: true,
        begin: Timestamp::EPOCH,
        distinct: Distinct::NOTHING,
    };

    #[test]
    fn shares_stay_between_zero_and_one_where_there_are_more_answers_than_questions() {
        let mut tally = SourceTally::default();
        for deed in [
            Deed::Begun,
            Deed::Answered,
            Deed::Answered,
            Deed::Established,
            Deed::Established,
            Deed::Refused,
            Deed::Refused,
        ] {
            tally.count(deed, &FACTS);
        }
        let (counts, awaited) = (tally.counts(), AwaitedCounts::default());
        assert_eq!(
            (counts.unanswered_share(awaited), counts.refused_share(), counts.unfinished_share(awaited)),
            (0.0, 1.0, 0.0)
        );
    }

    #[test]
    fn what_is_awaited_counts_for_neither_but_is_no_more_than_two_thirds_of_all() {
        let silent = |begun: u32, awaited: u32| {
            let mut tally = SourceTally::default();
            (0..begun).for_each(|_| tally.count(Deed::Begun, &FACTS));
            let awaited = AwaitedCounts { flows: awaited, tcp: awaited };
            let counts = tally.counts();
            assert_eq!(counts.unanswered_share(awaited), counts.unfinished_share(awaited), "all are TCP");
            counts.unanswered_share(awaited)
        };
        assert_eq!([silent(9, 0), silent(9, 6), silent(9, 8), silent(9, 9)], [1.0, 1.0, 1.0 / 3.0, 0.0]);
        assert_eq!([silent(0, 0), silent(1, 1), silent(1, 2)], [0.0; 3]);
    }

    #[test]
    fn what_ended_is_no_longer_open_and_more_ends_than_beginnings_leave_none() {
        let mut pair = PairCounts::default();
        for deed in [Deed::Begun, Deed::Established, Deed::Begun, Deed::Established, Deed::Begun] {
            pair.count(deed, &FACTS);
        }
        assert_eq!(pair.open(), 2);
        for open in [1, 0, 0] {
            pair.count(Deed::Ended, &FACTS);
            assert_eq!(pair.open(), open);
        }
    }
}
