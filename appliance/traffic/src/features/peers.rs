//! Peers: what the source did, and what was done to the destination, over all flows of the last seconds.

use super::{Index, Values};
use crate::flow::Flow;
use crate::windows::Surroundings;

pub(super) fn fill(values: &mut Values, flow: &Flow, surroundings: &Surroundings) {
    let ([short, long], awaited) = (&surroundings.source, surroundings.awaited);
    values.set(Index::SrcFlows2s, short.flows.begun as f32);
    values.set(Index::SrcPorts2s, short.ports);
    values.set(Index::SrcHosts2s, short.hosts);
    values.set(Index::SrcUnanswered2s, short.unanswered_share(awaited));
    values.set(Index::SrcRefused2s, short.refused_share());
    values.set(Index::SrcUnfinished2s, short.unfinished_share(awaited));
    values.set(Index::SrcFlows60s, long.flows.begun as f32);
    values.set(Index::SrcPorts60s, long.ports);
    values.set(Index::SrcHosts60s, long.hosts);
    values.set(Index::SrcPortsPerHost60s, long.ports_per_host());
    values.set(Index::SrcServicesPerHost60s, long.services_per_host());
    values.set(Index::SrcUnanswered60s, long.unanswered_share(awaited));
    values.set(Index::SrcRefused60s, long.refused_share());
    values.set(Index::SrcUnfinished60s, long.unfinished_share(awaited));
    values.set(Index::SrcHalfOpen60s, long.half_open as f32);
    values.set(Index::SrcLogins60s, long.logins as f32);
    values.set(Index::SrcShortLogins60s, long.short_logins as f32);
    values.set(Index::SrcMeagreLogins60s, long.meagre_logins as f32);

    let [host_short, _] = &surroundings.host;
    values.set(Index::DstFlows2s, host_short.flows.begun as f32);
    values.set(Index::DstSources2s, host_short.sources);
    let [service_short, service_long] = &surroundings.service;
    values.set(Index::DstServiceFlows2s, service_short.flows.begun as f32);
    values.set(Index::DstServiceUnfinished2s, service_short.flows.unfinished_share());
    values.set(Index::DstServiceFlows60s, service_long.flows.begun as f32);
    values.set(Index::DstServiceSources60s, service_long.sources);
    let [pair_short, pair_long] = &surroundings.pair;
    values.set(Index::PairFlows2s, pair_short.flows as f32);
    values.set(Index::PairFlows60s, pair_long.flows as f32);
    values.set(Index::PairOpen60s, pair_long.open() as f32);
    values.set(Index::PairShortLogins60s, pair_long.short_logins as f32);
    values.set(Index::PairMeagreLogins60s, pair_long.meagre_logins as f32);
    values.set(Index::PairFailedLogins60s, pair_long.failed_logins as f32);
    values.set(Index::PairRefusedLogins60s, pair_long.refused_in_vain() as f32);
    values.set(Index::PairMissing60s, pair_long.missed_in_vain() as f32);
    let [_, leak_long] = &surroundings.leak;
    values.set(Index::SrcLongNames60s, leak_long.names());
    values.set(Index::PairResizedPings60s, leak_long.resized_pings as f32);
    values.set(Index::PairPingSizes60s, leak_long.ping_sizes());
    // What else the source does is not to be taken for a probe: packets can be forged in its name, or be another device's of its /64.
    values.set(Index::SrcOddProbes60s, if flow.is_odd { long.odd_probes as f32 } else { 0.0 });
}
