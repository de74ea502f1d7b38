//! What the control thread tells the packet thread and the store where a protection begins or holds, and when the clock is set back.

use std::sync::mpsc::Receiver;
use std::thread;

use caps::CapSet;
use traffic::features::{FEATURE_COUNT, ThreatClass};

use super::*;
use crate::control::fixture::{keeper, record};
use crate::policy::{Allowlist, Mode};
use crate::store::Store;
use crate::store::test_directory::TestDirectory;
use crate::verdict::{BUILT_IN, Basis, Origin, Verdict};

/// Runs it in a thread that has no right to ask the kernel.
fn without_rights(test: impl FnOnce() + Send + 'static) {
    let run = move || {
        caps::clear(None, CapSet::Effective).unwrap();
        test();
    };
    thread::spawn(run).join().unwrap();
}

fn told(outcomes: &Receiver<Outcome>) -> Vec<Outcome> {
    outcomes.try_iter().collect()
}

#[test]
fn who_is_protected_by_now_is_forgiven_and_no_more_counted_as_blocked_afterwards() {
    without_rights(|| {
        for state in [BlockState::Enforced, BlockState::Proposed, BlockState::Observed] {
            let (directory, now) = (TestDirectory::new("forgiven"), clock::now());
            let (mut keeper, outcomes) = keeper(&directory, now);
            let block = record(state, now);
            let subject = block.subject;
            keeper.blocklist.block(block, now).unwrap();
            keeper.lift_protected(now);
            assert_eq!(told(&outcomes), []);
            keeper.blocklist.rails.allow = Allowlist::new(vec!["203.0.113.9".parse().unwrap()]);
            keeper.lift_protected(now);
            assert_eq!(told(&outcomes), [Outcome::Forgiven { subject }], "{state:?}");
        }
    });
}

#[test]
fn evidence_against_one_that_is_protected_is_settled_for_minutes_and_not_for_a_step_of_the_ladder() {
    let (directory, now) = (TestDirectory::new("settled"), clock::now());
    let (mut keeper, outcomes) = keeper(&directory, now);
    keeper.blocklist.set_mode(None, Mode::Enforce, now);
    keeper.blocklist.rails.allow = Allowlist::new(vec!["203.0.113.9".parse().unwrap()]);
    let seen = Sighting {
        time: now,
        last_packet: now,
        source: "203.0.113.9".parse().unwrap(),
        origin: Some(Origin::default()),
        destination: "198.51.100.10".parse().unwrap(),
        protocol: 6,
        port: Some(22),
        verdict: Verdict { class: ThreatClass::Scan, confidence: 0.99 },
        basis: Basis::Model(&BUILT_IN),
        features: [0.0; FEATURE_COUNT],
        flow_packets: 1,
        proven: true,
    };
    let subject = seen.offender();
    // Nothing is asked of the surroundings, which know of nobody here.
    let mut state = State { last_look: Some(Stopwatch::start()), ..State::default() };
    keeper.carry_out(&seen, subject, Action::Deny, 5, now, &mut state);
    assert_eq!(told(&outcomes), [Outcome::Blocked { subject, until: now.plus(PROTECTED_PAUSE) }]);
}

#[test]
fn a_clock_that_is_set_back_ends_blocks_in_the_database_as_much_earlier() {
    let (directory, wrong) = (TestDirectory::new("set-back"), clock::now().plus(Duration::from_secs(86_400)));
    let (mut keeper, _outcomes) = keeper(&directory, wrong);
    let block = record(BlockState::Enforced, wrong);
    keeper.blocklist.block(block.clone(), wrong).unwrap();
    keeper.record(Event::Blocked(block));
    let right = clock::now();
    let mut state = State { last_tick: Some(wrong), ..State::default() };
    keeper.follow_clock(right, &mut state);
    keeper.writer.flush().unwrap();
    let store = Store::join(directory.path()).unwrap();
    let left = |now: Timestamp| store.standing_blocks(now).unwrap().len();
    assert_eq!((left(right), left(right.plus(Duration::from_secs(61)))), (1, 0));
}
