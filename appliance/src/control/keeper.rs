//! The control thread: keeps the blocks as they should be, writes down what happened, and shows it.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};

use ipnet::IpNet;
use log::{error, info, warn};
use traffic::time::Timestamp;

use super::{ControlError, Handle, Message, Outcome, Reply, Snapshot};
use crate::clock::{self, Stopwatch};
use crate::enforce::{Desired, EnforceError, Enforcer};
use crate::health::Gauges;
use crate::policy::{
    Action, Alert, BlockRecord, Blocklist, Decision, Exchange, Held, Made, Mode, Offender, Refusal, Sighting,
};
use crate::store::{Event, Refused, Writer};

/// How often blocks are expired, the kernel is compared with what it should hold, and the snapshot is made anew.
const TICK: Duration = Duration::from_secs(1);

/// How long it is shown that somebody changed the table.
const REPAIR_SHOWN: Duration = Duration::from_secs(600);

/// Messages that are carried out before the snapshot is made anew.
const MESSAGES_AT_ONCE: usize = 256;

/// How old may be what is known of the surroundings when a block is decided.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// What may happen often is logged once in this time.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// A block that was held back is tried again after this time.
const HELD_PAUSE: Duration = Duration::from_secs(60);

/// Events that wait for the store. Full: the newest is lost, and counted by the store's writer.
const UNRECORDED: usize = 1_024;

/// Alerts in a snapshot.
pub const SHOWN_ALERTS: usize = 50;

/// What the control thread is made of.
pub struct Keeper {
    /// Where snapshots go.
    pub handle: Handle,
    /// The standing blocks and the rails.
    pub blocklist: Blocklist,
    /// The kernel's side of them; in observe mode a dry one.
    pub enforcer: Box<dyn Enforcer>,
    /// The store's side of them.
    pub writer: Arc<Writer>,
    /// Figures of the packet thread.
    pub gauges: Arc<Gauges>,
    /// Tells the packet thread what became of its decisions.
    pub outcomes: SyncSender<Outcome>,
    /// Who asked and was answered, as the packet thread saw it.
    pub exchanges: Receiver<Exchange>,
    /// What the network around looks like now; asked for now and then, because gateways change.
    pub surroundings: Box<dyn FnMut() -> Surroundings + Send>,
    /// The newest alerts first.
    pub alerts: VecDeque<Alert>,
    /// Events that the store could not take yet.
    pub unrecorded: VecDeque<Event>,
    /// Faults of the start that a person should know of.
    pub start_faults: Vec<String>,
}

/// Addresses that nothing may be done to, and why some of them may be unknown.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Addresses of the box; `None` where they could not be read.
    pub own: Option<Vec<IpAddr>>,
    /// Default gateways.
    pub gateways: Vec<IpAddr>,
    /// Networks of the household, where they follow from the bridge's addresses.
    pub lan: Vec<IpNet>,
    /// A port was removed and made again since the last look.
    pub ports_changed: bool,
    /// What could not be learned.
    pub faults: Vec<String>,
}

impl Keeper {
    /// Runs until told to stop; then everything is taken out of the kernel and written to the disk.
    pub fn run(mut self, messages: &Receiver<Message>) {
        let mut state = State::default();
        self.tick(&mut state);
        let mut since_tick = Stopwatch::start();
        loop {
            match messages.recv_timeout(TICK.saturating_sub(since_tick.elapsed())) {
                Err(RecvTimeoutError::Disconnected) => break,
                Ok(message) => {
                    // What waits is carried out first, and shown once; people are answered when it shows.
                    let waiting = core::iter::once(message).chain(messages.try_iter().take(MESSAGES_AT_ONCE));
                    let mut answers = Vec::new();
                    for message in waiting {
                        if matches!(message, Message::Stop) {
                            return self.stop();
                        }
                        answers.extend(self.take(message, &mut state));
                    }
                    if state.changed_by.is_some() {
                        self.reconcile(clock::now(), &mut state);
                    }
                    self.publish(&state);
                    answers.into_iter().for_each(Answer::give);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if since_tick.elapsed() >= TICK {
                self.tick(&mut state);
                since_tick = Stopwatch::start();
            }
        }
        self.stop();
    }

    /// Carries a message out; what a person who asked is to be told.
    fn take(&mut self, message: Message, state: &mut State) -> Option<Answer> {
        let now = clock::now();
        match message {
            Message::Decision(Decision::Alert(sighting)) => self.alert(sighting.alert()),
            Message::Decision(Decision::Block { sighting, action, evidence_flows }) => {
                self.carry_out(&sighting, action, evidence_flows, now, state);
            }
            Message::Block { address, ttl, because, actor, reply } => {
                self.look_around(state);
                return Some(Answer { outcome: self.block_by_hand(address, ttl, because, actor, state), reply });
            }
            Message::Unblock { address, actor, reply } => {
                return Some(Answer { outcome: self.unblock(address, actor, now), reply });
            }
            Message::TableChanged { by } => state.changed_by = Some(by),
            Message::Stop => {}
        }
        None
    }

    fn alert(&mut self, alert: Alert) {
        self.alerts.truncate(SHOWN_ALERTS - 1);
        self.alerts.push_front(alert.clone());
        self.record(Event::Alert(alert));
    }

    /// Carries a decision of the path out.
    fn carry_out(&mut self, sighting: &Sighting, action: Action, flows: u32, now: Timestamp, state: &mut State) {
        let offender = Offender::of(sighting.source);
        self.look_around(state);
        match self.blocklist.decide(sighting, action, flows, now) {
            Ok(made) => match self.enforce(&made, now) {
                Ok(()) => self.block_made(made, now, state),
                Err(error @ EnforceError::Full { .. }) => {
                    self.blocklist.withdraw(made);
                    self.forgive(offender);
                    state.full = Some(error.to_string());
                }
                // It is kept, and tried again with the next tick.
                Err(error) => {
                    error!("{offender}: {error}");
                    state.enforce_fault = Some(error.to_string());
                    self.block_made(made, now, state);
                }
            },
            Err(Refusal::Protected(why)) => info!("{offender} is not blocked: {why}"),
            Err(Refusal::Stands(until)) => self.tell(Outcome::Blocked { offender, until }),
            Err(Refusal::Held(held)) => self.held_back(offender, held, now),
            Err(Refusal::Full) => {
                self.forgive(offender);
                state.full = Some(ControlError::Full.to_string());
            }
        }
    }

    fn block_by_hand(
        &mut self,
        address: IpAddr,
        ttl: Duration,
        because: String,
        actor: String,
        state: &mut State,
    ) -> Reply {
        let (offender, now) = (Offender::of(address), clock::now());
        if self.mode() == Mode::Observe {
            return Err(ControlError::Observing);
        }
        let wanted = BlockRecord {
            offender,
            action: Action::Deny,
            class: None,
            offence: 0,
            since: now,
            until: now.plus(ttl),
            because: because.into(),
            actor: actor.into(),
        };
        let made = match self.blocklist.block(wanted, now) {
            Ok(made) => made,
            Err(Refusal::Stands(_)) => return Ok(offender),
            Err(Refusal::Protected(why)) => return Err(ControlError::Protected { offender, why: why.to_owned() }),
            // Trips are for the program: what a person wants is not counted.
            Err(Refusal::Full | Refusal::Held(_)) => return Err(ControlError::Full),
        };
        if let Err(error) = self.enforce(&made, now) {
            self.blocklist.withdraw(made);
            return Err(error.into());
        }
        self.block_made(made, now, state);
        Ok(offender)
    }

    fn unblock(&mut self, address: IpAddr, actor: String, now: Timestamp) -> Reply {
        let offender = Offender::of(address);
        let past = self.blocklist.unblock(offender, now).ok_or(ControlError::NotBlocked { offender })?;
        info!("{actor} unblocked {offender}");
        self.forgive(offender);
        self.record(Event::Unblocked { past, actor });
        self.enforcer.unblock(&[offender])?;
        Ok(offender)
    }

    /// Puts a block into the kernel. What it displaced goes first, because there is no room for both; where it does not go,
    /// the comparison with the kernel finds it.
    fn enforce(&mut self, made: &Made, now: Timestamp) -> Result<(), EnforceError> {
        if let Some(displaced) = &made.displaced
            && let Err(error) = self.enforcer.unblock(&[displaced.offender])
        {
            warn!("{}: {error}", displaced.offender);
        }
        self.enforcer.block(&(&made.block).into(), now)
    }

    fn block_made(&mut self, made: Made, now: Timestamp, state: &mut State) {
        let Made { block, displaced, .. } = made;
        if let Some(displaced) = displaced {
            self.given_way(&displaced, now, state);
        }
        let BlockRecord { offender, action, because, actor, until, .. } = &block;
        self.tell(Outcome::Blocked { offender: *offender, until: *until });
        match self.mode() {
            Mode::Enforce => {
                info!("{actor}: {} {offender}: {because}", action.name());
                self.record(Event::Blocked(block));
            }
            // What would be blocked is shown, and must not be restored when the mode changes.
            Mode::Observe => info!("observing; would {} {offender}: {because}", action.name()),
        }
    }

    /// Too much would be blocked. Evidence for this one is weighed anew after a while.
    fn held_back(&mut self, offender: Offender, held: Held, now: Timestamp) {
        self.tell(Outcome::Blocked { offender, until: now.plus(HELD_PAUSE) });
        if held.begins {
            error!("{}", held.trip.fault());
            self.audit(now, format!("holds back {}: there were too many", held.trip.name()));
        }
    }

    fn audit(&mut self, time: Timestamp, what: String) {
        self.record(Event::Audit { time, actor: String::from("sluice"), what });
    }

    /// A block ended before its time, because another one follows from proof and there is no room for both.
    fn given_way(&mut self, displaced: &BlockRecord, now: Timestamp, state: &mut State) {
        state.displaced += 1;
        let fault =
            format!("{}; {} blocks that could be forged gave way to proven ones", ControlError::Full, state.displaced);
        if state.last_displaced.is_none_or(|last| last.elapsed() >= LOG_PAUSE) {
            warn!("{fault}");
            state.last_displaced = Some(Stopwatch::start());
        }
        state.full = Some(fault);
        self.forgive(displaced.offender);
        if self.mode() == Mode::Enforce {
            self.record(Event::Unblocked { past: displaced.ended(now), actor: String::from("sluice") });
        }
    }

    fn forgive(&self, offender: Offender) {
        self.tell(Outcome::Forgiven { offender });
    }

    fn tell(&self, outcome: Outcome) {
        // Where the packet thread is behind, old evidence fades by itself, and what is blocked longer is decided on again.
        let _ = self.outcomes.try_send(outcome);
    }

    /// Writes an event down. What explains or ends a block is kept and tried again where the store is behind; an alert that
    /// it refuses is counted there, and shown as a fault.
    fn record(&mut self, event: Event) {
        if let Err(Refused(event)) = self.writer.send(event)
            && !matches!(event, Event::Alert(_))
            && self.unrecorded.len() < UNRECORDED
        {
            self.unrecorded.push_back(event);
        }
    }

    fn record_what_waits(&mut self) {
        for _ in 0..self.unrecorded.len() {
            let Some(event) = self.unrecorded.pop_front() else { return };
            self.record(event);
        }
    }

    fn mode(&self) -> Mode {
        self.handle.snapshot().mode
    }

    fn tick(&mut self, state: &mut State) {
        let now = clock::now();
        for block in self.blocklist.expire(now) {
            info!("the block of {} has ended", block.offender);
        }
        for trip in self.blocklist.end_quiet_trips(now) {
            info!("ten minutes were quiet: {} are made again", trip.name());
            self.audit(now, format!("makes {} again: ten minutes were quiet", trip.name()));
        }
        self.record_what_waits();
        self.look_around(state);
        self.lift_protected(now);
        self.reconcile(now, state);
        self.publish(state);
        state.full = None;
    }

    /// Who is protected may have changed since the last look: a gateway may have come up a moment ago.
    fn look_around(&mut self, state: &mut State) {
        if state.last_look.is_some_and(|last| last.elapsed() < LOOK_INTERVAL) {
            return;
        }
        state.last_look = Some(Stopwatch::start());
        let around = (self.surroundings)();
        state.unhooked |= around.ports_changed;
        self.blocklist.rails.learn(around.own, around.gateways, around.lan);
        self.blocklist.rails.managers = self.handle.managers.all();
        while let Ok(exchange) = self.exchanges.try_recv() {
            self.blocklist.rails.see(&exchange);
        }
        state.blind_spots = around.faults;
    }

    fn lift_protected(&mut self, now: Timestamp) {
        for past in self.blocklist.lift_protected(now) {
            info!("the block of {} is lifted: it is protected now", past.offender);
            if self.mode() == Mode::Enforce {
                self.record(Event::Unblocked { past, actor: String::from("sluice") });
            }
            if let Err(error) = self.enforcer.unblock(&[past.offender]) {
                // The comparison that follows finds what is left.
                warn!("{}: {error}", past.offender);
            }
        }
    }

    /// Compares the kernel with what it should hold, and puts it right. While observing it should hold nothing.
    fn reconcile(&mut self, now: Timestamp, state: &mut State) {
        if self.mode() == Mode::Observe {
            return;
        }
        let desired = Desired::of(&self.blocklist);
        let changed_by = state.changed_by.take();
        let differs = match self.enforcer.read_back() {
            Ok(found) => desired.differs_from(&found, now),
            Err(error) => {
                state.enforce_fault = Some(error.to_string());
                true
            }
        };
        if !differs && !state.unhooked && state.enforce_fault.is_none() {
            return;
        }
        match self.enforcer.replace(&desired, now) {
            Ok(()) => {
                state.unhooked = false;
                state.enforce_fault = None;
                let what = changed_by.map_or_else(
                    || {
                        String::from(
                            "put the nftables table right after it was changed from outside or a change failed",
                        )
                    },
                    |by| {
                        state.repaired = Some((now, by.clone()));
                        format!("put the nftables table right after {by} had changed it")
                    },
                );
                warn!("{what}");
                self.audit(now, what);
            }
            Err(error) => state.enforce_fault = Some(error.to_string()),
        }
    }

    fn publish(&mut self, state: &State) {
        let last = self.handle.snapshot();
        let mut blocks: Vec<BlockRecord> = self.blocklist.standing().cloned().collect();
        blocks.sort_by_key(|block| core::cmp::Reverse(block.since));
        let count = |counter: &core::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let faults = self.faults(state);
        self.handle.publish(Snapshot {
            time: clock::now(),
            faults,
            packets: count(&self.gauges.packets),
            bytes: count(&self.gauges.bytes),
            ring_drops: count(&self.gauges.ring_drops),
            undecodable: count(&self.gauges.undecodable),
            flows: count(&self.gauges.flows),
            dropped_packets: self.enforcer.dropped_packets().unwrap_or(last.dropped_packets),
            alerts: self.alerts.iter().cloned().collect(),
            blocks,
            started: last.started,
            mode: last.mode,
            model: last.model,
            bridge: last.bridge.clone(),
            ports: last.ports.clone(),
        });
    }

    fn faults(&mut self, state: &State) -> Vec<String> {
        let mut faults = self.start_faults.clone();
        faults.extend(state.blind_spots.iter().cloned());
        faults.extend(self.gauges.port_faults());
        faults.extend(self.gauges.list_faults());
        faults.extend(state.enforce_fault.clone());
        faults.extend(state.full.clone());
        let repaired = state.repaired.iter().filter(|(time, _)| clock::now().since(*time) < REPAIR_SHOWN);
        faults.extend(repaired.map(|(_, by)| {
            format!("{by} changed the nftables table a while ago; it was put right: change sluice.toml instead")
        }));
        faults.extend(self.blocklist.holding().map(|trip| trip.fault().to_owned()));
        faults.extend(self.writer.fault());
        for (count, what) in [
            (
                self.gauges.decisions_delayed.load(Ordering::Relaxed),
                "decisions had to wait: they came faster than they could be carried out",
            ),
            (
                self.gauges.alerts_suppressed.load(Ordering::Relaxed),
                "alerts were left out: there were too many in a minute",
            ),
            (self.writer.dropped(), "events were lost: they came faster than the disk could take them"),
            (
                self.enforcer.hidden_packets().unwrap_or(0),
                "packets passed whatever is blocked: they are behind three VLAN tags, where nftables cannot look",
            ),
        ] {
            if count > 0 {
                faults.push(format!("{count} {what}"));
            }
        }
        if self.blocklist.rails.gateways.is_empty() {
            faults.push(String::from("no gateway is known that must not be blocked: list your router in policy.allow"));
        }
        faults
    }

    fn stop(mut self) {
        self.record_what_waits();
        self.audit(clock::now(), String::from("stopped"));
        if let Err(error) = self.enforcer.remove() {
            error!("the nftables table stays until its blocks end: {error}");
        }
        if let Err(error) = self.writer.flush() {
            error!("not everything is written down: {error}");
        }
    }
}

/// What a tick leaves for the next one.
#[derive(Default)]
struct State {
    enforce_fault: Option<String>,
    /// A block had to be left out since the last tick, because there are too many.
    full: Option<String>,
    /// A port was removed and is back: the kernel's rules do not hold for it until the table is made anew.
    unhooked: bool,
    /// Blocks that gave way to others since the start, and when that was logged last.
    displaced: u64,
    last_displaced: Option<Stopwatch>,
    /// What could not be learned of the surroundings.
    blind_spots: Vec<String>,
    last_look: Option<Stopwatch>,
    /// Who else changed the table since it was last compared.
    changed_by: Option<String>,
    /// When the table was last put right after somebody changed it, and who that was.
    repaired: Option<(Timestamp, String)>,
}

/// What a person who asked for something is to be told.
struct Answer {
    outcome: Reply,
    reply: SyncSender<Reply>,
}

impl Answer {
    fn give(self) {
        // Whoever asked may have gone away meanwhile.
        let _ = self.reply.try_send(self.outcome);
    }
}
