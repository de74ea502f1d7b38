//! What evidence adds up to, on made-up histories.

use super::*;
use crate::policy::Profile;
use crate::verdict::rules::{Comparison, Condition, Rule};
use crate::verdict::{BUILT_IN, Basis, Origin};
use traffic::address::Mac;
use traffic::features::{FEATURE_COUNT, FeatureVector};

const TTL: Duration = Duration::from_secs(600);

/// A source that does things, and what was decided about it.
struct Case {
    evidence: Evidence,
    decisions: Vec<(u64, &'static str)>,
    /// Classes of the blocks.
    classes: Vec<ThreatClass>,
    /// Whom or what they are about.
    subjects: Vec<Subject>,
    /// The network card that the source's frames come from.
    device: Option<Mac>,
    /// What says so.
    basis: Basis,
    /// Each flow of a flood goes to another port.
    goes_to_many_ports: bool,
    /// How many flows of floods there were.
    of_floods: u16,
    /// How long flows were silent before they are seen; below 0, by how much the clock was set back after their last packet.
    silent_s: i64,
    /// Nobody takes decisions.
    refusing: bool,
}

impl Case {
    fn new(profile: Profile) -> Self {
        let evidence = Evidence::new(
            8_192,
            &Tuning { thresholds: profile.thresholds(), block_ttl: TTL, limit_per_s: 100 },
            [1, 2],
        );
        Self {
            evidence,
            decisions: Vec::new(),
            classes: Vec::new(),
            subjects: Vec::new(),
            device: None,
            basis: Basis::Model(&BUILT_IN),
            goes_to_many_ports: false,
            of_floods: 0,
            silent_s: 0,
            refusing: false,
        }
    }

    /// A new flow that looks like an attack, seen once.
    fn flow(&mut self, at_s: u64, address: &str, confidence: f32, proven: bool) {
        self.again(at_s, address, (0.0, false), (confidence, proven));
    }

    /// A flow that was taken for one thing and now is taken for another.
    fn again(&mut self, at_s: u64, address: &str, before: (f32, bool), after: (f32, bool)) {
        let verdict = |confidence| Verdict {
            class: if confidence > 0.0 { ThreatClass::Scan } else { ThreatClass::Benign },
            confidence,
        };
        let known = |(confidence, proven)| FlowVerdict { worst: verdict(confidence), proven };
        self.sighting(at_s, address, verdict(after.0), [0.0; FEATURE_COUNT], known(before), known(after));
    }

    /// A new flow that looks like part of a flood, of which `of_source` flows in 2 s and in 60 s are the source's.
    fn flood(&mut self, at_s: u64, address: &str, of_source: f32, of_all: f32) {
        let mut features = [0.0; FEATURE_COUNT];
        self.of_floods = self.of_floods.wrapping_add(1);
        let of_service = if self.goes_to_many_ports { 1.0 } else { of_all };
        for (index, value) in [
            (Index::SrcFlows2s, of_source),
            (Index::SrcFlows60s, of_source),
            (Index::DstFlows2s, of_all),
            (Index::DstSources2s, of_all / of_source),
            (Index::DstServiceFlows2s, of_service),
            (Index::DstServiceFlows60s, of_service),
            (Index::DstServiceSources60s, of_service / of_source),
        ] {
            features[index as usize] = value;
        }
        let verdict = Verdict { class: ThreatClass::Flood, confidence: 0.99 };
        let benign = Verdict { class: ThreatClass::Benign, confidence: 0.0 };
        let known = |worst| FlowVerdict { worst, proven: false };
        self.sighting(at_s, address, verdict, features, known(benign), known(verdict));
    }

    fn sighting(
        &mut self,
        at_s: u64,
        address: &str,
        verdict: Verdict,
        features: FeatureVector,
        before: FlowVerdict,
        after: FlowVerdict,
    ) {
        let sighting = self.seen(at_s, address, verdict, features, after.proven);
        let Self { evidence, decisions, classes, subjects, refusing, .. } = self;
        evidence.add(&sighting, before, after, &mut |decision| {
            let what = match decision {
                Decision::Alert(_) => "alert",
                Decision::Block { subject, action, sighting, .. } => {
                    classes.push(sighting.verdict.class);
                    subjects.push(subject);
                    action.name()
                }
            };
            decisions.push((at_s, what));
            !*refusing
        });
    }

    fn seen(&self, at_s: u64, address: &str, verdict: Verdict, features: FeatureVector, proven: bool) -> Sighting {
        Sighting {
            time: Timestamp::from_secs(1_000 + at_s),
            last_packet: Timestamp::from_secs((1_000 + at_s).saturating_add_signed(-self.silent_s)),
            source: address.parse().expect("address"),
            origin: Some(Origin { device: self.device, is_inside: true, is_routed: false }),
            protocol: 6,
            destination: "198.51.100.10".parse().expect("address"),
            port: Some(if self.goes_to_many_ports { self.of_floods } else { 22 }),
            verdict,
            basis: self.basis,
            features,
            flow_packets: 1,
            proven,
        }
    }

    /// So many flows that were harmless, and answered.
    fn harmless(&mut self, at_s: u64, address: &str, flows: u32) {
        let subject = Subject::offender(self.device, address.parse().expect("address"));
        for _ in 0..flows {
            self.evidence.relieve(subject, 0.99, Timestamp::from_secs(1_000 + at_s));
        }
    }

    /// The flow that leads to a block, where each comes with so many harmless ones.
    fn blocked_at(&mut self, confidence: f32, harmless: u32) -> Option<u32> {
        (1..=100).find(|_| {
            self.flow(0, "203.0.113.9", confidence, true);
            self.harmless(0, "203.0.113.9", harmless);
            self.said().contains(&"deny")
        })
    }

    fn alert_at_once(&mut self, at_s: u64, address: &str) {
        let verdict = Verdict { class: ThreatClass::Botnet, confidence: 0.9 };
        let listed = self.seen(at_s, address, verdict, [0.0; FEATURE_COUNT], false);
        let decisions = &mut self.decisions;
        self.evidence.alert_at_once(&listed, &mut |_| {
            decisions.push((at_s, "alert"));
            true
        });
    }

    fn said(&self) -> Vec<&'static str> {
        self.decisions.iter().map(|(_, what)| *what).collect()
    }
}

#[test]
fn one_flow_raises_an_alert_at_most_and_five_block() {
    let mut case = Case::new(Profile::Balanced);
    case.flow(0, "203.0.113.9", 1.0, false);
    assert_eq!(case.said(), ["alert"]);
    for _ in 0..3 {
        case.flow(0, "203.0.113.9", 1.0, false);
    }
    assert_eq!(case.said(), ["alert"]);
    case.flow(0, "203.0.113.9", 1.0, false);
    assert_eq!(case.said(), ["alert", "deny_new"]);
}

#[test]
fn profiles_differ_in_how_many_flows_it_takes() {
    for (profile, flows) in [(Profile::Strict, 2), (Profile::Balanced, 5), (Profile::Lenient, 7)] {
        let mut case = Case::new(profile);
        let blocked_at = (1..20).find(|_| {
            case.flow(0, "203.0.113.9", 0.99, false);
            case.said().contains(&"deny_new")
        });
        assert_eq!(blocked_at, Some(flows), "{profile:?}");
    }
}

#[test]
fn harmless_flows_speak_for_their_source_and_hide_no_attack() {
    let blocked_at = |confidence, harmless| Case::new(Profile::Balanced).blocked_at(confidence, harmless);
    assert_eq!((blocked_at(0.99, 0), blocked_at(0.6, 0)), (Some(5), Some(30)));
    // Half as much as an attack of that confidence, so that one for each nearly doubles what it takes.
    assert_eq!(blocked_at(0.99, 1), Some(8));
    // However many there are, a third is left.
    assert_eq!((blocked_at(0.99, 1_000), blocked_at(0.6, 1_000)), (Some(13), Some(89)));
}

#[test]
fn harmless_flows_are_not_saved_up_for_an_attack() {
    let mut case = Case::new(Profile::Balanced);
    case.harmless(0, "203.0.113.9", 1_000);
    assert!(case.evidence.sources.is_empty(), "nobody is remembered for being harmless");
    assert_eq!(case.blocked_at(0.99, 0), Some(5));
    // Nor are those of the time before what spoke against it has faded.
    let mut case = Case::new(Profile::Balanced);
    case.flow(0, "203.0.113.9", 0.99, true);
    case.harmless(0, "203.0.113.9", 1_000);
    for at_s in [3_600; 5] {
        case.flow(at_s, "203.0.113.9", 0.99, true);
    }
    assert_eq!(case.decisions.last(), Some(&(3_600, "deny")));
}

#[test]
fn what_a_device_does_well_counts_for_its_card() {
    let mut case = Case::new(Profile::Balanced);
    case.device = Some(Mac([2, 0, 0x5e, 0x10, 0, 7]));
    for _ in 0..7 {
        case.flow(0, "192.0.2.7", 0.99, true);
        case.harmless(0, "192.0.2.8", 1);
    }
    assert!(!case.said().contains(&"quarantine"), "{:?}", case.said());
}

#[test]
fn only_proven_flows_lead_to_deny() {
    let mut case = Case::new(Profile::Balanced);
    for _ in 0..50 {
        case.flow(0, "203.0.113.9", 0.99, false);
    }
    assert!(!case.said().contains(&"deny"));
    // Flows that were counted before they were proven count as proven once they are.
    for _ in 0..5 {
        case.again(1, "203.0.113.9", (0.99, false), (0.99, true));
    }
    assert_eq!(case.decisions.last(), Some(&(1, "deny")));
}

#[test]
fn whoever_fails_a_third_time_within_minutes_has_not_mistyped() {
    let at = |at_s: u64| Timestamp::from_secs(1_000 + at_s);
    let log_ins = |all: f32, meagre: f32| {
        let mut features = [0.0; FEATURE_COUNT];
        (features[Index::SrcLogins60s as usize], features[Index::SrcMeagreLogins60s as usize]) = (all, meagre);
        features
    };
    let few = log_ins(3.0, 1.0);
    let subject = Subject::of("203.0.113.9".parse().expect("address"));
    for (second_s, third_s, may_have_mistyped) in
        [(1, 2, false), (60, 120, false), (140, 280, false), (400, 800, true), (900, 920, true), (10, 900, true)]
    {
        let mut evidence = Case::new(Profile::Balanced).evidence;
        for at_s in [0, second_s, third_s] {
            assert!(evidence.may_have_mistyped(subject, &few, at(at_s)), "{at_s} s");
            evidence.meagre_login(subject, at(at_s));
        }
        assert_eq!(
            evidence.may_have_mistyped(subject, &few, at(third_s)),
            may_have_mistyped,
            "{second_s} and {third_s} s"
        );
        assert!(evidence.may_have_mistyped(subject, &few, at(third_s + 300)), "a while ago");
        assert!(
            !evidence.may_have_mistyped(subject, &log_ins(3.0, 0.0), at(third_s + 300)),
            "nothing has failed lately"
        );
        assert!(!evidence.may_have_mistyped(subject, &log_ins(10.0, 1.0), at(third_s + 300)), "nobody types so fast");
    }
}

#[test]
fn a_visitor_of_a_flooded_server_is_not_blocked() {
    let mut case = Case::new(Profile::Strict);
    for second in 0..100 {
        case.flood(second, "203.0.113.9", 1.0, 900.0);
    }
    assert!(case.said().iter().all(|what| ["alert", "limit"].contains(what)), "{:?}", case.said());
    for second in 0..10 {
        case.flood(second, "203.0.113.10", 300.0, 900.0);
    }
    assert!(case.said().contains(&"deny_new"), "who sends a third of the flood is blocked");
}

/// A second of a flood of so many flows, each from somebody else.
fn second_of_flood(case: &mut Case, at_s: u64, flows: u32) {
    for n in 0..flows {
        let source = std::net::Ipv4Addr::from(0xc633_0000 + at_s as u32 * 1_000 + n).to_string();
        case.flood(at_s, &source, 1.0, 2.0 * flows as f32);
    }
}

#[test]
fn a_flood_from_many_limits_the_service_and_blocks_nobody() {
    let mut case = Case::new(Profile::Balanced);
    for second in 0..100 {
        second_of_flood(&mut case, second, 300);
    }
    let said: Vec<_> = case.decisions.iter().filter(|(_, what)| *what != "alert").copied().collect();
    // Renewed before it ends, as long as more comes than it lets through.
    assert_eq!(said, [(0, "limit"), (40, "limit"), (80, "limit")]);
    assert!(case.subjects.iter().all(|subject| subject.to_string() == "198.51.100.10:22/tcp"), "{:?}", case.subjects);
    assert_eq!(case.said().iter().filter(|what| **what == "alert").count(), 2, "one a minute for the whole flood");
    assert!(case.evidence.sources.is_empty(), "forged sources take nobody's room");
}

#[test]
fn a_flood_of_many_ports_limits_all_of_them_as_one() {
    let mut case = Case::new(Profile::Balanced);
    case.goes_to_many_ports = true;
    for second in 0..60 {
        second_of_flood(&mut case, second, 300);
    }
    let said: Vec<_> = case.decisions.iter().filter(|(_, what)| *what != "alert").copied().collect();
    assert_eq!(said, [(0, "limit"), (40, "limit")]);
    assert!(case.subjects.iter().all(|subject| subject.to_string() == "198.51.100.10/tcp"), "{:?}", case.subjects);
}

#[test]
fn a_flood_of_one_port_limits_no_other() {
    let mut case = Case::new(Profile::Balanced);
    for second in 0..60 {
        second_of_flood(&mut case, second, 300);
        // Visitors of other ports, who look like it.
        case.goes_to_many_ports = true;
        for n in 0..50 {
            let visitor = std::net::Ipv4Addr::from(0xc633_6400 + n).to_string();
            case.flood(second, &visitor, 1.0, 650.0);
        }
        case.goes_to_many_ports = false;
    }
    assert!(case.subjects.len() >= 2, "{:?}", case.subjects);
    assert!(case.subjects.iter().all(|subject| subject.to_string() == "198.51.100.10:22/tcp"), "{:?}", case.subjects);
}

#[test]
fn a_flood_that_is_over_limits_nothing_when_its_flows_end() {
    for (goes_to_many_ports, silent_s) in [(false, 60), (true, 60), (false, -3_600)] {
        let mut case = Case::new(Profile::Balanced);
        case.goes_to_many_ports = goes_to_many_ports;
        case.silent_s = silent_s;
        second_of_flood(&mut case, 60, 300);
        assert_eq!(case.said(), ["alert"]);
        // What they said counts where more come.
        case.silent_s = 0;
        second_of_flood(&mut case, 61, if goes_to_many_ports { 201 } else { 101 });
        assert_eq!(case.said(), ["alert", "limit"]);
    }
}

#[test]
fn what_a_limit_would_let_through_is_not_limited() {
    for goes_to_many_ports in [false, true] {
        let mut case = Case::new(Profile::Strict);
        case.goes_to_many_ports = goes_to_many_ports;
        for second in 0..100 {
            second_of_flood(&mut case, second, 100);
        }
        assert!(case.said().iter().all(|what| *what == "alert"), "{:?}", case.said());
    }
}

#[test]
fn a_limit_that_a_person_ended_takes_evidence_anew() {
    let mut case = Case::new(Profile::Balanced);
    second_of_flood(&mut case, 0, 300);
    case.evidence.forgive(case.subjects[0]);
    case.decisions.clear();
    case.flood(1, "203.0.113.9", 1.0, 600.0);
    assert_eq!(case.said(), ["alert"]);
    second_of_flood(&mut case, 1, 300);
    assert_eq!(case.said(), ["alert", "limit"]);
}

#[test]
fn a_device_of_the_household_is_known_by_its_card_and_quarantined() {
    let mut case = Case::new(Profile::Balanced);
    case.device = Some(Mac([2, 0, 0x5e, 0x10, 0, 7]));
    for flow in 0..5 {
        let address = if flow % 2 == 0 { "198.51.100.7" } else { "2001:db8:1::7" };
        case.flow(0, address, 0.99, flow == 1);
    }
    assert_eq!(case.said(), ["alert", "quarantine"]);
    assert_eq!(case.subjects[0].to_string(), "02:00:5e:10:00:07");
    for _ in 0..20 {
        case.flow(1, "198.51.100.7", 0.99, true);
    }
    assert_eq!(case.said(), ["alert", "quarantine"], "there is nothing stricter");
}

#[test]
fn one_flow_blocks_where_a_person_wrote_that_it_is_enough() {
    for (proven, action) in [(false, "deny_new"), (true, "deny")] {
        let mut case = Case::new(Profile::Lenient);
        let verdict = Verdict { class: ThreatClass::Scan, confidence: 0.6 };
        let mut rule = Rule::new("bait", verdict, &[]);
        rule.at_once = true;
        case.basis = Basis::Rule(rule);
        case.flow(0, "203.0.113.9", 0.6, proven);
        assert_eq!(case.said(), [action, "alert"]);
    }
}

#[test]
fn a_flow_that_is_a_flood_by_itself_is_its_senders_doing_where_many_others_come_too() {
    let mut own = Rule::new(
        "of one flow",
        Verdict { class: ThreatClass::Flood, confidence: 0.95 },
        &[above(Index::FwdPackets, 1_000.0), above(Index::PacketsPerS, 5_000.0)],
    );
    own.at_once = true;
    let mut of_all = Rule::new("of all", own.verdict, &[above(Index::DstFlows2s, 100.0)]);
    of_all.at_once = true;
    for (rule, said) in [(own, vec!["deny_new", "alert"]), (of_all, vec!["alert"])] {
        let mut case = Case::new(Profile::Balanced);
        case.basis = Basis::Rule(rule);
        case.flood(0, "203.0.113.9", 1.0, 900.0);
        assert_eq!(case.said(), said, "{rule:?}");
    }
}

fn above(feature: Index, threshold: f32) -> Condition {
    Condition { feature: feature as u16, comparison: Comparison::Above, threshold }
}

#[test]
fn an_alert_at_once_is_raised_again_after_the_clock_was_set_back() {
    let mut case = Case::new(Profile::Balanced);
    for (at_s, alerts) in [(100_000, 1), (100_001, 1), (0, 2)] {
        case.alert_at_once(at_s, "203.0.113.9");
        assert_eq!(case.said().len(), alerts, "{at_s}");
    }
}

#[test]
fn a_decision_that_is_not_taken_comes_again() {
    let mut case = Case::new(Profile::Balanced);
    case.refusing = true;
    for _ in 0..20 {
        case.flow(0, "203.0.113.9", 0.99, false);
    }
    assert!(case.said().len() > 20, "each flow asks again");
    case.decisions.clear();
    case.refusing = false;
    case.flow(0, "203.0.113.9", 0.99, false);
    assert_eq!(case.said(), ["deny_new", "alert"]);
    case.flow(0, "203.0.113.9", 0.99, false);
    assert_eq!(case.said().len(), 2);
}

#[test]
fn a_stricter_block_keeps_its_class() {
    let mut case = Case::new(Profile::Balanced);
    for _ in 0..5 {
        case.flow(0, "203.0.113.9", 0.99, false);
    }
    for _ in 0..5 {
        case.again(1, "203.0.113.9", (0.99, false), (0.99, true));
    }
    assert_eq!(case.classes, [ThreatClass::Scan; 2]);
}

#[test]
fn the_same_flow_counts_once() {
    let mut case = Case::new(Profile::Strict);
    case.flow(0, "203.0.113.9", 0.9, false);
    for _ in 0..100 {
        case.again(0, "203.0.113.9", (0.9, false), (0.9, false));
    }
    assert_eq!(case.said(), ["alert"]);
}

#[test]
fn evidence_fades() {
    let mut case = Case::new(Profile::Balanced);
    for hour in 0..50 {
        case.flow(hour * 3_600, "203.0.113.9", 0.99, true);
    }
    assert!(!case.said().contains(&"deny"), "one flow an hour never adds up");
}

#[test]
fn addresses_of_one_64_count_together() {
    let mut case = Case::new(Profile::Balanced);
    for host in 0..5 {
        case.flow(0, &format!("2001:db8:66::{host:x}"), 0.99, false);
    }
    assert!(case.said().contains(&"deny_new"));
}

#[test]
fn a_block_is_renewed_when_it_is_over_and_the_attack_is_not() {
    let mut case = Case::new(Profile::Balanced);
    for second in 0..1_300 {
        case.flow(second, "203.0.113.9", 0.99, false);
    }
    let blocks: Vec<u64> = case.decisions.iter().filter(|(_, what)| *what == "deny_new").map(|(at, _)| *at).collect();
    // While blocked, a source's connections fail because of that: what they say counts only after the block.
    assert_eq!(blocks, [4, 608, 1_212]);
}

#[test]
fn a_block_that_lasts_longer_is_not_decided_on_again_before_its_end() {
    let mut case = Case::new(Profile::Balanced);
    let subject = Subject::of([203, 0, 113, 9].into());
    for second in 0..4_000 {
        case.flow(second, "203.0.113.9", 0.99, false);
        if second == 4 {
            case.evidence.blocked(subject, Timestamp::from_secs(1_000 + 3_604));
        }
    }
    let blocks: Vec<u64> = case.decisions.iter().filter(|(_, what)| *what == "deny_new").map(|(at, _)| *at).collect();
    assert_eq!(blocks, [4, 3_608]);
}

#[test]
fn a_flood_of_sources_is_no_flood_of_alerts() {
    let mut case = Case::new(Profile::Balanced);
    for n in 0..5_000_u32 {
        let address = std::net::Ipv4Addr::from(0xcb00_7100 | n).to_string();
        case.flow(0, &address, 0.99, false);
    }
    assert_eq!(case.said().len(), ALERTS_PER_MINUTE as usize);
    assert!(case.evidence.alerts_suppressed > 0);
    case.flow(0, "203.0.113.9", 0.99, true);
    assert_eq!(case.said().len(), ALERTS_PER_MINUTE as usize + 1, "a proven one is still told of");
}

#[test]
fn other_thresholds_hold_for_what_speaks_against_a_source_already() {
    let mut case = Case::new(Profile::Lenient);
    for _ in 0..4 {
        case.flow(100, "203.0.113.9", 0.95, true);
    }
    assert!(case.classes.is_empty());
    case.evidence.tune(&Tuning { thresholds: Profile::Strict.thresholds(), block_ttl: TTL, limit_per_s: 100 });
    case.flow(100, "203.0.113.9", 0.95, true);
    assert_eq!(case.classes, [ThreatClass::Scan]);
}
