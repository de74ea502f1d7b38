//! What the list of blocks does, on made-up histories.

use super::*;
use crate::policy::{Action, Allowlist, Exchange, Service, Target};
use crate::verdict::{BUILT_IN, Basis, Origin, Verdict};
use proptest::prelude::*;
use traffic::address::Mac;
use traffic::features::{FEATURE_COUNT, ThreatClass};

fn record(address: &str, action: Action, until_s: u64) -> BlockRecord {
    BlockRecord {
        subject: Subject::of(address.parse().expect("address")),
        action,
        state: BlockState::Enforced,
        class: Some(ThreatClass::Scan),
        offence: 1,
        since: Timestamp::from_secs(100),
        until: Timestamp::from_secs(until_s),
        because: "a test".into(),
        actor: "sluice".into(),
    }
}

pub(super) fn bounds() -> Bounds {
    Bounds {
        ladder: Ladder::new(&[600, 3_600, 86_400, 604_800]),
        max_blocks: 10_000,
        max_blocks_per_minute: 60,
        max_share_of_lan: 0.34,
        unblock_grace: Duration::from_secs(60),
        approval: Duration::from_secs(300),
    }
}

fn blocklist(rails: Rails) -> Blocklist {
    Blocklist::new(rails, ENFORCE, Bounds { max_blocks: 3, ..bounds() })
}

const NOW: Timestamp = Timestamp::from_secs(100);
const ENFORCE: Modes = Modes::all(Mode::Enforce);

#[test]
fn a_block_becomes_stricter_but_never_milder() {
    let mut list = blocklist(Rails::default());
    assert!(list.block(record("203.0.113.9", Action::DenyNew, 200), NOW).is_ok());
    let stricter = list.block(record("203.0.113.9", Action::Deny, 150), NOW).expect("stricter").block;
    assert_eq!((stricter.action, stricter.until), (Action::Deny, Timestamp::from_secs(200)));
    assert_eq!(
        list.block(record("203.0.113.9", Action::DenyNew, 200), NOW),
        Err(Refusal::Stands(Timestamp::from_secs(200)))
    );
    assert_eq!(list.expire(Timestamp::from_secs(199)), []);
    assert_eq!(list.expire(Timestamp::from_secs(200)).len(), 1);
    assert_eq!(list.standing().count(), 0);
}

#[test]
fn other_bounds_hold_for_what_comes_and_past_offences_stay_known() {
    let mut list = blocklist(Rails::default());
    let past = |number: u8| PastBlock {
        subject: Subject::of([203, 0, 113, number].into()),
        offence: 2,
        ended: NOW,
        exempt_until: None,
    };
    list.remember(&past(9), NOW);
    list.set_bounds(Bounds { max_blocks: 1, ladder: Ladder::new(&[5, 6, 7]), ..bounds() });
    let again = list.block(record("203.0.113.9", Action::Deny, 200), NOW).expect("one is allowed").block;
    assert_eq!((again.offence, list.length(Action::Deny, again.offence + 1)), (2, Duration::from_secs(7)));
    assert_eq!(list.block(record("203.0.113.10", Action::Deny, 200), NOW), Err(Refusal::Full));
}

#[test]
fn an_unblocked_address_is_left_alone_for_the_grace() {
    let (mut list, offender) = (blocklist(Rails::default()), "2001:db8:7::1");
    let unblock = |list: &mut Blocklist| list.unblock(Subject::of("2001:db8:7::ffff".parse().expect("same /64")), NOW);
    assert!(decide(&mut list, offender, Action::Deny, 100).is_ok() && unblock(&mut list).is_some());
    assert!(matches!(decide(&mut list, offender, Action::Deny, 159), Err(Refusal::Protected(_))));
    let by_hand = BlockRecord { class: None, ..record(offender, Action::Deny, 900) };
    list.block(by_hand, Timestamp::from_secs(159)).expect("a person may think better of it");
    assert!(matches!(decide(&mut list, offender, Action::Deny, 159), Err(Refusal::Stands(_))));
    assert!(unblock(&mut list).is_some() && decide(&mut list, offender, Action::Deny, 160).is_ok());
}

#[test]
fn no_more_blocks_than_allowed() {
    let mut list = blocklist(Rails::default());
    for last in 1..=3 {
        list.block(record(&format!("203.0.113.{last}"), Action::Deny, 900), NOW).expect("room");
    }
    assert_eq!(list.block(record("203.0.113.4", Action::Deny, 900), NOW), Err(Refusal::Full));
    assert!(list.block(record("203.0.113.3", Action::Deny, 950), NOW).is_ok(), "one that stands is prolonged");
}

proptest! {
    #[test]
    fn whatever_is_asked_for_no_protected_address_is_ever_blocked(
        asked in proptest::collection::vec((any::<u8>(), any::<bool>(), 1_u64..500), 1..60)
    ) {
        let mut rails = Rails::default();
        rails.allow = Allowlist::new(vec!["203.0.113.64/26".parse().expect("network")]);
        rails.lan = vec!["203.0.113.128/25".parse().expect("network")];
        rails.own = vec!["203.0.113.2".parse().expect("address"), "2001:db8:0:2::1".parse().expect("address")];
        rails.gateways = vec!["203.0.113.1".parse().expect("address"), "2001:db8:0:1::1".parse().expect("address")];
        let mut list = Blocklist::new(rails.clone(), ENFORCE, Bounds { max_blocks: 1000, ..bounds() });
        for (last, v6, until) in asked {
            let address = if v6 { format!("2001:db8:0:{last:x}::77") } else { format!("203.0.113.{last}") };
            let _ = list.block(record(&address, Action::Deny, 100 + until), NOW);
        }
        for block in list.standing() {
            let network = block.subject.network().expect("a source");
            prop_assert!(!rails.allow.networks().any(|allowed| allowed.contains(&network)));
            prop_assert!(!rails.own.iter().chain(&rails.gateways).any(|address| network.contains(address)));
            let at_home = rails.lan.iter().any(|lan| lan.contains(&network));
            prop_assert!(!at_home || block.action == Action::DenyNew);
        }
    }
}

#[test]
fn who_is_announced_is_protected_as_long_as_it_is_and_pushes_no_gateway_out() {
    let address = |text: &str| text.parse().expect("address");
    let mut rails = Rails::default();
    assert!(!rails.know_a_gateway());
    rails.learn(None, vec![address("198.51.100.1")], &[]);
    let announced = (2..=255).map(|last| address(&format!("198.51.100.{last}"))).collect();
    rails.hear(announced, [address("203.0.113.53"), address("198.51.100.53")].into_iter());
    let protects = |rails: &Rails, text: &str| rails.protect(Subject::of(address(text)), NOW).is_some();
    assert!(protects(&rails, "198.51.100.1") && protects(&rails, "198.51.100.254"));

    rails.hear(vec![address("198.51.100.7")], [address("203.0.113.53")].into_iter());
    assert!(protects(&rails, "198.51.100.1") && protects(&rails, "198.51.100.7"));
    assert!(!protects(&rails, "198.51.100.254") && !protects(&rails, "203.0.113.53"));
    let mut list = blocklist(rails);
    assert!(matches!(decide(&mut list, "203.0.113.53", Action::DenyNew, 100), Err(Refusal::Protected(_))));
    let made = decide(&mut list, "203.0.113.53", Action::Deny, 101).expect("proven");
    assert_eq!(made.block.action, Action::DenyNew, "its answers pass");
}

#[test]
fn addresses_that_many_share_are_no_offenders() {
    let rails = Rails::default();
    for address in ["127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.251", "fe80::1", "ff02::1", "::1"] {
        assert!(rails.protect(Subject::of(address.parse().expect("address")), NOW).is_some(), "{address}");
    }
}

/// Evidence against an address, at a time.
pub(super) fn sighting(address: &str, at_s: u64, proven: bool) -> Sighting {
    Sighting {
        time: Timestamp::from_secs(at_s),
        last_packet: Timestamp::from_secs(at_s),
        source: address.parse().expect("address"),
        origin: Some(Origin::default()),
        protocol: 6,
        destination: "198.51.100.10".parse().expect("address"),
        port: Some(22),
        verdict: Verdict { class: ThreatClass::Scan, confidence: 0.99 },
        basis: Basis::Model(&BUILT_IN),
        features: [0.0; FEATURE_COUNT],
        flow_packets: 1,
        proven,
    }
}

fn decide(list: &mut Blocklist, address: &str, action: Action, at_s: u64) -> Result<Made, Refusal> {
    let seen = sighting(address, at_s, action == Action::Deny);
    list.decide(&seen, seen.offender(), action, 5, Timestamp::from_secs(at_s))
}

/// The length of the block that stands, in seconds.
fn length_s(made: &Made) -> u64 {
    made.block.until.since(made.block.since).as_secs()
}

#[test]
fn proof_takes_the_place_of_what_could_be_forged_and_of_nothing_else() {
    let mut rails = Rails::default();
    rails.lan = vec!["198.51.100.0/24".parse().expect("network")];
    let mut list = blocklist(rails);
    decide(&mut list, "198.51.100.7", Action::Deny, 100).expect("a device of the household, mild though proven");
    decide(&mut list, "203.0.113.2", Action::DenyNew, 102).expect("room");
    decide(&mut list, "203.0.113.1", Action::DenyNew, 101).expect("room");
    assert_eq!(decide(&mut list, "203.0.113.4", Action::DenyNew, 103), Err(Refusal::Full));
    let displaced = |made: Made| made.displaced.map(|block| block.subject.to_string());
    let made = decide(&mut list, "203.0.113.4", Action::Deny, 104).expect("proven");
    assert_eq!(displaced(made).as_deref(), Some("203.0.113.1"), "the one that ends first");
    let made = decide(&mut list, "203.0.113.5", Action::Deny, 105).expect("proven");
    assert_eq!(displaced(made.clone()).as_deref(), Some("203.0.113.2"));
    assert_eq!(decide(&mut list, "203.0.113.6", Action::Deny, 106), Err(Refusal::Full), "none is left to give way");
    list.withdraw(made);
    let standing: Vec<_> = list.standing().map(|block| block.subject.to_string()).collect();
    assert_eq!(standing, ["198.51.100.7", "203.0.113.2", "203.0.113.4"], "what gave way stands again");
}

#[test]
fn who_offends_again_just_after_its_block_is_up_a_step_though_nobody_has_cleared_it_away() {
    let mut list = blocklist(Rails::default());
    decide(&mut list, "203.0.113.9", Action::DenyNew, 100).expect("first");
    assert_eq!(decide(&mut list, "203.0.113.9", Action::DenyNew, 700).expect("second").block.offence, 2);
}

#[test]
fn who_offends_again_is_blocked_for_longer_and_the_reason_says_so() {
    let mut list = blocklist(Rails::default());
    let mut now_s = 100;
    for (length, words) in [
        (600, "; 1st time: 10 min"),
        (3_600, "; 2nd time: 1 h"),
        (86_400, "; 3rd time: 24 h"),
        (604_800, "; 4th time or more: 7 d"),
        (604_800, "; 4th time or more: 7 d"),
    ] {
        let made = decide(&mut list, "203.0.113.9", Action::DenyNew, now_s).expect("blocked");
        assert_eq!(length_s(&made), length);
        assert!(made.block.because.ends_with(words), "{}", made.block.because);
        now_s += length;
        list.expire(Timestamp::from_secs(now_s));
    }
    let three_days_on = decide(&mut list, "203.0.113.9", Action::DenyNew, now_s + 3 * 86_400).expect("blocked");
    assert_eq!(length_s(&three_days_on), 3_600);
}

#[test]
fn more_evidence_while_a_block_stands_is_the_same_offence() {
    let mut list = blocklist(Rails::default());
    decide(&mut list, "203.0.113.9", Action::DenyNew, 100).expect("blocked");
    let refused = decide(&mut list, "203.0.113.9", Action::DenyNew, 400);
    assert_eq!(refused, Err(Refusal::Stands(Timestamp::from_secs(700))), "it is not prolonged");
    let stricter = decide(&mut list, "203.0.113.9", Action::Deny, 500).expect("stricter").block;
    assert_eq!((stricter.action, stricter.offence), (Action::Deny, 1));
}

#[test]
fn an_unblock_by_a_person_takes_the_offence_back() {
    let mut list = blocklist(Rails::default());
    decide(&mut list, "203.0.113.9", Action::Deny, 100).expect("first");
    list.expire(Timestamp::from_secs(700));
    decide(&mut list, "203.0.113.9", Action::Deny, 800).expect("second");
    let (_, past) = list.unblock(Subject::of([203, 0, 113, 9].into()), Timestamp::from_secs(900)).expect("stood");
    assert_eq!((past.offence, past.exempt_until), (1, Some(Timestamp::from_secs(960))));
    let again = decide(&mut list, "203.0.113.9", Action::Deny, 960).expect("after the grace");
    assert_eq!(again.block.offence, 2);
}

#[test]
fn what_is_remembered_from_before_a_restart_counts() {
    let mut list = blocklist(Rails::default());
    let subject = Subject::of([203, 0, 113, 9].into());
    let exempt_until = Some(Timestamp::from_secs(9_999));
    list.remember(&PastBlock { subject, offence: 2, ended: NOW, exempt_until }, NOW);
    let refused = decide(&mut list, "203.0.113.9", Action::Deny, 159);
    assert!(matches!(refused, Err(Refusal::Protected(_))), "{refused:?}");
    let made = decide(&mut list, "203.0.113.9", Action::Deny, 160).expect("the grace is no longer than configured");
    assert_eq!(made.block.offence, 3);
}

#[test]
fn a_block_by_hand_is_no_offence_and_forgets_none() {
    let mut list = blocklist(Rails::default());
    decide(&mut list, "203.0.113.9", Action::Deny, 100).expect("first");
    list.expire(Timestamp::from_secs(700));
    let by_hand = BlockRecord { class: None, offence: 0, ..record("203.0.113.9", Action::Deny, 900) };
    list.block(by_hand, Timestamp::from_secs(800)).expect("by hand");
    list.expire(Timestamp::from_secs(900));
    assert_eq!(decide(&mut list, "203.0.113.9", Action::Deny, 1_000).expect("second").block.offence, 2);
}

#[test]
fn a_storm_of_forged_senders_trips_and_proven_attackers_are_blocked_all_the_same() {
    let mut list = Blocklist::new(Rails::default(), ENFORCE, bounds());
    let forged = |list: &mut Blocklist, last| decide(list, &format!("203.0.113.{last}"), Action::DenyNew, 120);
    for last in 0..60 {
        forged(&mut list, last).expect("within the limit");
    }
    let held = |begins| Err(Refusal::Held(Held { trip: Trip::Forgeable, begins }));
    assert_eq!(forged(&mut list, 60), held(true));
    assert_eq!(forged(&mut list, 61), held(false));
    assert!(decide(&mut list, "203.0.113.99", Action::Deny, 121).is_ok());
    assert!(decide(&mut list, "203.0.113.5", Action::Deny, 121).is_ok(), "a block that stands becomes stricter");
    assert_eq!(list.standing().count(), 61, "what stands stays");
    assert_eq!(list.end_quiet_trips(Timestamp::from_secs(720)), [Trip::Forgeable]);
    assert!(decide(&mut list, "203.0.113.60", Action::DenyNew, 720).is_ok());
}

#[test]
fn no_more_than_a_share_of_the_household_is_blocked_and_one_device_always_may_be() {
    let mut rails = Rails::default();
    rails.lan = vec!["198.51.100.0/24".parse().expect("network")];
    let mut list = Blocklist::new(rails, ENFORCE, bounds());
    let device = |last: u64| format!("198.51.100.{last}");
    assert!(decide(&mut list, &device(1), Action::Deny, 100).is_ok(), "nothing was learned yet");
    for last in 1..=6 {
        let (asker, server) = (device(last).parse().expect("address"), "203.0.113.80".parse().expect("address"));
        list.rails.see(&Exchange { time: NOW, asker, device: None, server, service: None });
    }
    assert!(decide(&mut list, &device(2), Action::Deny, 100).is_ok(), "a third of six");
    let held = Refusal::Held(Held { trip: Trip::Household, begins: true });
    assert_eq!(decide(&mut list, &device(3), Action::Deny, 100), Err(held));
    assert!(decide(&mut list, "203.0.113.9", Action::Deny, 100).is_ok(), "others are blocked");
    let by_hand = BlockRecord { class: None, ..record(&device(4), Action::Deny, 900) };
    assert!(list.block(by_hand, NOW).is_ok(), "a person may");
}

#[test]
fn a_resolver_in_use_is_not_blocked_on_forged_evidence_and_its_answers_pass_whatever_is_proven() {
    let mut rails = Rails::default();
    rails.lan = vec!["198.51.100.0/24".parse().expect("network")];
    let mut list = Blocklist::new(rails, ENFORCE, bounds());
    let [asker, server] = ["198.51.100.7", "203.0.113.53"].map(|address| address.parse().expect("address"));
    for _ in 0..5 {
        list.rails.see(&Exchange { time: NOW, asker, device: None, server, service: Some(Service::Dns) });
    }
    let refused = decide(&mut list, "203.0.113.53", Action::DenyNew, 100);
    assert!(matches!(refused, Err(Refusal::Protected(_))), "{refused:?}");
    let made = decide(&mut list, "203.0.113.53", Action::Deny, 100).expect("proven");
    assert_eq!(made.block.action, Action::DenyNew);
    decide(&mut list, "203.0.113.54", Action::Deny, 100).expect("a stranger yet");
    list.rails.hear(Vec::new(), core::iter::once([203, 0, 113, 54].into()));
    let softened = list.soften_needed(NOW);
    assert_eq!((softened.len(), softened[0].action), (1, Action::DenyNew), "it was announced since");
    let limit = Target { destination: [203, 0, 113, 54].into(), protocol: 17, port: Some(53) };
    assert!(list.rails.protect(limit.into(), NOW).is_some(), "nor is its service limited");
}

#[test]
fn who_is_logged_in_is_never_blocked() {
    let mut rails = Rails::default();
    rails.managers = vec![("2001:db8:7::5".parse().expect("address"), Timestamp::from_secs(200))];
    let mut list = Blocklist::new(rails, ENFORCE, bounds());
    let refused = decide(&mut list, "2001:db8:7::1", Action::Deny, 199);
    assert!(matches!(refused, Err(Refusal::Protected(_))), "{refused:?}");
    assert!(decide(&mut list, "2001:db8:7::1", Action::Deny, 200).is_ok());
}

const CARD: Mac = Mac([2, 0, 0x5e, 0x10, 0, 7]);

/// Decides that the device is to be held, on evidence from this address.
fn decide_device(list: &mut Blocklist, address: &str, at_s: u64) -> Result<Made, Refusal> {
    let seen = Sighting {
        origin: Some(Origin { device: Some(CARD), is_inside: true, is_routed: false }),
        ..sighting(address, at_s, false)
    };
    list.decide(&seen, seen.offender(), Action::Quarantine, 5, Timestamp::from_secs(at_s))
}

#[test]
fn a_device_is_held_by_its_card_and_protected_by_each_of_its_addresses() {
    let lan = vec!["198.51.100.0/24".parse().expect("network"), "2001:db8:1::/64".parse().expect("network")];
    let mut rails = Rails::default();
    rails.lan = lan;
    let mut list = Blocklist::new(rails.clone(), ENFORCE, bounds());
    let made = decide_device(&mut list, "198.51.100.7", 100).expect("held");
    assert_eq!((made.block.subject, made.block.action), (Subject::Device(CARD), Action::Quarantine));
    assert_eq!(length_s(&made), 600);
    // The household's whole IPv6 network is nobody's own.
    let refused = decide(&mut list, "2001:db8:1::7", Action::Deny, 100);
    assert!(matches!(refused, Err(Refusal::Protected(_))), "{refused:?}");

    for (protected, by_address) in [("198.51.100.7", true), ("2001:db8:1::7", true), ("198.51.100.8", false)] {
        let mut list = Blocklist::new(rails.clone(), ENFORCE, bounds());
        decide_device(&mut list, "2001:db8:1::7", 100).expect("held");
        list.rails.managers = vec![(protected.parse().expect("address"), Timestamp::from_secs(900))];
        list.rails.see(&Exchange {
            time: NOW,
            asker: "198.51.100.7".parse().expect("address"),
            device: Some(CARD),
            server: "203.0.113.80".parse().expect("address"),
            service: None,
        });
        assert_eq!(list.lift_protected(NOW).len(), usize::from(by_address), "{protected}");
    }
    for routers in [vec![CARD], Vec::new()] {
        let mut list = Blocklist::new(rails.clone(), ENFORCE, bounds());
        list.rails.routers.clone_from(&routers);
        if routers.is_empty() {
            list.rails.allow = Allowlist::new(vec!["02:00:5e:10:00:07".parse().expect("device")]);
        }
        let refused = decide_device(&mut list, "198.51.100.7", 100);
        assert!(matches!(refused, Err(Refusal::Protected(_))), "{refused:?}");
    }
}

/// Decides that a service of a host is to be limited.
fn decide_limit(list: &mut Blocklist, port: u16, at_s: u64) -> Result<Made, Refusal> {
    let target = Target { destination: [198, 51, 100, 10].into(), protocol: 6, port: Some(port) };
    let flood = Verdict { class: ThreatClass::Flood, confidence: 0.99 };
    let seen = Sighting { verdict: flood, ..sighting("192.0.2.1", at_s, false) };
    list.decide(&seen, target.into(), Action::Limit, 40, Timestamp::from_secs(at_s))
}

#[test]
fn a_limit_is_prolonged_while_the_flood_goes_on_counts_as_no_offence_and_there_are_not_too_many() {
    let mut list = Blocklist::new(Rails::default(), ENFORCE, bounds());
    let made = decide_limit(&mut list, 80, 100).expect("limited");
    assert_eq!((made.block.subject.to_string().as_str(), made.block.offence), ("198.51.100.10:80/tcp", 0));
    assert_eq!(made.block.until, Timestamp::from_secs(100).plus(LIMIT_LENGTH));
    let made = decide_limit(&mut list, 80, 140).expect("prolonged");
    assert_eq!(made.block.until, Timestamp::from_secs(140).plus(LIMIT_LENGTH));
    assert_eq!(list.expire(Timestamp::from_secs(200)).len(), 1);
    assert_eq!(
        decide_limit(&mut list, 80, 900).expect("again").block.until,
        Timestamp::from_secs(900).plus(LIMIT_LENGTH)
    );
    for port in 1..LIMITED_SERVICES as u16 {
        decide_limit(&mut list, 1_000 + port, 900).expect("room");
    }
    assert_eq!(decide_limit(&mut list, 9, 900), Err(Refusal::Full));
    assert!(decide(&mut list, "203.0.113.9", Action::Deny, 900).is_ok(), "room for blocks is left");
    list.rails.allow = Allowlist::new(vec!["198.51.100.10".parse().expect("address")]);
    assert_eq!(list.lift_protected(Timestamp::from_secs(901)).len(), LIMITED_SERVICES);
}

#[test]
fn what_waits_for_approval_is_done_for_its_whole_time_once_approved_and_else_forgotten() {
    let mut list = Blocklist::new(Rails::default(), Modes::all(Mode::Approve), bounds());
    let made = decide(&mut list, "203.0.113.9", Action::Deny, 100).expect("proposed");
    assert_eq!((made.block.state, length_s(&made)), (BlockState::Proposed, 300));
    let subject = made.block.subject;
    let asked = decide(&mut list, "203.0.113.9", Action::Deny, 200);
    assert_eq!(asked, Err(Refusal::Stands(Timestamp::from_secs(210))), "a proposal settles nothing for long");
    let approved = list.approve(subject, "anna", Timestamp::from_secs(399)).expect("in time").block;
    assert_eq!((approved.state, approved.until), (BlockState::Enforced, Timestamp::from_secs(999)));
    assert_eq!((&*approved.actor, &*approved.because), ("anna", &*made.block.because));
    assert_eq!(list.approve(subject, "anna", Timestamp::from_secs(399)), Err(Refusal::NotProposed), "once");

    decide(&mut list, "203.0.113.10", Action::Deny, 100).expect("proposed");
    let late = list.approve(Subject::of([203, 0, 113, 10].into()), "anna", Timestamp::from_secs(400));
    assert_eq!(late, Err(Refusal::NotProposed));
    assert_eq!(list.expire(Timestamp::from_secs(400)).len(), 1);
    assert_eq!(decide(&mut list, "203.0.113.10", Action::Deny, 401).expect("again").block.offence, 1, "it was none");

    list.rails.gateways = vec![[203, 0, 113, 10].into()];
    let protected = list.approve(Subject::of([203, 0, 113, 10].into()), "anna", Timestamp::from_secs(402));
    assert!(matches!(protected, Err(Refusal::Protected(_))), "{protected:?}");
}

#[test]
fn a_mode_is_of_a_class_and_what_does_not_go_with_a_new_one_ends() {
    let mut list = Blocklist::new(Rails::default(), ENFORCE, bounds());
    assert_eq!(list.set_mode(Some(ThreatClass::Flood), Mode::Observe, NOW), []);
    decide(&mut list, "203.0.113.9", Action::Deny, 100).expect("a scan");
    let limit = decide_limit(&mut list, 80, 100).expect("a flood").block;
    assert_eq!(limit.state, BlockState::Observed);
    let by_hand = BlockRecord { class: None, ..record("203.0.113.10", Action::Deny, 900) };
    list.block(by_hand, NOW).expect("by hand");

    let states = |list: &Blocklist| list.standing().map(|block| block.state).collect::<Vec<_>>();
    assert_eq!(list.set_mode(None, Mode::Approve, NOW), [limit], "what was only said is decided anew");
    assert_eq!(states(&list), [BlockState::Enforced; 2], "what is done goes on");
    decide(&mut list, "203.0.113.11", Action::Deny, 100).expect("proposed");
    let ended = list.set_mode(None, Mode::Observe, NOW);
    assert_eq!((ended.len(), list.standing().count()), (3, 0), "also what a person did by hand: nothing is blocked");
}

#[test]
fn a_block_by_hand_makes_what_was_only_proposed_real() {
    let mut list = Blocklist::new(Rails::default(), Modes::all(Mode::Approve), bounds());
    decide(&mut list, "203.0.113.9", Action::Deny, 100).expect("proposed");
    let by_hand = BlockRecord { class: None, ..record("203.0.113.9", Action::Deny, 120) };
    let made = list.block(by_hand, NOW).expect("by hand");
    let until = Timestamp::from_secs(120);
    assert_eq!((made.block.state, made.block.until), (BlockState::Enforced, until), "for as long as the person said");
    let more = decide(&mut list, "203.0.113.9", Action::Deny, 110);
    assert_eq!(more, Err(Refusal::Stands(until)), "a proposal takes nothing back");
    assert_eq!(list.set_mode(Some(ThreatClass::Scan), Mode::Enforce, NOW), []);
    let more = decide(&mut list, "203.0.113.9", Action::Deny, 110);
    assert_eq!(more, Err(Refusal::Stands(until)), "nor does evidence");
}

#[test]
fn what_was_approved_is_made_no_stricter_without_asking_again() {
    let mut list = Blocklist::new(Rails::default(), Modes::all(Mode::Approve), bounds());
    let subject = decide(&mut list, "203.0.113.9", Action::DenyNew, 100).expect("proposed").block.subject;
    let approved = list.approve(subject, "anna", NOW).expect("approved").block;
    assert_eq!(decide(&mut list, "203.0.113.9", Action::DenyNew, 150), Err(Refusal::Stands(approved.until)));
    let stricter = decide(&mut list, "203.0.113.9", Action::Deny, 150);
    assert_eq!(stricter, Err(Refusal::Stands(Timestamp::from_secs(160))));
    let limit = decide_limit(&mut list, 80, 100).expect("proposed").block.subject;
    list.approve(limit, "anna", NOW).expect("approved");
    let renewed = decide_limit(&mut list, 80, 140).expect("it goes on").block;
    assert_eq!((renewed.state, renewed.until), (BlockState::Enforced, Timestamp::from_secs(140).plus(LIMIT_LENGTH)));
}

#[test]
fn what_is_only_said_makes_nothing_stricter_that_is_done_for_another_reason() {
    let mut list = Blocklist::new(Rails::default(), Modes::all(Mode::Observe), bounds());
    list.set_mode(Some(ThreatClass::Scan), Mode::Enforce, NOW);
    let guesses = Sighting {
        verdict: Verdict { class: ThreatClass::BruteForce, confidence: 0.99 },
        ..sighting("203.0.113.9", 100, true)
    };
    list.decide(&guesses, guesses.offender(), Action::Deny, 5, NOW).expect("observed");
    let scan = decide(&mut list, "203.0.113.9", Action::DenyNew, 100).expect("enforced").block;
    assert_eq!((scan.action, scan.state, scan.class), (Action::DenyNew, BlockState::Enforced, Some(ThreatClass::Scan)));
    let more = list.decide(&guesses, guesses.offender(), Action::Deny, 5, NOW);
    assert_eq!(more, Err(Refusal::Stands(Timestamp::from_secs(110))), "it may come again for the scan");
}

#[test]
fn what_is_only_said_for_one_class_is_done_for_another_and_the_trips_count_it_then() {
    let mut rails = Rails::default();
    rails.lan = vec!["198.51.100.0/24".parse().expect("network")];
    let mut list = Blocklist::new(rails, ENFORCE, bounds());
    list.set_mode(Some(ThreatClass::Scan), Mode::Observe, NOW);
    let mut decide_of = |host: u8, class| {
        let origin = Origin { device: Some(Mac([2, 0, 0, 0, 0, host])), is_inside: true, is_routed: false };
        let verdict = Verdict { class, confidence: 0.99 };
        let seen = Sighting { origin: Some(origin), verdict, ..sighting(&format!("198.51.100.{host}"), 100, true) };
        list.decide(&seen, seen.offender(), Action::Quarantine, 5, NOW)
    };
    for host in [7, 8] {
        let scan = decide_of(host, ThreatClass::Scan).expect("observed").block;
        assert_eq!(scan.state, BlockState::Observed);
        assert_eq!(scan.settles_until(scan.action, NOW), Timestamp::from_secs(110), "another class may come");
    }
    let guesses = decide_of(7, ThreatClass::BruteForce).expect("done").block;
    assert_eq!((guesses.state, guesses.settles_until(guesses.action, NOW)), (BlockState::Enforced, guesses.until));
    let held = Refusal::Held(Held { trip: Trip::Household, begins: true });
    assert_eq!(decide_of(8, ThreatClass::BruteForce), Err(held), "one device of so few is the most");
}

#[test]
fn a_block_lasts_as_long_by_the_clock_of_now_whatever_that_of_its_packets_was() {
    let mut list = Blocklist::new(Rails::default(), ENFORCE, bounds());
    let seen = sighting("203.0.113.9", 100 + 86_400, true);
    let made = list.decide(&seen, seen.offender(), Action::Deny, 5, NOW).expect("blocked");
    assert_eq!(made.block.until, Timestamp::from_secs(700));
}

#[test]
fn a_clock_that_is_set_back_prolongs_nothing() {
    let mut list = Blocklist::new(Rails::default(), ENFORCE, bounds());
    let day = 86_400;
    decide(&mut list, "203.0.113.9", Action::Deny, day).expect("blocked");
    list.clock_set_back(Duration::from_secs(day - 1_000));
    assert_eq!(list.expire(Timestamp::from_secs(1_599)), []);
    assert_eq!(list.expire(Timestamp::from_secs(1_600)).len(), 1);
}

#[test]
fn nobody_is_blocked_who_may_have_the_household_behind_him() {
    let mut rails = Rails::default();
    rails.lan = vec!["198.51.100.0/24".parse().expect("network")];
    let mut list = Blocklist::new(rails, ENFORCE, bounds());
    let mut decide_from = |address: &str, is_inside: Option<bool>, is_routed| {
        let origin = is_inside.map(|is_inside| Origin { device: None, is_inside, is_routed });
        let seen = Sighting { origin, ..sighting(address, 100, true) };
        list.decide(&seen, seen.offender(), Action::Deny, 5, NOW)
    };
    for (address, is_routed) in [("203.0.113.7", false), ("2001:db8:9::7", false), ("198.51.100.7", true)] {
        assert!(matches!(decide_from(address, Some(true), is_routed), Err(Refusal::Protected(_))), "{address}");
    }
    assert!(decide_from("2001:db8:9::8", None, false).is_err(), "where it came in was not seen");
    assert!(decide_from("198.51.100.8", Some(true), false).is_ok(), "one of many behind a repeater");
    assert!(decide_from("203.0.113.8", Some(false), true).is_ok(), "everybody outside");
}

#[test]
fn no_device_is_blocked_because_its_address_is_forged_outside() {
    let mut rails = Rails::default();
    rails.lan = vec!["198.51.100.0/24".parse().expect("network")];
    for (address, proven, is_blocked) in [
        ("198.51.100.7", false, false),
        // Nobody is known there: it may be a device that is at the router's own radio.
        ("198.51.100.8", false, true),
        // Whoever has the address now answers.
        ("198.51.100.7", true, true),
    ] {
        let mut list = Blocklist::new(rails.clone(), ENFORCE, bounds());
        let (asker, server) = ([198, 51, 100, 7].into(), [203, 0, 113, 80].into());
        list.rails.see(&Exchange { time: NOW, asker, device: Some(CARD), server, service: None });
        let origin = Origin { device: None, is_inside: false, is_routed: false };
        let seen = Sighting { origin: Some(origin), ..sighting(address, 100, proven) };
        let decided = list.decide(&seen, seen.offender(), Action::DenyNew, 5, NOW);
        assert_eq!(decided.is_ok(), is_blocked, "{address} {proven}: {decided:?}");
    }
}

#[test]
fn a_device_hides_behind_nobody_elses_address() {
    let mut rails = Rails::default();
    rails.lan = vec!["198.51.100.0/24".parse().expect("network")];
    rails.gateways = vec![[198, 51, 100, 1].into()];
    rails.allow = Allowlist::new(vec!["198.51.100.10".parse().expect("address")]);
    let mut list = Blocklist::new(rails, ENFORCE, bounds());
    let see = |list: &mut Blocklist, asker: [u8; 4], device| {
        let (asker, server) = (asker.into(), [203, 0, 113, 80].into());
        list.rails.see(&Exchange { time: NOW, asker, device: Some(device), server, service: None });
    };
    see(&mut list, [198, 51, 100, 10], Mac([2, 0, 0, 0, 0, 1]));
    decide_device(&mut list, "198.51.100.7", 100).expect("held");
    for forged in [[198, 51, 100, 1], [198, 51, 100, 10]] {
        see(&mut list, forged, CARD);
        assert_eq!(list.lift_protected(NOW), [], "{forged:?}");
    }
    // A resolver of the household that the router announces is needed, whatever it does.
    list.rails.hear(Vec::new(), core::iter::once([198, 51, 100, 7].into()));
    assert_eq!(list.lift_protected(NOW).len(), 1);
}
