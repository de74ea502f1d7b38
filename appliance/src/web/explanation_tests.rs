//! Words and numbers of explanations, for each way in which something can be decided and done.

use core::time::Duration;
use std::sync::Arc;

use traffic::features::{FEATURE_COUNT, Index};

use super::*;
use crate::control::ShownModels;
use crate::policy::Label;
use crate::verdict::{BUILT_IN, Basis, Models, Verdict, explain};
use crate::web::fixture;

fn now() -> Timestamp {
    Timestamp::from_secs(1_795_197_787)
}

/// A vector that the built-in model takes for a scan.
fn scan() -> Box<FeatureVector> {
    let mut features = Box::new([0.0; FEATURE_COUNT]);
    for (index, value) in [
        (Index::FwdPackets, 1.0),
        (Index::FwdSynFlags, 1.0),
        (Index::IsTcp, 1.0),
        (Index::SrcFlows2s, 49.0),
        (Index::SrcPorts2s, 47.0),
        (Index::SrcHosts2s, 1.0),
        (Index::SrcUnanswered2s, 0.96),
        (Index::SrcUnfinished2s, 1.0),
        (Index::SrcFlows60s, 1_200.0),
        (Index::SrcPorts60s, 1_100.0),
        (Index::SrcHosts60s, 1.0),
        (Index::SrcPortsPerHost60s, 1_100.0),
        (Index::SrcUnanswered60s, 0.97),
        (Index::SrcUnfinished60s, 1.0),
        (Index::DstFlows2s, 50.0),
        (Index::DstSources2s, 1.0),
        (Index::DstServiceFlows2s, 1.0),
        (Index::DstServiceUnfinished2s, 1.0),
        (Index::DstServiceFlows60s, 1.0),
        (Index::DstServiceSources60s, 1.0),
    ] {
        features[index as usize] = value;
    }
    features
}

/// An alert as the path makes it of that vector.
fn alert(accuser: Accuser, vector: Vector) -> Alert {
    let features = scan();
    let verdict = BUILT_IN.judge(&features);
    assert_eq!(verdict.class, ThreatClass::Scan, "the built-in model does not know this scan");
    Alert {
        number: 17,
        time: now().minus(Duration::from_secs(12)),
        class: verdict.class,
        source: "203.0.113.77".parse().unwrap(),
        destination: "192.168.1.20".parse().unwrap(),
        port: Some(445),
        confidence: verdict.confidence,
        because: explain(verdict, Basis::Model(&BUILT_IN), &features),
        grounds: Some(Arc::new(Grounds {
            offender: "203.0.113.77".parse().unwrap(),
            protocol: TCP,
            proven: false,
            flow_packets: 1,
            accuser,
            vector,
        })),
        label: None,
    }
}

fn by_model() -> Alert {
    alert(Accuser::Model(BUILT_IN.name.to_owned()), Vector::Features(scan()))
}

fn block(subject: &str, action: Action, class: Option<ThreatClass>, state: BlockState) -> KnownBlock {
    let record = BlockRecord {
        subject: subject.parse().unwrap(),
        action,
        state,
        class,
        offence: 1,
        since: now().minus(Duration::from_secs(10)),
        until: now().plus(Duration::from_secs(590)),
        because: "scan: many ports".into(),
        actor: "sluice".into(),
    };
    KnownBlock { record, ended_early: None }
}

fn explained(alert: &Alert, in_force: Models, blocks: Vec<KnownBlock>) -> Explanation {
    let snapshot = fixture::snapshot(now());
    let snapshot = Snapshot { models: ShownModels { in_force, ..snapshot.models }, ..snapshot };
    Explanation::of(alert, &Around { snapshot: &snapshot, blocks, now: now() })
}

fn as_decided(alert: &Alert) -> Explanation {
    explained(alert, Models::default(), Vec::new())
}

#[test]
fn a_verdict_of_the_model_is_told_with_what_the_source_did_and_what_counted() {
    let told = as_decided(&by_model());
    let sentence = told.sentence();
    assert!(
        sentence
            .contains("(12 s ago): 203.0.113.77 to 192.168.1.20 port 445 over TCP: Looking for open doors (scan), "),
        "{sentence}"
    );
    assert_eq!(told.did[0], "the source tried 47 distinct ports on 1 host in 2 s, 96 % unanswered, 0 % refused");
    assert_eq!(told.decided, [format!("The model {} took it for scan.", BUILT_IN.name)]);
    let for_it: f64 = told.parts.iter().map(|part| part.share).filter(|share| *share > 0.0).sum();
    assert!((for_it - 1.0).abs() < 1e-9, "the shares of what spoke for it are those of a whole: {for_it}");
    assert!(told.parts.is_sorted_by(|a, b| a.share >= b.share));
    for part in &told.parts {
        assert_eq!(part.value, told.features.as_ref().unwrap()[&part.feature]);
        assert!(
            part.above.is_none_or(|bound| part.value > bound) && part.at_most.is_none_or(|bound| part.value <= bound)
        );
    }
    let counted = told.counted();
    assert!(counted.len() <= NAMED_FEATURES + 1 && counted[0].contains(&told.parts[0].words), "{counted:?}");
}

#[test]
fn where_the_model_is_another_now_the_words_of_then_stay() {
    let mut alert = by_model();
    let file = model_compiler::json::read(include_str!("../../../models/forest/model.json")).unwrap();
    let younger = Model::load("younger".to_owned(), &file);
    let told = explained(&alert, Models { active: younger, shadow: None }, Vec::new());
    assert_eq!(
        told.decided,
        [format!("The model {} took it for scan. Another model is in force now: younger.", BUILT_IN.name)]
    );
    assert!(!told.parts.is_empty(), "the model that decided is still there");

    alert.confidence += 0.001;
    let told = as_decided(&alert);
    assert!(told.decided[0].contains("replaced by another one of that name. What was written down then: "), "{told:?}");
    assert!(told.decided[0].contains(&alert.because) && told.parts.is_empty());

    let gone = self::alert(Accuser::Model("older".to_owned()), Vector::Features(scan()));
    let told = as_decided(&gone);
    let expected = format!("The model older took it for scan, and another one is in force now, {}. ", BUILT_IN.name);
    assert!(told.decided[0].starts_with(&expected) && told.decided[0].contains(&gone.because), "{:?}", told.decided);
    assert!(!told.did.is_empty(), "what the source did is known whatever the model");
}

#[test]
fn features_that_cannot_be_read_are_told_and_the_words_of_then_stay() {
    let other = alert(Accuser::Model(BUILT_IN.name.to_owned()), Vector::OfOtherSchema(0xabc));
    let old = Alert { grounds: None, ..by_model() };
    for (alert, why) in [
        (other, "It was decided from features of another schema (0000000000000abc; "),
        (old, "A version of Sluice before this one wrote the alert down. "),
    ] {
        let told = as_decided(&alert);
        assert!(told.decided[0].starts_with(why) && told.decided[0].contains(&alert.because), "{:?}", told.decided);
        assert_eq!((told.features, told.did.len()), (None, 0));
    }
}

#[test]
fn a_rule_is_told_with_its_conditions_and_the_values() {
    let rule = |conditions: &str| Accuser::Rule { name: "many ports".to_owned(), conditions: conditions.to_owned() };
    let told =
        as_decided(&alert(rule("src_ports_60s > 20; src_unfinished_share_60s >= 0.5"), Vector::Features(scan())));
    assert_eq!(
        told.decided,
        ["The rule \"many ports\" of the configuration took it for scan: all that it asks for held."]
    );
    assert_eq!(
        told.counted(),
        [
            "1100 distinct ports tried by the source in 60 s (more than 20)",
            "100 % of the source's TCP flows in 60 s without a completed handshake in time (at least 50 %)"
        ]
    );
    let renamed = alert(rule("src_doors_60s > 20"), Vector::Features(scan()));
    let told = as_decided(&renamed);
    assert!(told.conditions.is_empty() && told.decided[0].contains(&renamed.because));
}

#[test]
fn lists_are_named() {
    let list = |began| Accuser::List { name: "known".to_owned(), began };
    for (accuser, vector, said) in [
        (list(true), Vector::Features(scan()), "It is on the list \"known\" of the configuration, and began a flow."),
        (
            list(false),
            Vector::Features(scan()),
            "and 192.168.1.20 began a flow to it: look whether that device is infected.",
        ),
        (
            Accuser::Domain { list: "bad".to_owned(), asked: "a.c2.example".to_owned() },
            Vector::Missing,
            "It asked for the name a.c2.example, which is on the list \"bad\"",
        ),
    ] {
        let told = as_decided(&alert(accuser, vector));
        assert!(told.decided[0].contains(said), "{:?}", told.decided);
    }
}

#[test]
fn what_was_done_is_told_with_why_so_much_until_when_and_how_to_undo_it() {
    use Action::{Deny, DenyNew, Limit, Quarantine};
    use BlockState::{Enforced, Observed, Proposed};
    let scan = Some(ThreatClass::Scan);
    let (source, device, service) = ("203.0.113.77", "02:00:5e:10:00:07", "192.168.1.20:445/tcp");
    let commands = |told: &Explanation| told.remedies.iter().map(|remedy| remedy.command.clone()).collect::<Vec<_>>();
    for (known, done, command) in [
        (block(source, DenyNew, scan, Enforced), "could have forged its address", "sluice unblock 203.0.113.77"),
        (block(source, Deny, scan, Enforced), "completed handshakes prove", "sluice unblock 203.0.113.77"),
        (block(source, Deny, None, Enforced), "is dropped: somebody said so by hand", "sluice unblock 203.0.113.77"),
        (block(source, DenyNew, None, Enforced), "this house needs them", "sluice unblock 203.0.113.77"),
        (
            block(service, Limit, None, Enforced),
            "or asks twice, gets through: somebody said",
            "sluice unblock 192.168.1.20:445/tcp",
        ),
        (block(device, Quarantine, scan, Enforced), "known by its network card", "sluice unblock 02:00:5e:10:00:07"),
        (block(service, Limit, scan, Enforced), "too many addresses", "sluice unblock 192.168.1.20:445/tcp"),
        (
            block("ff02::1/icmp", Limit, scan, Enforced),
            "What comes above the limit is lost: the flood",
            "sluice unblock ff02::1/icmp",
        ),
        (
            block("192.168.1.20/icmp", Limit, None, Enforced),
            "is lost: somebody said",
            "sluice unblock 192.168.1.20/icmp",
        ),
        (block(source, Deny, scan, Proposed), "for somebody who approves", "sluice approve 203.0.113.77"),
        (block(source, Deny, scan, Observed), "in mode enforce; nothing is done", "sluice mode enforce --class scan"),
    ] {
        let until = iso(known.record.until);
        let told = explained(&by_model(), Models::default(), vec![known.clone()]);
        assert!(told.done.join(" ").contains(done), "{:?}", told.done);
        assert!(commands(&told).contains(&command.to_owned()), "{:?}", told.remedies);
        assert!(commands(&told).contains(&"sluice allow 203.0.113.77 --for 1d".to_owned()));
        if known.record.state == Enforced && known.record.class.is_some() {
            assert!(told.done[0].contains(&format!("until {until} (in 9 min)")), "{:?}", told.done);
        }
    }
    let mut proven = by_model();
    proven.grounds = Some(Arc::new(Grounds { proven: true, ..proven.grounds.as_deref().unwrap().clone() }));
    let told = explained(&proven, Models::default(), vec![block(source, DenyNew, scan, Enforced)]);
    assert!(told.done[1].contains("too little of the evidence was proven"), "{:?}", told.done);

    let mut ended = block(source, Deny, scan, Enforced);
    ended.ended_early = Some((now(), "anna".to_owned()));
    let told = explained(&by_model(), Models::default(), vec![ended]);
    assert!(told.done[0].contains("which anna ended at 2026-11-20T18:03:07Z"), "{:?}", told.done);
    assert!(told.blocks.is_empty() && !commands(&told).iter().any(|command| command.contains("unblock")));

    let mut observed = block(source, Deny, scan, Observed);
    (observed.record.since, observed.record.until) = (now().minus(Duration::from_secs(11)), now());
    let told = explained(&by_model(), Models::default(), vec![observed]);
    let expected = "203.0.113.77 would have been blocked (everything) in mode enforce from 2026-11-20T18:02:56Z until \
                    2026-11-20T18:03:07Z; the box only observed, and nothing was done.";
    assert_eq!(told.done, [expected, "Its reason: scan: many ports."]);
    assert!(told.blocks.is_empty(), "nothing goes on");

    let told = as_decided(&by_model());
    assert!(told.done[0].starts_with("Nobody was blocked for it"));
}

#[test]
fn no_block_is_told_as_done_for_an_alert_that_is_for_something_else() {
    let scan = Some(ThreatClass::Scan);
    let standing = |class| block("203.0.113.77", Action::Deny, class, BlockState::Enforced);
    let old = |age: Duration| Alert { time: now().minus(age), ..by_model() };
    let hour = Duration::from_secs(3_600);
    for (alert, known) in [
        (by_model(), standing(Some(ThreatClass::BruteForce))),
        (by_model(), block("192.168.1.20:445/tcp", Action::Limit, Some(ThreatClass::Flood), BlockState::Enforced)),
        (by_model(), standing(None)),
        (old(hour), standing(scan)),
    ] {
        let because = known.record.because.clone();
        let told = explained(&alert, Models::default(), vec![known]);
        assert!(told.done[0].starts_with("No block is known that was made for it"), "{:?}", told.done);
        assert!(
            told.done[1].starts_with("For another reason: ") && told.done[1].contains(" is blocked "),
            "{:?}",
            told.done
        );
        assert!(told.done[3].contains(&*because), "{:?}", told.done);
        assert!(told.blocks.is_empty(), "{:?}", told.blocks);
        assert!(told.remedies[0].command.starts_with("sluice unblock "), "who is blocked can still be unblocked");
    }
    let mut ended = standing(Some(ThreatClass::BruteForce));
    ended.ended_early = Some((now(), "anna".to_owned()));
    assert_eq!(explained(&by_model(), Models::default(), vec![ended]).done.len(), 1, "what has ended is history");
    let mut before = standing(scan);
    before.ended_early = Some((now().minus(Duration::from_secs(13)), "anna".to_owned()));
    assert_eq!(explained(&by_model(), Models::default(), vec![before]).done.len(), 1, "it ended before the alert");
    let told = explained(&old(EVIDENCE_LASTS), Models::default(), vec![standing(scan)]);
    assert_eq!(told.blocks.len(), 1, "it adds to what leads to a block some minutes later");
}

#[test]
fn a_label_is_told_and_can_be_taken_back() {
    let mut alert = by_model();
    let commands =
        |alert: &Alert| as_decided(alert).remedies.into_iter().map(|remedy| remedy.command).collect::<Vec<_>>();
    assert!(commands(&alert).ends_with(&["sluice label 17 scan".to_owned(), "sluice label 17 benign".to_owned()]));
    alert.label = Some(Arc::new(Label { class: ThreatClass::Benign, time: now(), actor: "anna".to_owned() }));
    assert!(commands(&alert).ends_with(&["sluice label 17 none".to_owned()]));
    assert_eq!(as_decided(&alert).labelled().unwrap(), "anna says that it was benign.");
}

#[test]
fn it_comes_back_from_its_json() {
    let told = as_decided(&by_model());
    let text = serde_json::to_string(&told).unwrap();
    assert_eq!(serde_json::from_str::<Explanation>(&text).unwrap(), told);
    assert!(text.contains("\"number\":17") && text.contains("\"src_ports_2s\":47.0"));
}

#[test]
fn whom_a_block_could_be_about_is_the_offender_its_address_the_service_and_its_host() {
    let mut alert = by_model();
    let of = |alert: &Alert| alert.subjects().map(|subject| subject.to_string()).collect::<Vec<_>>();
    assert_eq!(of(&alert), ["203.0.113.77", "192.168.1.20:445/tcp", "192.168.1.20/tcp"]);
    let device = "02:00:5e:10:00:07".parse().unwrap();
    alert.grounds = Some(Arc::new(Grounds { offender: device, ..alert.grounds.as_deref().unwrap().clone() }));
    assert_eq!(of(&alert)[1..], ["203.0.113.77", "192.168.1.20:445/tcp", "192.168.1.20/tcp"]);
    alert.port = None;
    alert.grounds = Some(Arc::new(Grounds { protocol: 1, ..alert.grounds.as_deref().unwrap().clone() }));
    assert_eq!(of(&alert), ["02:00:5e:10:00:07", "203.0.113.77", "192.168.1.20/icmp"]);
    let verdict = Verdict { class: alert.class, confidence: alert.confidence };
    assert_eq!(verdict, BUILT_IN.judge(&scan()));
}
