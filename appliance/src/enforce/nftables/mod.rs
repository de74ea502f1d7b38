//! Enforcement by nftables: one table of our own, named `sluice`, changed in atomic batches over netlink.
//!
//! The table is of family `netdev`: its chain `ingress` sees each frame that comes in by one of the two ports, before
//! the bridge does. A kernel without that family gets the same table in family `bridge`. `nft list table netdev sluice`
//! shows everything.
//!
//! | set | what it does |
//! |---|---|
//! | `allow4`, `allow6` | networks that always pass, whatever else is said of them |
//! | `deny4`, `deny6` | everything from and to these is dropped |
//! | `deny_new4`, `deny_new6` | what opens a connection from these is dropped; replies of theirs pass |
//! | `quarantine` | devices that reach nothing but ARP, neighbour discovery, DHCP, DNS, the allowlist and `own4`, `own6` |
//! | `limit4`, `limit6` | what opens connections to these services, or answers them, above their rate is let through where they asked, or are asked twice |
//! | `limit_hosts4`, `limit_hosts6` | the same for all ports of these hosts by one protocol; of groups of IPv6, ICMPv6 above their rate is dropped |
//! | `asked_tcp4` and the like | questions to limited services, for some seconds |
//! | `flooded4`, `flooded6` | hosts to which more comes than a limit lets through, for half a minute |
//! | `awaited_tcp4` and the like | whom these hosts asked, for half a minute |
//! | `allow_device` | devices that always pass |
//! | `alive` | only with `on_failure = "closed"`: while it is empty, nothing passes but what the box needs to be reached |
//! | `own_device` | with it: the MAC addresses of the box, which is reached by them whatever its addresses |
//!
//! IPv6 sources are /64 networks: the sets hold their first address, and the rules mask what they look up.
//! ARP, DHCP and IPv6 neighbour discovery always pass; but what floods a group by it is kept to a rate.
//!
//! **What opens a connection.** The hook has no connection tracking, so it is told by the packet alone: TCP with SYN and
//! without ACK, SCTP with INIT or COOKIE ECHO, echo requests, and UDP *from port 1024 or above*. A reply of a DNS, NTP or QUIC server comes from a port
//! below, and passes, even where somebody forged the server's address to have it blocked. The price: an offender that
//! sends from such a port still gets through with UDP, and a server that answers from a high port does not. Above a limit it passes
//! only where it was asked for. Fragments other than the first pass; without the first they are of no use.
//!
//! **Encapsulation.** One VLAN tag makes no difference. Behind a second one (`QinQ`) and in PPPoE the headers are looked for
//! at fixed places: IPv6 extension headers hide TCP, UDP, SCTP and ICMPv6 from `deny_new` there, but nothing hides from `deny`.
//! IPv4 options and IPv6 extension headers there hide from `limit` as well.
//! What lies behind a third tag passes, and is counted ([`Enforcer::hidden_packets`]).

mod batch;
mod closed;
mod elements;
mod numbers;
mod place;
mod rules;
mod table;
mod watch;

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use ipnet::IpNet;
use nix::errno::Errno;
use traffic::time::Timestamp;

use crate::clock::Stopwatch;
use crate::linux::netlink::{
    FLAG_ACK, FLAG_DUMP, NetlinkError, Protocol, Reply, Request, Socket, attributes, read_be_u32, read_be_u64,
};
use crate::policy::{Action, Subject};

use super::{Block, Desired, EnforceError, Enforcer, Found, OnFailure};
use batch::{Batch, Key, TABLE};
use numbers::{FAMILY_BRIDGE, FAMILY_NETDEV, element, generation, message, rule};
pub use watch::Watch;

/// How often a change is tried again because a block ended between the look at it and the change.
const CHANGE_ATTEMPTS: u32 = 4;

/// How long it is believed that all is as it was read, as long as the kernel knows of no change.
const READ_INTERVAL: Duration = Duration::from_secs(60);

/// Which hook the table uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// The ingress hook of each port: the earliest.
    Netdev,
    /// The prerouting hook of bridges.
    Bridge,
}

impl Family {
    /// As in `nft list table FAMILY sluice`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Netdev => "netdev",
            Self::Bridge => "bridge",
        }
    }

    const fn number(self) -> u8 {
        match self {
            Self::Netdev => FAMILY_NETDEV,
            Self::Bridge => FAMILY_BRIDGE,
        }
    }
}

/// How a table with `on_failure = "closed"` begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begins {
    /// As if the program had just said that it lives.
    Open,
    /// As if it were dead.
    Closed,
}

/// The kernel's blocks, through one netlink socket.
#[derive(Debug)]
pub struct Nftables {
    socket: Option<Socket>,
    ports: [String; 2],
    capacity: u32,
    on_failure: OnFailure,
    family: Family,
    may_fall_back: bool,
    rules: usize,
    limit_per_s: u32,
    dropped_before: u64,
    /// The generation of nftables that was read back last, and when. None once a change was tried: whether it succeeds or
    /// not, what there is must be looked at.
    read: Option<(u32, Stopwatch)>,
}

impl Nftables {
    /// For blocks on these two ports; changes nothing yet. `capacity` is the size of each set: at most so many IPv4 addresses
    /// (and so many IPv6 networks) can be blocked by each action. A kernel without netlink for netfilter is told of when it is
    /// needed: a box that only observes can do without.
    #[must_use]
    pub fn new(ports: [String; 2], capacity: u32) -> Self {
        let (family, may_fall_back, on_failure) = (Family::Netdev, true, OnFailure::Open);
        let socket = Socket::open(Protocol::Netfilter).ok();
        Self {
            socket,
            ports,
            capacity,
            on_failure,
            family,
            may_fall_back,
            rules: 0,
            limit_per_s: 0,
            dropped_before: 0,
            read: None,
        }
    }

    /// The socket; tried again where it could not be opened.
    fn socket(&mut self) -> Result<&mut Socket, NetlinkError> {
        match &mut self.socket {
            Some(socket) => Ok(socket),
            none => Ok(none.insert(Socket::open(Protocol::Netfilter)?)),
        }
    }

    /// Does this when [`Enforcer::keep_alive`] is no longer called, instead of letting everything pass.
    #[must_use]
    pub fn on_failure(self, on_failure: OnFailure) -> Self {
        Self { on_failure, ..self }
    }

    /// Uses this family only, instead of `netdev` and then `bridge`.
    #[must_use]
    pub fn in_family(self, family: Family) -> Self {
        Self { family, may_fall_back: false, ..self }
    }

    /// The family that is in use, or will be tried first.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.family
    }

    /// Hears from now on of changes that others make to the table.
    ///
    /// # Errors
    /// No file descriptor is left.
    pub fn watch(&mut self) -> Result<Watch, EnforceError> {
        let opened = self.socket().and_then(|socket| socket.port()).and_then(Watch::open);
        opened.map_err(|error| EnforceError::Kernel { what: "tell of changes", cause: error.into_io() })
    }

    fn batch(&self) -> Batch {
        Batch::new(self.family.number())
    }

    fn apply(&mut self, mut batch: Batch) -> Result<(), Refusal> {
        if batch.is_empty() {
            return Ok(());
        }
        self.read = None;
        let sent = self.socket().and_then(|socket| socket.request(batch.finish(), |_| {}));
        sent.map_err(|error| {
            let step = match &error {
                NetlinkError::Refused { message, .. } => batch.step(*message),
                NetlinkError::Socket(_) | NetlinkError::Malformed => "talk to the kernel",
            };
            Refusal { step, error }
        })
    }

    /// Removes the table of that family, where there is one.
    fn remove_table(&mut self, family: Family) -> Result<(), EnforceError> {
        let mut batch = Batch::new(family.number());
        batch.delete_table();
        match self.apply(batch) {
            Err(refusal) if refusal.is_unsupported() => Ok(()),
            result => result.map_err(|refusal| self.explain(refusal)),
        }
    }

    /// Puts a table in force that is closed until [`Enforcer::replace`] puts another in its place: for ports that are about to be
    /// joined. Where a table stands it stays, open or closed.
    ///
    /// # Errors
    /// As [`Enforcer::replace`].
    pub fn close(&mut self, own: Vec<IpAddr>) -> Result<(), EnforceError> {
        for family in [Family::Netdev, Family::Bridge] {
            let mut standing = Self::new(self.ports.clone(), self.capacity).in_family(family);
            if standing.count().is_ok_and(|counted| counted.rules > 0) {
                return Ok(());
            }
        }
        self.make(&Desired { own, ..Desired::default() }, Timestamp::EPOCH, Begins::Closed)
    }

    /// Makes the table, in the other family where this kernel lacks the first.
    fn make(&mut self, desired: &Desired, now: Timestamp, begins: Begins) -> Result<(), EnforceError> {
        match self.make_table(desired, now, begins) {
            Err(refusal) if self.may_fall_back && refusal.is_unsupported() && self.lacks_netdev() => {
                self.family = Family::Bridge;
                let result = self.make_table(desired, now, begins);
                if result.is_err() {
                    self.family = Family::Netdev;
                }
                result.map_err(|refusal| self.explain_making(refusal))
            }
            result => result.map_err(|refusal| self.explain_making(refusal)),
        }
    }

    fn make_table(&mut self, desired: &Desired, now: Timestamp, begins: Begins) -> Result<(), Refusal> {
        let mut batch = self.batch();
        // Adding first makes the deletion succeed whether the table stood or not.
        batch.add_table();
        batch.delete_table();
        let made = table::Made {
            capacity: self.capacity,
            allows_networks: !desired.allow.is_empty(),
            allows_devices: !desired.allow_devices.is_empty(),
            on_failure: self.on_failure,
        };
        let rules = table::add_all(&mut batch, &self.ports, self.family.number(), made);
        if self.on_failure == OnFailure::Closed {
            elements::add_devices(&mut batch, closed::OWN_DEVICE, &closed::own_devices(&self.ports));
        }
        if self.on_failure == OnFailure::Closed && begins == Begins::Open {
            closed::fill(&mut batch, &table::FRAME_TYPES);
        }
        elements::add_devices(&mut batch, table::ALLOW_DEVICE, &desired.allow_devices);
        for key in [Key::Ipv4, Key::Ipv6] {
            elements::add_networks(&mut batch, table::allow_set(key), key, &desired.allow);
            let own: Vec<_> = desired.own.iter().copied().map(IpNet::from).collect();
            elements::add_networks(&mut batch, table::own_set(key), key, &own);
        }
        for (set, blocks) in by_set(&desired.blocks, now) {
            elements::add_blocks(&mut batch, set, &blocks, desired.limit_per_s);
        }
        self.apply(batch)?;
        (self.rules, self.limit_per_s) = (rules, desired.limit_per_s);
        Ok(())
    }

    /// Whether the subject stands in the set now.
    fn stands(&mut self, subject: Subject, set: &str) -> Result<bool, Refusal> {
        let mut request = Request::new();
        let kind = batch::message_type(message::GET_SET_ELEMENT);
        request.message(kind, FLAG_ACK, &batch::header(self.family.number()));
        elements::write_subject(&mut request, set, subject);
        match self.socket().and_then(|socket| socket.request(&mut request, |_| {})) {
            Ok(()) => Ok(true),
            Err(error) if error.errno() == Some(Errno::ENOENT) => Ok(false),
            Err(error) => Err(Refusal { step: "look for a block", error }),
        }
    }

    /// Takes the subjects out of every set, and puts `then` in, in one batch. Blocks end by themselves at any moment: one
    /// that ended since it was looked at makes the kernel refuse the batch, and the next look no longer finds it.
    fn change(&mut self, subjects: &[Subject], then: Option<(&Block, Timestamp)>) -> Result<(), Refusal> {
        self.read = None;
        let mut attempt = 1;
        loop {
            let mut batch = self.batch();
            for subject in subjects {
                for set in table::sets_of(*subject) {
                    if self.stands(*subject, set)? {
                        elements::delete_block(&mut batch, set, *subject);
                    }
                }
            }
            if let Some((block, now)) = then {
                let set = table::set_for(block.subject, block.action);
                let standing = (block.subject, block.until.since(now));
                elements::add_blocks(&mut batch, set, &[standing], self.limit_per_s);
            }
            match self.apply(batch) {
                Err(refusal) if refusal.error.errno() == Some(Errno::ENOENT) && attempt < CHANGE_ATTEMPTS => {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// Rules of the table, and packets that they counted.
    fn count(&mut self) -> Result<Counted, Refusal> {
        let family = self.family.number();
        let build = |request: &mut Request| {
            let kind = batch::message_type(message::GET_RULE);
            request.message(kind, FLAG_DUMP, &batch::header(family)).text(rule::TABLE, TABLE);
        };
        let add = |counted: &mut Counted, reply: Reply<'_>| {
            counted.rules += 1;
            let packets = read_packets(&reply).unwrap_or(0);
            let sum = if is_hidden(&reply) { &mut counted.hidden } else { &mut counted.dropped };
            *sum = sum.saturating_add(packets);
        };
        let counted = self.socket().and_then(|socket| socket.dump(build, add));
        counted.map_err(|error| Refusal { step: "read the counters", error })
    }

    /// All elements of a set.
    fn read_set<T>(&mut self, set: &str, read: fn(&Reply<'_>) -> Vec<T>) -> Result<Vec<T>, EnforceError> {
        let family = self.family.number();
        let build = |request: &mut Request| {
            let kind = batch::message_type(message::GET_SET_ELEMENT);
            request.message(kind, FLAG_DUMP, &batch::header(family));
            request.text(element::TABLE, TABLE).text(element::SET, set);
        };
        let add = |elements: &mut Vec<_>, reply: Reply<'_>| elements.append(&mut read(&reply));
        let elements = self.socket().and_then(|socket| socket.dump(build, add));
        elements.map_err(|error| self.explain(Refusal { step: "read the blocks", error }))
    }

    /// The number that the kernel gives to what nftables holds; each change of any table makes it another.
    fn generation(&mut self) -> Option<u32> {
        let mut request = Request::new();
        request.message(batch::message_type(message::GET_GENERATION), 0, &batch::header(0));
        let mut found = None;
        let answered = self.socket().and_then(|socket| {
            socket.request(&mut request, |reply| {
                let mut attributes = attributes(reply.payload.get(4..).unwrap_or_default());
                found = attributes.find(|(kind, _)| *kind == generation::ID).and_then(|(_, id)| read_be_u32(id));
            })
        });
        answered.ok().and(found)
    }

    /// Asks that the table stands as it was made.
    fn counted_whole(&mut self) -> Result<Counted, EnforceError> {
        let counted = self.count().map_err(|refusal| self.explain(refusal))?;
        if counted.rules == 0 || counted.rules != self.rules { Err(EnforceError::TableGone) } else { Ok(counted) }
    }

    /// The error for a table that should stand.
    fn explain(&self, refusal: Refusal) -> EnforceError {
        let Refusal { step, error } = refusal;
        match error.errno() {
            Some(Errno::EPERM | Errno::EACCES) => EnforceError::NotPermitted,
            Some(Errno::ENFILE) => EnforceError::Full { capacity: self.capacity },
            Some(Errno::ENOENT) => EnforceError::TableGone,
            _ => EnforceError::Kernel { what: step, cause: error.into_io() },
        }
    }

    /// The error for a table that is being made.
    fn explain_making(&self, refusal: Refusal) -> EnforceError {
        let is_missing = |port: &String| nix::net::if_::if_nametoindex(port.as_str()).is_err();
        match refusal.error.errno() {
            // The kernel answers the same for a missing part of its own and for a missing interface.
            Some(Errno::ENOENT | Errno::ENODEV) if self.ports.iter().any(is_missing) => {
                EnforceError::Kernel { what: "watch a port that is missing", cause: Errno::ENODEV.into() }
            }
            _ if refusal.is_unsupported() => {
                EnforceError::Unsupported { what: refusal.step, cause: refusal.error.into_io() }
            }
            _ => self.explain(refusal),
        }
    }
}

impl Nftables {
    /// The refusal means that this kernel has no ingress hook, and not that a port is away for a moment.
    fn lacks_netdev(&self) -> bool {
        let is_there = |port: &String| nix::net::if_::if_nametoindex(port.as_str()).is_ok();
        self.family == Family::Netdev && self.ports.iter().all(is_there)
    }
}

impl Enforcer for Nftables {
    fn replace(&mut self, desired: &Desired, now: Timestamp) -> Result<(), EnforceError> {
        // The counters begin anew with the table; what they stood at is kept.
        let dropped = self.count().map_or(0, |counted| counted.dropped);
        self.make(desired, now, Begins::Open)?;
        self.dropped_before = self.dropped_before.saturating_add(dropped);
        // An earlier run may have fallen back, or this one has: nobody would end what stands there.
        let other = match self.family {
            Family::Netdev => Family::Bridge,
            Family::Bridge => Family::Netdev,
        };
        self.remove_table(other)
    }

    fn block(&mut self, block: &Block, now: Timestamp) -> Result<(), EnforceError> {
        let then = (block.until > now).then_some((block, now));
        self.change(&[block.subject], then).map_err(|refusal| self.explain(refusal))
    }

    fn unblock(&mut self, subjects: &[Subject]) -> Result<(), EnforceError> {
        self.change(subjects, None).map_err(|refusal| self.explain(refusal))
    }

    fn is_unchanged(&mut self) -> bool {
        let Some((generation, since)) = self.read else { return false };
        // A port that is removed may take rules with it, which is no change of a table.
        since.elapsed() < READ_INTERVAL && self.generation() == Some(generation) && self.counted_whole().is_ok()
    }

    fn read_back(&mut self) -> Result<Found, EnforceError> {
        // Asked for first: a change while the rest is read makes the next look a whole one.
        let generation = self.generation();
        self.counted_whole()?;
        let mut found = Found::default();
        let mut add = |action, standing: Vec<elements::Standing>| {
            found.blocks.extend(standing.into_iter().map(|(subject, left)| (subject, action, left)));
        };
        for key in [Key::Ipv4, Key::Ipv6] {
            for action in [Action::Deny, Action::DenyNew] {
                add(action, self.read_set(table::block_set(action, key), elements::read_sources)?);
            }
            let mut limits = self.read_set(table::block_set(Action::Limit, key), elements::read_services)?;
            limits.extend(self.read_set(table::limit_hosts_set(key), elements::read_hosts)?);
            // One of another rate is taken for missing, and so is put right.
            limits.retain(|(_, per_s)| *per_s == self.limit_per_s);
            add(Action::Limit, limits.into_iter().map(|(standing, _)| standing).collect());
        }
        let quarantine = table::block_set(Action::Quarantine, Key::Ipv4);
        add(Action::Quarantine, self.read_set(quarantine, elements::read_devices)?);
        self.read = generation.map(|generation| (generation, Stopwatch::start()));
        Ok(found)
    }

    fn dropped_packets(&mut self) -> Result<u64, EnforceError> {
        Ok(self.dropped_before.saturating_add(self.counted_whole()?.dropped))
    }

    fn hidden_packets(&mut self) -> Result<u64, EnforceError> {
        Ok(self.counted_whole()?.hidden)
    }

    fn keep_alive(&mut self) -> Result<(), EnforceError> {
        if self.on_failure == OnFailure::Open {
            return Ok(());
        }
        // What was read before holds still: this changes none of it.
        let read = if self.is_unchanged() { self.read.take() } else { None };
        let mut batch = self.batch();
        closed::renew(&mut batch, &table::FRAME_TYPES);
        self.apply(batch).map_err(|refusal| self.explain(refusal))?;
        self.read = read.and_then(|(_, since)| Some((self.generation()?, since)));
        Ok(())
    }

    fn make_room(&mut self, capacity: u32) {
        self.capacity = self.capacity.max(capacity);
    }

    fn remove(&mut self) -> Result<(), EnforceError> {
        self.remove_table(Family::Netdev)?;
        self.remove_table(Family::Bridge)
    }
}

/// What the kernel refused, and at which step.
struct Refusal {
    step: &'static str,
    error: NetlinkError,
}

impl Refusal {
    /// Whether the kernel lacks a part, rather than refusing what it knows.
    fn is_unsupported(&self) -> bool {
        matches!(
            self.error.errno(),
            Some(Errno::EOPNOTSUPP | Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT | Errno::ENOENT)
        )
    }
}

/// What a look at the rules found.
#[derive(Debug, Default)]
struct Counted {
    rules: usize,
    dropped: u64,
    hidden: u64,
}

/// Whether the rule counts what passes because no rule finds its addresses.
fn is_hidden(reply: &Reply<'_>) -> bool {
    let mut attributes = attributes(reply.payload.get(4..).unwrap_or_default());
    attributes.any(|(kind, value)| kind == rule::CHAIN && value.strip_suffix(&[0]) == Some(table::HIDDEN.as_bytes()))
}

/// The packets of a rule's counter; none where it has no counter.
fn read_packets(reply: &Reply<'_>) -> Option<u64> {
    let (_, expressions) = attributes(reply.payload.get(4..)?).find(|(kind, _)| *kind == rule::EXPRESSIONS)?;
    attributes(expressions).find_map(|(_, expression)| {
        let named = |kind| attributes(expression).find(|(found, _)| *found == kind).map(|(_, value)| value);
        (named(rule::EXPRESSION_NAME)? == b"counter\0").then_some(())?;
        let (_, packets) =
            attributes(named(rule::EXPRESSION_DATA)?).find(|(kind, _)| *kind == rule::COUNTER_PACKETS)?;
        read_be_u64(packets)
    })
}

/// The blocks that have not ended with the time that is left of each, by their sets.
fn by_set(blocks: &[Block], now: Timestamp) -> BTreeMap<&'static str, Vec<elements::Standing>> {
    let mut sets: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for block in blocks.iter().filter(|block| block.until > now) {
        let set = sets.entry(table::set_for(block.subject, block.action)).or_default();
        set.push((block.subject, block.until.since(now)));
    }
    sets
}
