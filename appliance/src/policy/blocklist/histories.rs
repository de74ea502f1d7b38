//! What holds of the list of blocks after any history.

use proptest::prelude::*;

use super::tests::{bounds, sighting};
use super::*;
use crate::policy::{Allowed, Allowlist, Exchange, LONGEST_STEP_S, Service, Target};
use crate::verdict::Origin;
use traffic::address::Mac;

/// Few, so that histories meet them again; more than half of the hosts that a history speaks of.
const MAX_BLOCKS: u32 = 12;

/// Hosts: 0 to 7 in the household, the others outside.
type Host = u8;

#[derive(Clone, Copy, Debug)]
enum Deed {
    Decide(Host, bool),
    DecideDevice(Host),
    DecideLimit(Host),
    SetMode(bool, u8),
    Approve(Host),
    ByHand(Host, u32),
    Unblock(Host),
    Gateway(Host),
    Allow(Host),
    LogIn(Host),
    Ask(Host, Host),
    Pass(u32),
}

fn address(host: Host) -> String {
    match host % 16 {
        at_home @ 0..8 => format!("198.51.100.{at_home}"),
        v4 @ 8..12 => format!("203.0.113.{v4}"),
        v6 => format!("2001:db8:{v6:x}::{host:x}"),
    }
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let host = || any::<Host>();
    let deed = prop_oneof![
        12 => (host(), any::<bool>()).prop_map(|(host, proven)| Deed::Decide(host, proven)),
        4 => host().prop_map(Deed::DecideDevice),
        2 => host().prop_map(Deed::DecideLimit),
        1 => (any::<bool>(), 0..3_u8).prop_map(|(of_scans, mode)| Deed::SetMode(of_scans, mode)),
        2 => host().prop_map(Deed::Approve),
        2 => (host(), 1..LONGEST_STEP_S).prop_map(|(host, ttl_s)| Deed::ByHand(host, ttl_s)),
        2 => host().prop_map(Deed::Unblock),
        1 => host().prop_map(Deed::Gateway),
        1 => host().prop_map(Deed::Allow),
        1 => host().prop_map(Deed::LogIn),
        4 => (host(), host()).prop_map(|(asker, server)| Deed::Ask(asker, server)),
        4 => (0..2_000_u32).prop_map(Deed::Pass),
        1 => (0..2 * 86_400_u32).prop_map(Deed::Pass),
    ];
    proptest::collection::vec(deed, 1..200)
}

struct History {
    list: Blocklist,
    now: Timestamp,
    /// All that came out, in order.
    said: Vec<String>,
}

impl History {
    fn new() -> Self {
        let mut rails = Rails::default();
        rails.lan = vec!["198.51.100.0/24".parse().expect("network")];
        let few = Bounds { max_blocks: MAX_BLOCKS, max_blocks_per_minute: 8, ..bounds() };
        Self {
            list: Blocklist::new(rails, Modes::all(Mode::Enforce), few),
            now: Timestamp::from_secs(1_000_000),
            said: Vec::new(),
        }
    }

    /// Carries one deed out as the control thread does.
    fn act(&mut self, deed: Deed) {
        let (now, list) = (self.now, &mut self.list);
        let parsed = |host| address(host).parse().expect("address");
        let said = match deed {
            Deed::Decide(host, proven) => {
                let action = if proven { Action::Deny } else { Action::DenyNew };
                let seen = sighting(&address(host), now.as_secs(), proven);
                format!("{:?}", list.decide(&seen, seen.offender(), action, 5, now))
            }
            Deed::DecideDevice(host) => {
                let device = Some(Mac([2, 0, 0, 0, 0, host % 8]));
                let origin = Origin { device, is_inside: true, is_routed: false };
                let seen = Sighting { origin: Some(origin), ..sighting(&address(host % 8), now.as_secs(), false) };
                format!("{:?}", list.decide(&seen, seen.offender(), Action::Quarantine, 5, now))
            }
            Deed::DecideLimit(host) => {
                let target = Target { destination: parsed(host), protocol: 6, port: Some(80) };
                let seen = sighting(&address(host), now.as_secs(), false);
                format!("{:?}", list.decide(&seen, target.into(), Action::Limit, 40, now))
            }
            Deed::SetMode(of_scans, mode) => {
                let class = of_scans.then_some(ThreatClass::Scan);
                format!("{:?}", list.set_mode(class, Mode::ALL[usize::from(mode)], now))
            }
            Deed::Approve(host) => format!("{:?}", list.approve(Subject::of(parsed(host)), "anna", now)),
            Deed::ByHand(host, ttl_s) => format!("{:?}", list.block(by_hand(parsed(host), ttl_s, now), now)),
            Deed::Unblock(host) => format!("{:?}", list.unblock(Subject::of(parsed(host)), now)),
            Deed::Gateway(host) => {
                list.rails.learn(None, vec![parsed(host)], &[]);
                String::new()
            }
            Deed::Allow(host) => {
                let network = Subject::of(parsed(host)).network().expect("a source");
                list.rails.allow = Allowlist::new(vec![Allowed::Network(network)]);
                String::new()
            }
            Deed::LogIn(host) => {
                list.rails.managers = vec![(parsed(host), now.plus(Duration::from_secs(3_600)))];
                String::new()
            }
            Deed::Ask(asker, server) => {
                let (asker, server) = (parsed(asker), parsed(server));
                list.rails.see(&Exchange { time: now, asker, device: None, server, service: Some(Service::Dhcp) });
                String::new()
            }
            Deed::Pass(seconds) => {
                self.now = now.plus(Duration::from_secs(seconds.into()));
                format!("{:?}{:?}", list.expire(self.now), list.end_quiet_trips(self.now))
            }
        };
        let lifted = self.list.lift_protected(self.now);
        self.said.push(format!("{said}{lifted:?}"));
    }
}

fn by_hand(address: core::net::IpAddr, ttl_s: u32, now: Timestamp) -> BlockRecord {
    BlockRecord {
        subject: Subject::of(address),
        action: Action::Deny,
        state: BlockState::Enforced,
        class: None,
        offence: 0,
        since: now,
        until: now.plus(Duration::from_secs(ttl_s.into())),
        because: "by hand".into(),
        actor: "local".into(),
    }
}

proptest! {
    #[test]
    fn no_rail_and_no_bound_is_ever_crossed(deeds in deeds()) {
        let mut history = History::new();
        for deed in deeds {
            history.act(deed);
            let History { list, now, .. } = &history;
            let (limits, blocks): (Vec<_>, Vec<_>) = list.standing().partition(|block| block.action == Action::Limit);
            prop_assert!(blocks.len() <= MAX_BLOCKS as usize && limits.len() <= LIMITED_SERVICES);
            for block in list.standing() {
                prop_assert_eq!(list.rails.protect(block.subject, *now), None);
                prop_assert_eq!(list.rails.pardon(block.subject, *now), None);
                prop_assert!(block.until > *now && block.until.since(block.since).as_secs() <= u64::from(LONGEST_STEP_S));
                let allowed: &[Action] = match block.subject {
                    Subject::Source(_) if list.rails.is_at_home(block.subject) => &[Action::DenyNew],
                    Subject::Source(_) => &[Action::DenyNew, Action::Deny],
                    Subject::Device(_) => &[Action::Quarantine],
                    Subject::Service(_) => &[Action::Limit],
                };
                prop_assert!(allowed.contains(&block.action), "{block:?}");
                prop_assert!(block.class.is_none() || list.modes().of(block.class).keeps(block.state), "{block:?}");
                prop_assert!(block.offence <= 4);
            }
        }
    }

    #[test]
    fn the_same_history_gives_the_same_decisions(deeds in deeds()) {
        let [mut one, mut other] = [History::new(), History::new()];
        for deed in deeds {
            one.act(deed);
            other.act(deed);
        }
        prop_assert_eq!(one.said, other.said);
    }

    #[test]
    fn forged_senders_keep_no_proven_attacker_from_being_blocked(forged in proptest::collection::vec(any::<u16>(), 0..300)) {
        let mut history = History::new();
        for number in forged {
            let now = history.now;
            let source = format!("192.0.2.{}", number % 256);
            let seen = sighting(&source, now.as_secs(), false);
            let _ = history.list.decide(&seen, seen.offender(), Action::DenyNew, 5, now);
            history.act(Deed::Pass(u32::from(number) % 30));
        }
        history.act(Deed::Decide(9, true));
        let attacker = Subject::of(address(9).parse().expect("address"));
        prop_assert!(history.list.standing().any(|block| block.subject == attacker && block.action == Action::Deny));
    }
}
