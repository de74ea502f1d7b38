//! What evidence adds up to, on made-up histories.

use super::*;
use traffic::features::FEATURE_COUNT;

const TTL: Duration = Duration::from_secs(600);

/// A source that does things, and what was decided about it.
struct Case {
    evidence: Evidence,
    decisions: Vec<(u64, &'static str)>,
    /// Classes of the blocks.
    classes: Vec<ThreatClass>,
    /// Nobody takes decisions.
    refusing: bool,
}

impl Case {
    fn new(profile: Profile) -> Self {
        let evidence = Evidence::new(8_192, profile, TTL, [1, 2]);
        Self { evidence, decisions: Vec::new(), classes: Vec::new(), refusing: false }
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
        for (index, value) in [
            (Index::SrcFlows2s, of_source),
            (Index::SrcFlows60s, of_source),
            (Index::DstFlows2s, of_all),
            (Index::DstServiceFlows60s, of_all),
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
        let sighting = Sighting {
            time: Timestamp::from_secs(1_000 + at_s),
            source: address.parse().expect("address"),
            destination: "198.51.100.10".parse().expect("address"),
            port: Some(22),
            verdict,
            basis: Basis::Model,
            features,
            flow_packets: 1,
            proven: after.proven,
        };
        let Self { evidence, decisions, classes, refusing } = self;
        evidence.add(&sighting, before, after, &mut |decision| {
            let what = match decision {
                Decision::Alert(_) => "alert",
                Decision::Block { action, sighting, .. } => {
                    classes.push(sighting.verdict.class);
                    action.name()
                }
            };
            decisions.push((at_s, what));
            !*refusing
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
fn a_visitor_of_a_flooded_server_is_not_blocked() {
    let mut case = Case::new(Profile::Strict);
    for second in 0..100 {
        case.flood(second, "203.0.113.9", 1.0, 900.0);
    }
    assert_eq!(case.said(), ["alert", "alert"], "one a minute");
    for second in 0..10 {
        case.flood(second, "203.0.113.10", 300.0, 900.0);
    }
    assert!(case.said().contains(&"deny_new"), "who sends a third of the flood is blocked");
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
fn the_log_of_odds_is_that_of_the_library_up_to_the_most_that_a_flow_adds() {
    for step in 0..=1_000_u16 {
        let confidence = f32::from(step) / 1_000.0;
        let odds = confidence / (1.0 - confidence);
        let expected = odds.ln().clamp(0.0, MOST_PER_FLOW);
        assert!((log_odds(confidence) - expected).abs() < 1e-4, "{confidence}: {} {expected}", log_odds(confidence));
    }
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
    let mut entry = Entry::new(Timestamp::from_secs(0));
    entry.weights[1] = 8.0;
    entry.fade(Timestamp::from_secs(60));
    assert_eq!(entry.weights[1], 4.0);
    entry.fade(Timestamp::from_secs(90));
    assert_eq!(entry.weights[1], 3.0, "a straight line within a half-life");
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
    let offender = Offender::of([203, 0, 113, 9].into());
    for second in 0..4_000 {
        case.flow(second, "203.0.113.9", 0.99, false);
        if second == 4 {
            case.evidence.blocked(offender, Timestamp::from_secs(1_000 + 3_604));
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
}
