//! Whom nothing is done to, as the network around the box and the allowlist say by now, and what follows for the blocks that stand.

use core::net::IpAddr;
use core::time::Duration;
use std::sync::Arc;

use log::{info, warn};
use traffic::time::Timestamp;

use super::Outcome;
use super::keeper::{Keeper, State};
use crate::clock::Stopwatch;
use crate::policy::{BlockRecord, Neighbourhood, Rails};
use crate::store::Event;

/// How old may be what is known of the surroundings when a block is decided.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

impl Keeper {
    /// Who is protected may have changed since the last look: a gateway may have come up a moment ago.
    pub(super) fn look_around(&mut self, state: &mut State) {
        if state.last_look.is_some_and(|last| last.elapsed() < LOOK_INTERVAL) {
            return;
        }
        state.last_look = Some(Stopwatch::start());
        let around = (self.surroundings)(&self.settings);
        state.unhooked |= around.ports_changed;
        self.gauges.set_own_mac(around.own_mac);
        (state.internet_port, state.placement) = (around.internet_port, around.placement);
        state.blind_spots = around.tell(&mut self.blocklist.rails);
        self.tell_neighbourhood(state);
        self.tell_tuning(state);
        self.blocklist.rails.managers = self.handle.managers.all();
        while let Ok(exchange) = self.exchanges.try_recv() {
            self.blocklist.rails.see(&exchange);
        }
    }

    /// Tells the packet thread what the network looks like, where that has changed or was not taken.
    fn tell_neighbourhood(&self, state: &mut State) {
        let Rails { lan, routers, .. } = &self.blocklist.rails;
        let around = Neighbourhood { lan: lan.clone(), routers: routers.clone(), internet_port: state.internet_port };
        if state.told.as_deref() != Some(&around) {
            let around = Arc::new(around);
            let taken = self.outcomes.try_send(Outcome::Around(Arc::clone(&around))).is_ok();
            state.told = taken.then_some(around);
        }
    }

    pub(super) fn lift_protected(&mut self, now: Timestamp) {
        for block in self.blocklist.lift_protected(now) {
            // Once it is protected no more, it is no more blocked either.
            self.forgive(block.subject);
            if !block.is_enforced() {
                continue;
            }
            info!("the block of {} is lifted: it is protected now", block.subject);
            self.record(Event::Unblocked { past: block.ended(now), actor: String::from("sluice") });
            if self.pause.is_none()
                && let Err(error) = self.enforcer.unblock(&[block.subject])
            {
                // The comparison that follows finds what is left.
                warn!("{}: {error}", block.subject);
            }
        }
        for block in self.blocklist.soften_needed(now).into_iter().filter(BlockRecord::is_enforced) {
            info!("{} is blocked by {} only: the household needs its answers", block.subject, block.action.name());
            if self.pause.is_none()
                && let Err(error) = self.enforcer.block(&(&block).into(), now)
            {
                warn!("{}: {error}", block.subject);
            }
            self.record(Event::Blocked(block));
        }
    }

    /// Takes in what addresses a name of the allowlist has.
    pub(super) fn resolved(&mut self, name: String, addresses: Vec<IpAddr>, now: Timestamp, state: &mut State) {
        if self.blocklist.rails.allow.resolved(&name, addresses.clone()) {
            info!("{name} of the allowlist is {addresses:?} now");
            self.record(Event::Resolved { name, addresses });
            self.lift_protected(now);
            state.is_stale = true;
        }
    }
}
