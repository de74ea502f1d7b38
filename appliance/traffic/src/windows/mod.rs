//! Windows: what each source did, and what was done to each destination, in the last seconds.
//!
//! One flow of a scan, a flood or a password attack looks like any other; many of them in a short time do not. Five
//! tables hold what was done: by source ([`Address::source`]), by destination host, by destination port, and by source and
//! destination host for services with passwords (MQTT among them) and for the web, which have a table each: however many pages a
//! household looks at, nobody who guesses passwords is forgotten for it. A sixth is about what may carry data past everybody: by source
//! and domain the long names asked for, by source and host the pings. Each is bounded; [`table`] says who goes.

mod activity;
mod awaited;
mod sketch;
mod table;
mod tally;

pub use awaited::AwaitedCounts;
pub use tally::{DestinationCounts, FlowCounts, LeakCounts, PairCounts, SourceCounts};

use activity::Activity;
use awaited::Source;
use table::Table;
use tally::{DestinationTally, Distinct, Facts, LeakTally};

use crate::address::Address;
use crate::arena::{Footprint, Slot};
use crate::flow::{Carrier, Flow};
use crate::limits::Limits;
use crate::services::{Service, tried_port};
use crate::time::Timestamp;

/// Who is counted: a source, a host (port 0), a port of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Party {
    address: Address,
    port: u16,
}

/// Who visits services, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Pair {
    source: Address,
    host: Address,
}

/// Who may carry data out, and how. By the whole address, in IPv6 as well: nobody is to be accused of what another device of the
/// household does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Leak {
    initiator: Address,
    way: Way,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Way {
    /// Names below the domain of this fingerprint.
    Names(u32),
    /// Pings of this host.
    Pings(Address),
}

/// Where a flow's parties were found last: mostly they are still there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seats {
    source: Slot,
    host: Slot,
    service: Slot,
    /// Of the services that it visits, or of what it may carry data in: no flow has both.
    pair: Slot,
}

impl Default for Seats {
    fn default() -> Self {
        Self { source: Slot::NONE, host: Slot::NONE, service: Slot::NONE, pair: Slot::NONE }
    }
}

/// Something that a flow did and that windows count; [`Self::concerns`] says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It began.
    Begun,
    /// The responder sent something.
    Answered,
    /// The responder, or a router on the way to it, was heard for the first time.
    Settled,
    /// The handshake was completed.
    Established,
    /// The responder reset it before it was established, or an ICMP error said that it cannot be reached.
    Refused,
    /// The initiator reset it although the responder had accepted it.
    HalfOpen,
    /// An established connection ended.
    Ended,
    /// One goes on that seemed to have ended.
    Resumed,
    /// A login connection ended soon after it began.
    ShortLogin,
    /// The same, and the responder said little to what it was told, and did not let it in as far as can be seen.
    MeagreLogin,
    /// A connection to SSH, FTP or Telnet ended in which the initiator was seen to fail.
    FailedLogin,
    /// The responder refused a log-in.
    LoginRefused,
    /// The responder accepted a log-in, or served a request of the web.
    LoginAccepted,
    /// The responder of the web has not what it was asked for.
    Missing,
    /// The initiator sent its first packet that no program in use sends.
    OddProbe,
    /// The initiator asked a name server for a long name. Only leaks count it.
    AskedForLongName,
    /// It sent a ping of another size than the one before. Only leaks count it.
    ResizedPing,
}

impl Deed {
    /// Whether sources, destinations and pairs count it.
    const fn concerns(self) -> (bool, bool, bool) {
        match self {
            Self::Begun | Self::Established => (true, true, true),
            Self::Answered | Self::Settled | Self::Refused | Self::HalfOpen | Self::OddProbe => (true, false, false),
            Self::ShortLogin | Self::MeagreLogin => (true, false, true),
            Self::Ended
            | Self::Resumed
            | Self::FailedLogin
            | Self::LoginRefused
            | Self::LoginAccepted
            | Self::Missing => (false, false, true),
            Self::AskedForLongName | Self::ResizedPing => (false, false, false),
        }
    }
}

/// As of when it is known what was done.
#[derive(Clone, Copy, Debug)]
pub struct AsOf {
    /// The flow's last packet.
    pub last: Timestamp,
    /// Until then nothing more was heard of the flow: the same, or later where it ended by its silence.
    pub heard: Timestamp,
}

/// What the features of a flow are made from, each over 2 s and 60 s.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surroundings {
    /// The initiator.
    pub source: [SourceCounts; 2],
    /// Flows of the initiator that may still be answered.
    pub awaited: AwaitedCounts,
    /// The responder's host.
    pub host: [DestinationCounts; 2],
    /// The responder's port.
    pub service: [DestinationCounts; 2],
    /// The initiator's connections to services of the same kind at the responder's host; nothing where that is neither a
    /// service with passwords, MQTT, nor of the web.
    pub pair: [PairCounts; 2],
    /// The initiator's long names below the domain that it asked about last, or its pings of the responder.
    pub leak: [LeakCounts; 2],
}

/// The six tables.
#[derive(Debug)]
pub struct Windows {
    sources: Table<Party, Source>,
    hosts: Table<Party, Activity<DestinationTally>>,
    services: Table<Party, Activity<DestinationTally>>,
    logins: Table<Pair, Activity<PairCounts>>,
    visits: Table<Pair, Activity<PairCounts>>,
    leaks: Table<Leak, Activity<LeakTally>>,
}

impl Windows {
    /// Takes all memory at once; `seed` keys the hashes.
    #[must_use]
    pub fn new(limits: &Limits, seed: [u64; 2]) -> Self {
        Self {
            sources: Table::new(limits.sources, seed),
            hosts: Table::new(limits.destinations, seed),
            services: Table::new(limits.destinations, seed),
            logins: Table::new(limits.pairs, seed),
            visits: Table::new(limits.pairs, seed),
            leaks: Table::new(limits.leaks, seed),
        }
    }

    /// What each table takes.
    #[must_use]
    pub const fn footprints(&self) -> [Footprint; 6] {
        [
            self.sources.footprint("windows of sources"),
            self.hosts.footprint("windows of hosts"),
            self.services.footprint("windows of ports"),
            self.logins.footprint("windows of log-ins"),
            self.visits.footprint("windows of visits"),
            self.leaks.footprint("windows of leaks"),
        ]
    }

    /// Counts a deed of a flow.
    pub fn count(&mut self, flow: &mut Flow, deed: Deed, now: Timestamp) {
        let parties = Parties::of(flow);
        let done = Facts {
            is_tcp: flow.is_tcp,
            is_login: parties.kind == Service::Login,
            to_group: flow.to_group,
            is_awaited: !flow.answered && !flow.refused,
            begin: flow.begin,
            distinct: Distinct::NOTHING,
        };
        let (done, suffered) = if deed == Deed::Begun {
            let port = flow.has_ports.then(|| tried_port(flow.key.protocol(), parties.service.port));
            let by = Distinct::of(parties.host.address.bits(), port);
            (
                Facts { distinct: by, ..done },
                Facts { distinct: Distinct::of_one(parties.source.address.bits()), ..done },
            )
        } else {
            (done, done)
        };
        let seats = &mut flow.seats;
        let (of_source, of_destination, of_pair) = deed.concerns();
        match parties.kind {
            Service::Login | Service::Broker if of_pair => {
                self.logins.count(&mut seats.pair, parties.pair(), deed, &done, now);
            }
            Service::Web if of_pair => self.visits.count(&mut seats.pair, parties.pair(), deed, &done, now),
            _ => {}
        }
        if of_source {
            self.sources.count(&mut seats.source, parties.source, deed, &done, now);
        }
        if of_destination {
            self.hosts.count(&mut seats.host, parties.host, deed, &suffered, now);
            self.services.count(&mut seats.service, parties.service, deed, &suffered, now);
        }
    }

    /// Counts a deed by which the flow may carry data out; `what` is the fingerprint of the name, or the size of the ping.
    pub fn count_leak(&mut self, flow: &mut Flow, deed: Deed, what: u32, now: Timestamp) {
        let parties = Parties::of(flow);
        let Some(leak) = parties.leak(flow) else { return };
        let facts = Facts {
            is_tcp: false,
            is_login: false,
            to_group: flow.to_group,
            is_awaited: false,
            begin: flow.begin,
            distinct: Distinct::of_one(what.into()),
        };
        self.leaks.count(&mut flow.seats.pair, leak, deed, &facts, now);
    }

    /// What is known around a flow.
    #[must_use]
    pub fn around(&self, flow: &Flow, as_of: AsOf) -> Surroundings {
        let (parties, seats) = (Parties::of(flow), &flow.seats);
        let (source, awaited) = self.sources.counts(seats.source, &parties.source, as_of);
        Surroundings {
            source,
            awaited,
            host: self.hosts.counts(seats.host, &parties.host, as_of),
            service: self.services.counts(seats.service, &parties.service, as_of),
            pair: match parties.kind {
                Service::Login | Service::Broker => self.logins.counts(seats.pair, &parties.pair(), as_of),
                Service::Web => self.visits.counts(seats.pair, &parties.pair(), as_of),
                Service::Other => Default::default(),
            },
            leak: parties.leak(flow).map_or_else(Default::default, |leak| self.leaks.counts(seats.pair, &leak, as_of)),
        }
    }
}

/// Under whom a flow counts.
struct Parties {
    source: Party,
    host: Party,
    service: Party,
    /// What the responder offers.
    kind: Service,
}

impl Parties {
    fn of(flow: &Flow) -> Self {
        let source = flow.key.sender(flow.forward()).address().source();
        let responder = flow.key.sender(flow.forward().reversed());
        let host = responder.address();
        let port = if flow.has_ports { responder.port() } else { 0 };
        Self {
            source: Party { address: source, port: 0 },
            host: Party { address: host, port: 0 },
            service: Party { address: host, port },
            kind: flow.service(),
        }
    }

    const fn pair(&self) -> Pair {
        Pair { source: self.source.address, host: self.host.address }
    }

    fn leak(&self, flow: &Flow) -> Option<Leak> {
        let way = match flow.carrier {
            Carrier::None => return None,
            Carrier::Names(domain) => Way::Names(domain),
            Carrier::Pings(_) => Way::Pings(self.host.address),
        };
        Some(Leak { initiator: flow.key.sender(flow.forward()).address(), way })
    }
}
