//! The control thread: keeps the blocks as they should be, writes down what happened, and shows it.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};

use ipnet::IpNet;
use log::{error, info, warn};
use traffic::address::Mac;
use traffic::time::Timestamp;

use super::pulse::Pulse;
use super::{ControlError, Handle, Judges, Message, Outcome, Pause, Reply, Settings};
use crate::capture::Port;
use crate::clock::{self, Stopwatch};
use crate::enforce::{Desired, EnforceError, Enforcer};
use crate::health::Gauges;
use crate::policy::{
    Action, Alert, BlockRecord, BlockState, Blocklist, Decision, Exchange, Held, Made, Neighbourhood, Rails, Refusal,
    Sighting, Subject, Tuning,
};
use crate::store::{Event, Refused, Writer};
use crate::surroundings::Placement;

/// How often blocks are expired, the kernel is compared with what it should hold, and the snapshot is made anew.
const TICK: Duration = Duration::from_secs(1);

/// How long it is shown that somebody changed the table.
pub(super) const REPAIR_SHOWN: Duration = Duration::from_secs(600);

/// Messages that are carried out before the snapshot is made anew.
const MESSAGES_AT_ONCE: usize = 256;

/// What may happen often is logged once in this time.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// A block that was held back is tried again after this time.
const HELD_PAUSE: Duration = Duration::from_secs(60);

/// How long evidence against one that is protected counts as settled.
const PROTECTED_PAUSE: Duration = Duration::from_secs(600);

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
    /// The kernel's side of them.
    pub enforcer: Box<dyn Enforcer>,
    /// What the table in the kernel was made for at the start, but the blocks.
    pub restored: Option<Desired>,
    /// Nothing is in the kernel for a while.
    pub pause: Option<Pause>,
    /// What it goes by.
    pub settings: Settings,
    /// The models that judge.
    pub judges: Judges,
    /// The store's side of them.
    pub writer: Arc<Writer>,
    /// Figures of the packet thread.
    pub gauges: Arc<Gauges>,
    /// Tells the packet thread what became of its decisions.
    pub outcomes: SyncSender<Outcome>,
    /// Who asked and was answered, as the packet thread saw it.
    pub exchanges: Receiver<Exchange>,
    /// What the network around looks like now; asked for now and then, because gateways change.
    pub surroundings: Box<dyn FnMut(&Settings) -> Surroundings + Send>,
    /// The newest alerts first.
    pub alerts: VecDeque<Alert>,
    /// The number that the next one gets. Those that a power cut took before they were written are given again.
    pub next_alert: u64,
    /// Events that the store could not take yet.
    pub unrecorded: VecDeque<Event>,
    /// Faults of the start that a person should know of.
    pub start_faults: Vec<String>,
}

/// What the network around the box looks like: most of it is who nothing may be done to.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Addresses of the box; `None` where they could not be read.
    pub own: Option<Vec<IpAddr>>,
    /// Default gateways by the kernel's routes.
    pub gateways: Vec<IpAddr>,
    /// Gateways that announce themselves, and other addresses of gateways.
    pub heard_gateways: Vec<IpAddr>,
    /// MACs of all gateways.
    pub gateway_macs: Vec<Mac>,
    /// The port that faces the internet, where it is known.
    pub internet_port: Option<Port>,
    /// Where the box stands.
    pub placement: Placement,
    /// Servers of names that are announced.
    pub resolvers: Vec<IpAddr>,
    /// Servers of addresses that are announced.
    pub dhcp_servers: Vec<IpAddr>,
    /// Networks of the household, where they follow from the bridge's addresses or else from what is announced.
    pub lan: Vec<IpNet>,
    /// The MAC of the box.
    pub own_mac: Option<Mac>,
    /// A port was removed and made again since the last look.
    pub ports_changed: bool,
    /// What could not be learned.
    pub faults: Vec<String>,
}

impl Surroundings {
    /// Tells the rails whom to protect; what could not be learned is left over.
    pub fn tell(self, rails: &mut Rails) -> Vec<String> {
        rails.learn(self.own, self.gateways, &self.lan);
        rails.routers = self.gateway_macs.into_iter().chain(self.own_mac).collect();
        rails.hear(self.heard_gateways, self.resolvers.into_iter().chain(self.dhcp_servers));
        self.faults
    }
}

impl Keeper {
    /// Runs until told to stop; then everything is taken out of the kernel and written to the disk.
    pub fn run(mut self, messages: &Receiver<Message>) {
        let mut state = State { stands: self.restored.take(), ..State::default() };
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
                        if let Message::Stop { leaves_table } = message {
                            return self.stop(leaves_table);
                        }
                        answers.extend(self.take(message, &mut state));
                    }
                    if state.is_stale || state.changed_by.is_some() {
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
        self.stop(false);
    }

    /// Carries a message out; what a person who asked is to be told.
    fn take(&mut self, message: Message, state: &mut State) -> Option<Answer> {
        let now = clock::now();
        match message {
            Message::Decision(Decision::Alert(sighting)) => self.alert(&sighting),
            Message::Decision(Decision::Block { sighting, subject, action, evidence_flows }) => {
                self.carry_out(&sighting, subject, action, evidence_flows, now, state);
            }
            Message::Request { request, actor, reply } => {
                self.look_around(state);
                return Some(Answer::Asked { outcome: self.answer(request, actor, now, state), reply });
            }
            Message::Models { change, stored, actor, reply } => {
                return Some(Answer::Asked { outcome: self.change_models(change, stored, &actor, now), reply });
            }
            Message::Configure { settings, loads, actor, reply } => {
                self.configure(*settings, loads, &actor, now, state);
                return Some(Answer::Configured(reply));
            }
            Message::Resolved { name, addresses } => self.resolved(name, addresses, now, state),
            Message::TableChanged { by } => state.changed_by = Some(by),
            Message::Stop { .. } => {}
        }
        None
    }

    fn alert(&mut self, sighting: &Sighting) {
        let alert = sighting.alert(self.next_alert);
        self.next_alert += 1;
        self.log_alert(&alert);
        self.alerts.truncate(SHOWN_ALERTS - 1);
        self.alerts.push_front(alert.clone());
        self.record(Event::Alert(alert));
    }

    /// Carries a decision of the path out.
    fn carry_out(
        &mut self,
        sighting: &Sighting,
        subject: Subject,
        action: Action,
        flows: u32,
        now: Timestamp,
        state: &mut State,
    ) {
        self.look_around(state);
        match self.blocklist.decide(sighting, subject, action, flows, now) {
            Ok(made) => match self.enforce(&made, now) {
                Ok(()) => self.block_made(made, now, state),
                Err(error @ EnforceError::Full { .. }) => {
                    self.blocklist.withdraw(made);
                    self.forgive(subject);
                    state.full = Some(error.to_string());
                }
                // It is kept, and tried again with the next tick.
                Err(error) => {
                    error!("{subject}: {error}");
                    state.enforce_fault = Some(error.to_string());
                    self.block_made(made, now, state);
                }
            },
            // What protects it may end: evidence is weighed anew after a while.
            Err(Refusal::Protected(why)) => {
                info!("{subject} is not blocked: {why}");
                self.tell(Outcome::Blocked { subject, until: now.plus(PROTECTED_PAUSE) });
            }
            Err(Refusal::Stands(until)) => self.tell(Outcome::Blocked { subject, until }),
            Err(Refusal::Held(held)) => self.held_back(subject, held, now),
            Err(Refusal::Full | Refusal::NotProposed) => {
                self.tell(Outcome::Blocked { subject, until: now.plus(HELD_PAUSE) });
                state.full = Some(ControlError::Full.to_string());
            }
        }
    }

    /// Puts a block into the kernel, if it is to be done. What it displaced goes first, because there is no room for both;
    /// where it does not go, the comparison with the kernel finds it.
    pub(super) fn enforce(&mut self, made: &Made, now: Timestamp) -> Result<(), EnforceError> {
        if !made.block.is_enforced() || self.pause.is_some() {
            return Ok(());
        }
        if let Some(displaced) = &made.displaced
            && let Err(error) = self.enforcer.unblock(&[displaced.subject])
        {
            warn!("{}: {error}", displaced.subject);
        }
        self.enforcer.block(&(&made.block).into(), now)
    }

    pub(super) fn block_made(&mut self, made: Made, now: Timestamp, state: &mut State) {
        let Made { block, before, displaced } = made;
        if let Some(displaced) = displaced {
            self.given_way(&displaced, now, state);
        }
        let BlockRecord { subject, action, because, actor, .. } = &block;
        self.tell(Outcome::Blocked { subject: *subject, until: block.settles_until(*action, now) });
        let action = action.name();
        match block.state {
            BlockState::Enforced | BlockState::Observed if is_limit_that_goes_on(&block, before.as_ref()) => {}
            BlockState::Enforced => {
                info!("{actor}: {action} {subject}: {because}");
                self.record(Event::Blocked(block));
            }
            BlockState::Proposed => {
                info!("asking whether to {action} {subject}: {because}");
                self.audit(now, format!("proposes to block {subject} ({action}): {because}"));
            }
            BlockState::Observed => {
                info!("observing; would {action} {subject}: {because}");
                self.record(Event::Observed(block));
            }
        }
    }

    /// Too much would be blocked. Evidence for this one is weighed anew after a while.
    fn held_back(&mut self, subject: Subject, held: Held, now: Timestamp) {
        self.tell(Outcome::Blocked { subject, until: now.plus(HELD_PAUSE) });
        if held.begins {
            error!("{}", held.trip.fault());
            self.audit(now, format!("holds back {}: there were too many", held.trip.name()));
        }
    }

    pub(super) fn audit(&mut self, time: Timestamp, what: String) {
        self.audit_by("sluice", time, what);
    }

    pub(super) fn audit_by(&mut self, actor: &str, time: Timestamp, what: String) {
        self.record(Event::Audit { time, actor: actor.to_owned(), what });
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
        self.forgive(displaced.subject);
        if displaced.is_enforced() {
            self.record(Event::Unblocked { past: displaced.ended(now), actor: String::from("sluice") });
        }
    }

    pub(super) fn forgive(&self, subject: Subject) {
        self.tell(Outcome::Forgiven { subject });
    }

    pub(super) fn tell(&self, outcome: Outcome) {
        // Where the packet thread is behind, old evidence fades by itself, and what is blocked longer is decided on again.
        let _ = self.outcomes.try_send(outcome);
    }

    /// Writes an event down. What explains or ends a block is kept and tried again where the store is behind; an alert that
    /// it refuses is counted there, and shown as a fault.
    pub(super) fn record(&mut self, event: Event) {
        let is_alert = matches!(event, Event::Alert(_));
        // What waits goes first: a block must not be written down behind its end.
        let refused =
            if is_alert || self.unrecorded.is_empty() { self.writer.send(event).err() } else { Some(Refused(event)) };
        if let Some(Refused(event)) = refused
            && !is_alert
            && self.unrecorded.len() < UNRECORDED
        {
            self.unrecorded.push_back(event);
        }
    }

    fn record_what_waits(&mut self) {
        while let Some(event) = self.unrecorded.pop_front() {
            if let Err(Refused(event)) = self.writer.send(event) {
                return self.unrecorded.push_front(event);
            }
        }
    }

    fn tick(&mut self, state: &mut State) {
        let now = clock::now();
        self.gauges.control_beats.fetch_add(1, Ordering::Relaxed);
        self.follow_clock(now, state);
        self.follow_pause(now, state);
        self.expire(now);
        for trip in self.blocklist.end_quiet_trips(now) {
            info!("ten minutes were quiet: {} are made again", trip.name());
            self.audit(now, format!("makes {} again: ten minutes were quiet", trip.name()));
        }
        self.record_what_waits();
        self.look_around(state);
        self.tell_models();
        self.lift_protected(now);
        self.keep_alive(state);
        self.reconcile(now, state);
        self.publish(state);
        state.full = None;
    }

    /// Boards without a clock of their own set it once they are on the net: what was promised by the old one is put right.
    fn follow_clock(&mut self, now: Timestamp, state: &mut State) {
        if let Some(last) = state.last_tick.replace(now).filter(|last| last.is_from_before_a_reset(now)) {
            warn!("the clock was set back by {} s", last.since(now).as_secs());
            self.blocklist.clock_set_back(last.since(now));
            // Or a restart would bring them back until the time that the wrong clock said.
            let standing: Vec<BlockRecord> =
                self.blocklist.standing().filter(|block| block.is_enforced()).cloned().collect();
            standing.into_iter().for_each(|block| self.record(Event::Blocked(block)));
        }
    }

    fn expire(&mut self, now: Timestamp) {
        for block in self.blocklist.expire(now) {
            match block.state {
                BlockState::Proposed => info!("nobody approved to block {}", block.subject),
                BlockState::Enforced => info!("the block of {} has ended", block.subject),
                BlockState::Observed => {}
            }
        }
        for allowance in self.blocklist.rails.allow.expire(now) {
            info!("{} is no longer allowed", allowance.allowed);
            self.record(Event::Disallowed { time: now, allowed: allowance.allowed, actor: String::from("sluice") });
        }
    }

    /// Keeps a table that closes by itself open, as long as packets are looked at.
    fn keep_alive(&mut self, state: &mut State) {
        state.hangs = !state.pulse.is_felt(self.gauges.beats.load(Ordering::Relaxed));
        if !state.hangs
            && state.stands.is_some()
            && let Err(error) = self.enforcer.keep_alive()
        {
            state.enforce_fault = Some(error.to_string());
        }
    }

    /// Compares the kernel with what it should hold, and puts it right. While everything is only observed, and in a pause, it holds
    /// nothing.
    fn reconcile(&mut self, now: Timestamp, state: &mut State) {
        let changed_by = state.changed_by.take();
        state.is_stale = false;
        if !self.blocklist.modes().may_block() || self.pause.is_some() {
            return self.clear(state);
        }
        state.is_clear = false;
        let desired = Desired::of(&self.blocklist, self.settings.tuning.limit_per_s);
        let is_new = !state.stands.as_ref().is_some_and(|stands| stands.is_furnished_as(&desired));
        let is_well = !is_new && changed_by.is_none() && !state.unhooked && state.enforce_fault.is_none();
        if is_well && self.enforcer.is_unchanged() {
            return;
        }
        let differs = match self.enforcer.read_back() {
            Ok(found) => desired.differs_from(&found, now),
            Err(error) => {
                if !is_new {
                    state.enforce_fault = Some(error.to_string());
                }
                true
            }
        };
        if !differs && !is_new && !state.unhooked && state.enforce_fault.is_none() {
            return;
        }
        match self.enforcer.replace(&desired, now) {
            Ok(()) => {
                state.unhooked = false;
                state.enforce_fault = None;
                state.stands = Some(desired.without_blocks());
                if is_new && changed_by.is_none() {
                    return;
                }
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

    /// Takes what may stand in the kernel out of it.
    fn clear(&mut self, state: &mut State) {
        if state.is_clear {
            return;
        }
        match self.enforcer.remove() {
            Ok(()) => (state.is_clear, state.stands, state.enforce_fault) = (true, None, None),
            Err(error) => {
                state.enforce_fault = Some(format!("what stood in the kernel may stand until it ends: {error}"));
            }
        }
    }

    fn stop(mut self, leaves_table: bool) {
        self.record_what_waits();
        self.audit(clock::now(), String::from("stopped"));
        if leaves_table {
            // One that closes by itself gives the next program all of its time; where none stands there is nothing to keep open.
            let _ = self.enforcer.keep_alive();
        } else if let Err(error) = self.enforcer.remove() {
            error!("the nftables table stays until its blocks end: {error}");
        }
        if let Err(error) = self.writer.flush() {
            error!("not everything is written down: {error}");
        }
    }
}

/// What a tick leaves for the next one.
#[derive(Default)]
pub(super) struct State {
    pub(super) enforce_fault: Option<String>,
    /// What the table in the kernel was made for, but the blocks; none where it is not known to stand.
    pub(super) stands: Option<Desired>,
    /// What a person asked for takes more than the change of a block.
    pub(super) is_stale: bool,
    /// Nothing of ours is in the kernel.
    pub(super) is_clear: bool,
    /// What the packet thread knows of the network.
    pub(super) told: Option<Arc<Neighbourhood>>,
    /// How it decides.
    pub(super) tuned: Option<Tuning>,
    /// A block had to be left out since the last tick, because there are too many.
    pub(super) full: Option<String>,
    /// When somebody said that he knows of the attacks until then.
    pub(super) acknowledged: Option<Timestamp>,
    /// A port was removed and is back: the kernel's rules do not hold for it until the table is made anew.
    pub(super) unhooked: bool,
    /// Blocks that gave way to others since the start, and when that was logged last.
    pub(super) displaced: u64,
    pub(super) last_displaced: Option<Stopwatch>,
    pub(super) last_tick: Option<Timestamp>,
    pub(super) pulse: Pulse,
    /// The packet thread does not live.
    pub(super) hangs: bool,
    /// What could not be learned of the surroundings.
    pub(super) blind_spots: Vec<String>,
    pub(super) last_look: Option<Stopwatch>,
    /// What is shown of the surroundings.
    pub(super) internet_port: Option<Port>,
    pub(super) placement: Placement,
    /// Who else changed the table since it was last compared.
    pub(super) changed_by: Option<String>,
    /// When the table was last put right after somebody changed it, and who that was.
    pub(super) repaired: Option<(Timestamp, String)>,
}

/// What who asked for something is to be told.
enum Answer {
    Asked { outcome: Reply, reply: SyncSender<Reply> },
    Configured(SyncSender<()>),
}

impl Answer {
    fn give(self) {
        // Whoever asked may have gone away meanwhile.
        match self {
            Self::Asked { outcome, reply } => drop(reply.try_send(outcome)),
            Self::Configured(reply) => drop(reply.try_send(())),
        }
    }
}

/// A limit is prolonged every minute; its row is there.
fn is_limit_that_goes_on(block: &BlockRecord, before: Option<&BlockRecord>) -> bool {
    let goes_on = before.is_some_and(|before| before.state == block.state);
    block.action == Action::Limit && block.class.is_some() && goes_on
}

#[cfg(test)]
mod tests;
