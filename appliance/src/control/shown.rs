//! What the control thread shows: the snapshot, and the faults that a person should see to.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use log::{Level, log};
use traffic::time::Timestamp;

use super::keeper::{Keeper, REPAIR_SHOWN, State};
use super::{Pause, Snapshot};
use crate::clock;
use crate::policy::{Alert, BlockRecord, Subject};

impl Keeper {
    /// Makes the snapshot anew.
    pub(super) fn publish(&mut self, state: &State) {
        let (last, now) = (self.handle.snapshot(), clock::now());
        let mut blocks: Vec<BlockRecord> = self.blocklist.standing().cloned().collect();
        blocks.sort_by_key(|block| core::cmp::Reverse(block.since));
        let dropped_packets = self.dropped_packets(state).unwrap_or(last.dropped_packets);
        let count = |counter: &core::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let faults = self.faults(state);
        let cannot_enforce = self.cannot_enforce(state);
        self.handle.publish(Snapshot {
            time: now,
            is_starting: count(&self.gauges.beats) == 0,
            paused_left: self.pause.and_then(Pause::left),
            cannot_enforce,
            acknowledged: state.acknowledged,
            faults,
            packets: count(&self.gauges.packets),
            bytes: count(&self.gauges.bytes),
            ring_drops: count(&self.gauges.ring_drops),
            passed_over: count(&self.gauges.passed_over),
            undecodable: count(&self.gauges.undecodable),
            flows: count(&self.gauges.flows),
            dropped_packets,
            alerts: self.alerts.iter().cloned().collect(),
            device_addresses: self.device_addresses(&blocks, now),
            blocks,
            allowances: self.blocklist.rails.allow.allowances().cloned().collect(),
            allowed_names: self.blocklist.rails.allow.names().map(str::to_owned).collect(),
            started: last.started,
            modes: *self.blocklist.modes(),
            models: self.judges.shown(self.gauges.compared(), self.settings.model.drift_alarm),
            bridge: last.bridge.clone(),
            ports: last.ports.clone(),
            internet_port: state.internet_port.map(|port| port.of(&last.ports).clone()),
            placement: state.placement,
            page: self.gauges.page.get(),
        });
    }

    /// Nobody knows a device of his by the number of its network card.
    fn device_addresses(&self, blocks: &[BlockRecord], now: Timestamp) -> BTreeMap<Subject, Vec<IpAddr>> {
        let told_of = blocks.iter().map(|block| block.subject).chain(self.alerts.iter().map(Alert::offender));
        let devices = told_of.filter(|subject| matches!(subject, Subject::Device(_)));
        devices.map(|device| (device, self.blocklist.rails.addresses_of(device, now))).collect()
    }

    /// A line of the log for each alert; how many there are in a minute is bounded where they are raised. What a device of the
    /// household does is a warning: somebody should look at that device.
    pub(super) fn log_alert(&self, alert: &Alert) {
        let Alert { number, class, source, destination, because, .. } = alert;
        let offender = alert.offender();
        let who = if offender == Subject::of(*source) { String::new() } else { format!(" ({offender})") };
        let port = alert.port.map(|port| format!(" port {port}")).unwrap_or_default();
        let level = if self.blocklist.rails.is_at_home(offender) { Level::Warn } else { Level::Info };
        log!(level, "alert {number}: {} by {source}{who} against {destination}{port}: {because}", class.name());
    }

    /// Attackers are not stopped though they should be, or not all of them, or none is recognised.
    fn cannot_enforce(&self, state: &State) -> bool {
        let is_wanted = self.blocklist.modes().may_block() && self.pause.is_none();
        let holds_back = self.blocklist.holding().next().is_some() || state.full.is_some();
        state.hangs || is_wanted && (state.stands.is_none() || state.enforce_fault.is_some() || holds_back)
    }

    fn dropped_packets(&mut self, state: &State) -> Option<u64> {
        state.stands.as_ref().and_then(|_| self.enforcer.dropped_packets().ok())
    }

    fn faults(&mut self, state: &State) -> Vec<String> {
        let mut faults = self.start_faults.clone();
        faults.extend(state.blind_spots.iter().cloned());
        faults.extend(self.gauges.port_faults.get());
        faults.extend(self.gauges.selftest_faults.get());
        if state.hangs {
            faults.push(String::from("the packet thread hangs: nothing new is recognised; restart sluice"));
        }
        faults.extend(self.gauges.list_faults.get());
        let allow = &self.blocklist.rails.allow;
        faults.extend(self.gauges.failed_names.get().iter().filter_map(|name| allow.unprotected(name)));
        faults.extend(self.gauges.order_fault.get());
        faults.extend(self.gauges.page_fault.get());
        faults.extend(self.gauges.front_faults.get());
        faults.extend(self.gauges.watchdog_fault.get());
        faults.extend(self.gauges.board_faults.get());
        faults.extend(self.model_faults());
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
                state.stands.as_ref().map_or(0, |_| self.enforcer.hidden_packets().unwrap_or(0)),
                "packets passed whatever is blocked: they are behind three VLAN tags, where nftables cannot look",
            ),
        ] {
            if count > 0 {
                faults.push(format!("{count} {what}"));
            }
        }
        if !self.blocklist.rails.know_a_gateway() {
            faults.push(String::from("no gateway is known that must not be blocked: list your router in policy.allow"));
        }
        faults
    }
}
