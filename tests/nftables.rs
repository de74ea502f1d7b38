//! Enforcement against a real kernel: what each set drops and lets pass, how blocks end, and what is noticed.

use std::io::{Read, Write};
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use lab::two_hosts::{
    INSIDE, OUTSIDE, PORTS, TwoHosts, connect, connection, connects, give_addresses, ping, udp_arrives,
};
use sluice::enforce::nftables::{Family, Nftables};
use sluice::enforce::{Block, Desired, EnforceError, Enforcer};
use sluice::policy::{Action, Subject};
use traffic::time::Timestamp;

const NOW: Timestamp = Timestamp::from_secs(1_000);
const CAPACITY: u32 = 65_536;

fn open(hosts: &TwoHosts, capacity: u32) -> Nftables {
    hosts.bridge.enter(|| Nftables::new(PORTS.map(str::to_owned), capacity)).unwrap()
}

fn enforcer(hosts: &TwoHosts) -> Nftables {
    let mut enforcer = open(hosts, CAPACITY);
    enforcer.replace(&Desired::default(), NOW).unwrap();
    enforcer
}

fn block(address: IpAddr, action: Action, seconds: u64) -> Block {
    Block { subject: Subject::of(address), action, until: NOW.plus(Duration::from_secs(seconds)) }
}

fn list(hosts: &TwoHosts, family: &str) -> String {
    hosts.bridge.run(["nft", "list", "table", family, "sluice"]).unwrap()
}

/// Whether anything at all passes between the hosts, in both directions.
fn passes(hosts: &TwoHosts, family: usize) -> [bool; 4] {
    [
        ping(&hosts.outside, INSIDE[family]),
        connects(&hosts.outside, &hosts.inside, INSIDE[family]),
        ping(&hosts.inside, OUTSIDE[family]),
        connects(&hosts.inside, &hosts.outside, OUTSIDE[family]),
    ]
}

fn deny_drops_everything(hosts: &TwoHosts, enforcer: &mut Nftables) {
    for family in [0, 1] {
        let (mut near, mut far) = connection(&hosts.outside, &hosts.inside, INSIDE[family]);
        enforcer.block(&block(OUTSIDE[family], Action::Deny, 600), NOW).unwrap();
        assert_eq!(passes(hosts, family), [false; 4], "{}", OUTSIDE[family]);
        far.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        near.write_all(b"x").unwrap();
        assert!(far.read(&mut [0; 1]).is_err(), "an open connection is cut as well");
        assert_eq!(passes(hosts, 1 - family), [true; 4], "the other family is not touched");
        enforcer.unblock(&[Subject::of(OUTSIDE[family])]).unwrap();
        assert_eq!(passes(hosts, family), [true; 4]);
    }
}

fn deny_new_drops_what_opens_a_connection(hosts: &TwoHosts, enforcer: &mut Nftables) {
    for family in [0, 1] {
        let (mut near, mut far) = connection(&hosts.outside, &hosts.inside, INSIDE[family]);
        enforcer.block(&block(OUTSIDE[family], Action::DenyNew, 600), NOW).unwrap();
        assert_eq!(passes(hosts, family), [false, false, true, true], "{}", OUTSIDE[family]);
        near.write_all(b"x").unwrap();
        far.read_exact(&mut [0; 1]).unwrap();
        let (outside, inside) = ((&hosts.outside, OUTSIDE[family]), (&hosts.inside, INSIDE[family]));
        let port = |(namespace, address), port| (namespace, address, port);
        assert!(!udp_arrives(port(outside, 0), port(inside, 0)), "a client's port");
        assert!(!udp_arrives(port(outside, 1024), port(inside, 53)), "the first client's port");
        assert!(udp_arrives(port(outside, 53), port(inside, 0)), "the answer of a DNS server");
        assert!(udp_arrives(port(outside, 1023), port(inside, 0)), "the last service port");
        assert!(udp_arrives(port(inside, 0), port(outside, 53)), "the question to it");
        enforcer.unblock(&[Subject::of(OUTSIDE[family])]).unwrap();
        assert!(udp_arrives(port(outside, 0), port(inside, 0)));
    }
}

#[test]
fn each_set_drops_and_lets_pass_what_it_says() {
    let hosts = TwoHosts::bridged("nft-sets").unwrap();
    let mut enforcer = enforcer(&hosts);
    assert_eq!(enforcer.family(), Family::Netdev);
    deny_drops_everything(&hosts, &mut enforcer);
    deny_new_drops_what_opens_a_connection(&hosts, &mut enforcer);
    assert!(enforcer.dropped_packets().unwrap() > 10);
}

#[test]
fn the_bridge_family_does_the_same() {
    let hosts = TwoHosts::bridged("nft-bridge").unwrap();
    let mut enforcer = open(&hosts, CAPACITY).in_family(Family::Bridge);
    enforcer.replace(&Desired::default(), NOW).unwrap();
    assert!(list(&hosts, "bridge").contains("ip saddr @deny4"));
    deny_drops_everything(&hosts, &mut enforcer);
    deny_new_drops_what_opens_a_connection(&hosts, &mut enforcer);
}

#[test]
fn addresses_can_be_resolved_and_given_whatever_is_blocked() {
    let hosts = TwoHosts::bridged("nft-arp").unwrap();
    let mut enforcer = enforcer(&hosts);
    for address in OUTSIDE {
        enforcer.block(&block(address, Action::Deny, 600), NOW).unwrap();
    }
    hosts.outside.run(["ip", "neighbour", "flush", "dev", "eth0"]).unwrap();
    for address in INSIDE {
        assert!(!ping(&hosts.outside, address));
        let neighbour = hosts.outside.run(["ip", "neighbour", "show", &address.to_string()]).unwrap();
        assert!(neighbour.contains("lladdr"), "{address} is not resolved: {neighbour:?}");
    }
    for (family, server, client) in [(0, 67, 68), (1, 547, 546)] {
        let (outside, inside) = ((&hosts.outside, OUTSIDE[family]), (&hosts.inside, INSIDE[family]));
        assert!(udp_arrives((outside.0, outside.1, server), (inside.0, inside.1, client)), "DHCP");
        assert!(!udp_arrives((outside.0, outside.1, server), (inside.0, inside.1, 0)), "not DHCP");
    }
}

#[test]
fn the_allowed_are_never_blocked_and_still_protected_from_the_blocked() {
    let hosts = TwoHosts::bridged("nft-allow").unwrap();
    let mut enforcer = enforcer(&hosts);
    let blocks: Vec<_> = OUTSIDE.iter().map(|address| block(*address, Action::Deny, 600)).collect();
    let allow = |texts: [&str; 4]| texts.map(|text| text.parse::<IpNet>().unwrap()).to_vec();
    let subjects = allow(["198.51.100.0/31", "203.0.113.8/30", "2001:db8:1::/64", "2001:db8:8::/48"]);
    enforcer.replace(&Desired { blocks: blocks.clone(), allow: subjects, ..Desired::default() }, NOW).unwrap();
    assert_eq!([passes(&hosts, 0), passes(&hosts, 1)], [[true; 4]; 2]);
    let victims = allow(["198.51.100.2/31", "198.51.100.2/32", "203.0.113.77/32", "2001:db8:2::/48"]);
    enforcer.replace(&Desired { blocks: blocks.clone(), allow: victims, ..Desired::default() }, NOW).unwrap();
    assert_eq!([passes(&hosts, 0), passes(&hosts, 1)], [[false, false, true, true]; 2]);
    enforcer.replace(&Desired { blocks, ..Desired::default() }, NOW).unwrap();
    assert_eq!([passes(&hosts, 0), passes(&hosts, 1)], [[false; 4]; 2]);
}

#[test]
fn a_block_ends_by_the_kernels_clock() {
    let hosts = TwoHosts::bridged("nft-timeout").unwrap();
    let mut enforcer = enforcer(&hosts);
    for address in OUTSIDE {
        enforcer.block(&block(address, Action::Deny, 3), NOW).unwrap();
    }
    assert!(!ping(&hosts.outside, INSIDE[0]) && !ping(&hosts.outside, INSIDE[1]));
    // Nobody takes the blocks out: the daemon may be dead by now.
    assert!(hosts.reaches());
    assert_eq!(enforcer.read_back().unwrap().blocks, []);
    for address in OUTSIDE {
        enforcer.unblock(&[Subject::of(address)]).unwrap();
    }
}

#[test]
fn a_block_that_stands_gets_the_new_action_and_end() {
    let hosts = TwoHosts::bridged("nft-again").unwrap();
    let mut enforcer = enforcer(&hosts);
    for address in OUTSIDE {
        let subject = Subject::of(address);
        for (action, seconds) in
            [(Action::DenyNew, 600), (Action::Deny, 6_000), (Action::Deny, 60), (Action::DenyNew, 90)]
        {
            enforcer.block(&block(address, action, seconds), NOW).unwrap();
            let stands = enforcer.read_back().unwrap().blocks;
            let [(who, how, left)] = stands[..] else { panic!("{stands:?}") };
            assert_eq!((who, how), (subject, action));
            assert!(left <= Duration::from_secs(seconds) && left > Duration::from_secs(seconds - 30), "{left:?}");
        }
        enforcer.unblock(&[subject]).unwrap();
    }
    // A block whose end has passed ends what stands.
    enforcer.block(&block(OUTSIDE[0], Action::Deny, 600), NOW).unwrap();
    enforcer.block(&block(OUTSIDE[0], Action::Deny, 0), NOW).unwrap();
    assert_eq!(enforcer.read_back().unwrap().blocks, []);
}

#[test]
fn ten_thousand_blocks_are_restored_with_their_remaining_time() {
    let hosts = TwoHosts::bridged("nft-restore").unwrap();
    let mut enforcer = open(&hosts, CAPACITY);
    let address = |index: u32| match index % 2 {
        0 => IpAddr::from(std::net::Ipv4Addr::from_bits(0xcb00_0000 + index)),
        _ => IpAddr::from(std::net::Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(index) << 64)),
    };
    let action = |index: u32| if index.is_multiple_of(3) { Action::Deny } else { Action::DenyNew };
    let mut blocks: Vec<_> =
        (0..10_000).map(|index| block(address(index), action(index), 1_000 + u64::from(index))).collect();
    blocks.push(block(OUTSIDE[0], Action::Deny, 0));
    let later = NOW.plus(Duration::from_secs(500));
    enforcer.replace(&Desired { blocks: blocks.clone(), ..Desired::default() }, later).unwrap();
    let mut stands = enforcer.read_back().unwrap().blocks;
    assert_eq!(stands.len(), 10_000, "all but the one that has ended");
    stands.sort_by_key(|(subject, ..)| *subject);
    blocks.sort_by_key(|block| block.subject);
    blocks.retain(|block| block.until > later);
    for (block, (subject, action, left)) in blocks.iter().zip(&stands) {
        assert_eq!((block.subject, block.action), (*subject, *action));
        let wanted = block.until.since(later);
        assert!(*left <= wanted && *left + Duration::from_secs(60) > wanted, "{subject}: {left:?} of {wanted:?}");
    }
    let subjects: Vec<_> = stands.iter().map(|(subject, ..)| *subject).collect();
    enforcer.unblock(&subjects).unwrap();
    assert_eq!(enforcer.read_back().unwrap().blocks, []);
}

#[test]
fn a_refused_replacement_changes_nothing() {
    let hosts = TwoHosts::bridged("nft-atomic").unwrap();
    let mut enforcer = open(&hosts, 2);
    let one = Desired { blocks: vec![block(OUTSIDE[0], Action::Deny, 600)], ..Desired::default() };
    enforcer.replace(&one, NOW).unwrap();
    let before = list(&hosts, "netdev");
    let many = |count| (0..count).map(|last| block(IpAddr::from([192, 0, 2, last]), Action::Deny, 600)).collect();
    let refused = enforcer.replace(&Desired { blocks: many(3), ..Desired::default() }, NOW);
    assert!(matches!(refused, Err(EnforceError::Full { capacity: 2 })), "{refused:?}");
    let chains = |listing: &str| listing.lines().filter(|line| !line.contains("elements")).count();
    assert_eq!(chains(&list(&hosts, "netdev")), chains(&before));
    assert_eq!(enforcer.read_back().unwrap().blocks.len(), 1);
    assert!(!ping(&hosts.outside, INSIDE[0]));
    enforcer.replace(&Desired { blocks: many(2), ..Desired::default() }, NOW).unwrap();
    assert_eq!(enforcer.read_back().unwrap().blocks.len(), 2);
}

#[test]
fn a_full_set_says_so_and_still_renews() {
    let hosts = TwoHosts::bridged("nft-full").unwrap();
    let mut enforcer = open(&hosts, 2);
    enforcer.replace(&Desired::default(), NOW).unwrap();
    let address = |last| IpAddr::from([192, 0, 2, last]);
    enforcer.block(&block(address(1), Action::Deny, 600), NOW).unwrap();
    enforcer.block(&block(address(2), Action::Deny, 600), NOW).unwrap();
    let refused = enforcer.block(&block(address(3), Action::Deny, 600), NOW);
    assert!(matches!(refused, Err(EnforceError::Full { capacity: 2 })), "{refused:?}");
    enforcer.block(&block(address(1), Action::Deny, 6_000), NOW).unwrap();
    let longest = enforcer.read_back().unwrap().blocks.into_iter().map(|(.., left)| left).max().unwrap();
    assert!(longest > Duration::from_secs(5_000));
    enforcer.unblock(&[Subject::of(address(2))]).unwrap();
    enforcer.block(&block(address(3), Action::Deny, 600), NOW).unwrap();
}

#[test]
fn somebody_elses_change_is_noticed_and_put_back() {
    let hosts = TwoHosts::bridged("nft-flush").unwrap();
    let mut enforcer = enforcer(&hosts);
    let standing = Desired { blocks: vec![block(OUTSIDE[0], Action::Deny, 600)], ..Desired::default() };
    for change in ["flush ruleset", "flush chain netdev sluice ipv4", "flush table netdev sluice"] {
        enforcer.replace(&standing, NOW).unwrap();
        assert_eq!(enforcer.read_back().unwrap().blocks.len(), 1);
        assert!(!ping(&hosts.outside, INSIDE[0]));
        hosts.bridge.run(["nft", change]).unwrap();
        assert!(matches!(enforcer.read_back(), Err(EnforceError::TableGone)), "{change}");
        assert!(matches!(enforcer.dropped_packets(), Err(EnforceError::TableGone)), "{change}");
        assert!(ping(&hosts.outside, INSIDE[0]), "{change}");
    }
    hosts.bridge.run(["nft", "flush ruleset"]).unwrap();
    let refused = enforcer.block(&standing.blocks[0], NOW);
    assert!(matches!(refused, Err(EnforceError::TableGone)), "{refused:?}");
    enforcer.unblock(&[standing.blocks[0].subject]).unwrap();
}

#[test]
fn it_is_known_that_all_is_as_it_was_read_until_anybody_changes_anything() {
    let hosts = TwoHosts::bridged("nft-same").unwrap();
    let mut enforcer = enforcer(&hosts);
    assert!(!enforcer.is_unchanged(), "nothing was read yet");
    let mut assert_noticed = |what: &str, change: &dyn Fn(&mut Nftables)| {
        enforcer.read_back().unwrap();
        assert!(enforcer.is_unchanged(), "before {what}");
        change(&mut enforcer);
        assert!(!enforcer.is_unchanged(), "{what}");
    };
    let outside = OUTSIDE[0];
    assert_noticed("a block", &|enforcer| enforcer.block(&block(outside, Action::Deny, 600), NOW).unwrap());
    assert_noticed("its end", &|enforcer| enforcer.unblock(&[Subject::of(outside)]).unwrap());
    assert_noticed("a replacement", &|enforcer| enforcer.replace(&Desired::default(), NOW).unwrap());
    let element = "add element netdev sluice deny4 { 192.0.2.7 timeout 1h }";
    assert_noticed("somebody else", &|_| _ = hosts.bridge.run(["nft", element]).unwrap());
    assert_noticed("a flush", &|_| _ = hosts.bridge.run(["nft", "flush table netdev sluice"]).unwrap());
}

#[test]
fn changes_by_others_are_told_and_our_own_are_not() {
    let hosts = TwoHosts::bridged("nft-watch").unwrap();
    let mut enforcer = enforcer(&hosts);
    let mut watch = hosts.bridge.enter(|| enforcer.watch().unwrap()).unwrap();
    let (told, changes) = std::sync::mpsc::channel();
    std::thread::spawn(move || while told.send(watch.wait().unwrap()).is_ok() {});
    let standing = Desired { blocks: vec![block(OUTSIDE[0], Action::Deny, 600)], ..Desired::default() };
    for change in ["flush ruleset", "delete table netdev sluice", "add element netdev sluice deny4 { 203.0.113.9 }"] {
        enforcer.replace(&standing, NOW).unwrap();
        enforcer.block(&block(OUTSIDE[1], Action::Deny, 600), NOW).unwrap();
        hosts.bridge.run(["nft", "add table netdev another"]).unwrap();
        hosts.bridge.run(["nft", "delete table netdev another"]).unwrap();
        assert!(changes.try_recv().is_err(), "neither our own changes nor those of other tables are told");
        hosts.bridge.run(["nft", change]).unwrap();
        let by = changes.recv_timeout(Duration::from_secs(5)).unwrap();
        assert!(by.starts_with("nft (process "), "{by}");
    }
}

#[test]
fn an_administrator_can_read_the_table() {
    let hosts = TwoHosts::bridged("nft-list").unwrap();
    let mut enforcer = enforcer(&hosts);
    let blocks = vec![block(OUTSIDE[0], Action::Deny, 600), block(OUTSIDE[1], Action::DenyNew, 600)];
    let allow = vec!["192.0.2.0/24".parse().unwrap(), "2001:db8:ff::/48".parse().unwrap()];
    enforcer.replace(&Desired { blocks, allow, ..Desired::default() }, NOW).unwrap();
    let listing = list(&hosts, "netdev");
    for line in [
        "comment \"kept by sluice: changes are put back; see sluice.toml\"",
        "set allow4 {",
        "elements = { 192.0.2.0/24 }",
        "elements = { 2001:db8:ff::/48 }",
        "elements = { 198.51.100.1 timeout 10m",
        "elements = { 2001:db8:1:: timeout 10m",
        "ip saddr @allow4 accept comment \"from the allowlist\"",
        "ip daddr @deny4 counter packets 0 bytes 0 drop comment \"to the blocked\"",
        "ip6 saddr & ffff:ffff:ffff:ffff:: == @deny_new6 jump deny_new",
        "tcp flags syn / syn,ack counter packets 0 bytes 0 drop",
        "udp sport >= 1024 counter packets 0 bytes 0 drop",
        "frag frag-off != 0 accept comment \"not the first fragment: no ports\"",
        "ip frag-off & 8191 != 0 accept",
        "ether saddr @quarantine jump quarantine4",
        "ip daddr @own4 accept comment \"to the box\"",
        "udp dport 53 ip length <= 132 accept comment \"DNS\"",
        "udp sport 67-68 udp dport 67-68 accept comment \"DHCP\"",
        "type filter hook ingress devices = { lan0, wan0 }",
    ] {
        assert!(listing.contains(line), "no `{line}` in:\n{listing}");
    }
    // By hand, as an administrator would.
    hosts.bridge.run(["nft", "add", "element", "netdev", "sluice", "deny4", "{ 203.0.113.9 }"]).unwrap();
    let by_hand = (Subject::of(IpAddr::from([203, 0, 113, 9])), Action::Deny, Duration::MAX);
    assert!(enforcer.read_back().unwrap().blocks.contains(&by_hand));
    enforcer.remove().unwrap();
    assert_eq!(hosts.bridge.run(["nft", "list", "ruleset"]).unwrap(), "");
    enforcer.remove().unwrap();
}

#[test]
fn a_table_in_the_other_family_is_not_left_behind() {
    let hosts = TwoHosts::bridged("nft-family").unwrap();
    let standing = Desired { blocks: vec![block(OUTSIDE[0], Action::Deny, 600)], ..Desired::default() };
    for (first, second) in [(Family::Netdev, Family::Bridge), (Family::Bridge, Family::Netdev)] {
        open(&hosts, CAPACITY).in_family(first).replace(&standing, NOW).unwrap();
        assert!(!ping(&hosts.outside, INSIDE[0]));
        let mut later = open(&hosts, CAPACITY).in_family(second);
        later.replace(&Desired::default(), NOW).unwrap();
        let tables = hosts.bridge.run(["nft", "list", "tables"]).unwrap();
        assert_eq!(tables.trim(), format!("table {} sluice", second.name()));
        assert!(ping(&hosts.outside, INSIDE[0]));
        // Nor does a stop leave anything, in either family.
        open(&hosts, CAPACITY).in_family(first).remove().unwrap();
        assert_eq!(hosts.bridge.run(["nft", "list", "tables"]).unwrap(), "");
    }
}

#[test]
fn a_port_that_was_made_again_is_enforced_on_again() {
    let hosts = TwoHosts::bridged("nft-port").unwrap();
    let mut enforcer = enforcer(&hosts);
    hosts.bridge.run(["ip", "link", "delete", PORTS[0]]).unwrap();
    connect(&hosts.outside, &hosts.bridge, PORTS[0]).unwrap();
    give_addresses(&hosts.outside, "eth0", OUTSIDE).unwrap();
    hosts.bridge.run(["ip", "link", "set", PORTS[0], "master", "br0"]).unwrap();
    assert!(hosts.reaches());
    let standing =
        Desired { blocks: OUTSIDE.map(|address| block(address, Action::Deny, 600)).to_vec(), ..Desired::default() };
    enforcer.replace(&standing, NOW).unwrap();
    assert_eq!([passes(&hosts, 0), passes(&hosts, 1)], [[false; 4]; 2]);
}

#[test]
fn counters_go_on_over_a_replacement() {
    let hosts = TwoHosts::bridged("nft-count").unwrap();
    let mut enforcer = enforcer(&hosts);
    let standing = Desired { blocks: vec![block(OUTSIDE[0], Action::Deny, 600)], ..Desired::default() };
    enforcer.replace(&standing, NOW).unwrap();
    assert!(!ping(&hosts.outside, INSIDE[0]));
    let before = enforcer.dropped_packets().unwrap();
    assert!(before >= 1);
    enforcer.replace(&standing, NOW).unwrap();
    assert!(enforcer.dropped_packets().unwrap() >= before);
}
