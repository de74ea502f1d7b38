//! Floods in the names of others: whoever is forged keeps the answers that it gives, and a flooded service is limited without
//! its visitors being shut out.

use std::net::Ipv6Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::Duration;

use lab::attacks::{FLOOD_PACKETS, Flood, flood, forge_sources, start_flood};
use lab::benign::{PingStream, fetch, look_up_names};
use lab::daemon::{Config, Daemon};
use lab::network::{GATEWAY, INTERNET, LAN_HOST, NAME_SERVER, Network};
use lab::packets::{ENCAPSULATIONS, icmp};
use lab::process::wait_until;
use lab::services;
use lab::wire::Wire;
use serde_json::Value;

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one piece of ordinary traffic may take.
const LIMIT: Duration = Duration::from_secs(30);
/// How long a visitor of a flooded server has patience.
const VISIT: Duration = Duration::from_secs(10);
/// Visitors at once, and how often each comes.
const VISITORS: u8 = 5;
const VISITS: usize = 2;

#[test]
fn whoever_is_forged_keeps_the_answers_that_it_gives() {
    let network = Network::new().unwrap();
    let _servers = [services::nginx(&network.wan).unwrap(), services::dnsmasq(&network.wan).unwrap()];
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    let web_server = INTERNET[0];
    for _ in 0..15 {
        look_up_names(&network.lan, NAME_SERVER, 2).unwrap();
        fetch(&network.lan, web_server, "index.html", LIMIT).unwrap();
        sleep(Duration::from_millis(150));
    }
    let pings = PingStream::start(&network.lan, GATEWAY, 50).unwrap();
    for forged in [NAME_SERVER, GATEWAY, web_server] {
        let scan = format!("-S -p ++1 -a {forged}");
        flood(&network.wan, Flood::Other(&scan), LAN_HOST, 2_000, 500, LIMIT).unwrap();
        let datagrams = format!("--udp -p ++1 -s 53 -a {forged}");
        flood(&network.wan, Flood::Other(&datagrams), LAN_HOST, 2_000, 500, LIMIT).unwrap();
    }
    let blocked = daemon.wait_for_block(web_server, PATIENCE).unwrap();
    assert_eq!(blocked["action"], "deny_new", "the web server is nothing special, and what it answers passes");
    for protected in [NAME_SERVER, GATEWAY] {
        assert!(daemon.block_of(protected).is_none() && !daemon.kernel_blocks(protected), "{protected} is blocked");
    }
    look_up_names(&network.lan, NAME_SERVER, 20).unwrap();
    fetch(&network.lan, web_server, "film.bin", LIMIT).unwrap();
    let report = pings.stop().unwrap();
    assert_eq!(report.received, report.sent);
}

/// The limit of a service, if it stands.
fn limit_of(daemon: &Daemon<'_>, service: &str) -> Option<Value> {
    daemon.block_of(service).filter(|block| block["action"] == "limit")
}

#[test]
fn a_flood_from_a_hundred_thousand_forged_addresses_limits_the_service_and_its_visitors_get_through() {
    let network = Network::new().unwrap();
    let _nginx = services::nginx(&network.lan).unwrap();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    let attacker = network.outsider(66).unwrap();
    let visitors: Vec<_> = (40..40 + VISITORS).map(|number| network.outsider(number).unwrap()).collect();
    let service = format!("{LAN_HOST}:80/tcp");
    let over = AtomicBool::new(false);
    let got_through = scope(|scope| {
        let _forged = forge_sources(&network, &attacker.namespace).unwrap();
        let over = &over;
        let flooder = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                flood(&attacker.namespace, Flood::Syn(80), LAN_HOST, FLOOD_PACKETS, 100, PATIENCE).unwrap();
            }
        });
        let limited = wait_until("the service is limited", PATIENCE, || limit_of(&daemon, &service).is_some());
        let visit = |visitor: &lab::network::Outsider| {
            (0..VISITS).filter(|_| fetch(&visitor.namespace, LAN_HOST, "index.html", VISIT).is_ok()).count()
        };
        let visits: Vec<_> = visitors.iter().map(|visitor| scope.spawn(move || visit(visitor))).collect();
        let got_through: usize = visits.into_iter().map(|visits| visits.join().unwrap()).sum();
        over.store(true, Ordering::Relaxed);
        flooder.join().unwrap();
        limited.unwrap();
        got_through
    });
    let limit = limit_of(&daemon, &service).unwrap();
    println!("{got_through} of {} visits got through; {}", visitors.len() * VISITS, limit["because"]);
    assert!(limit["because"].as_str().unwrap().contains("from too many addresses to block them one by one"));
    // Nine in ten, because a busy machine may keep one of them waiting for longer than it has patience.
    assert!(got_through * 10 >= visitors.len() * VISITS * 9, "{got_through} visits got through");
    let blocks = daemon.blocks().unwrap();
    assert!(blocks.len() <= 3, "the list fills with forged senders: {blocks:#?}");
    for visitor in &visitors {
        assert!(daemon.block_of(&visitor.address()).is_none(), "a visitor is blocked");
    }
    let table = daemon.kernel_table();
    assert!(table.contains(&format!("{LAN_HOST} . tcp . 80 limit rate over 100/second")), "{table}");
}

#[test]
fn a_limit_ends_when_the_flood_is_over_or_a_person_says_so() {
    let network = Network::new().unwrap();
    let _nginx = services::nginx(&network.lan).unwrap();
    let mut daemon = Daemon::start(&network, &Config::default()).unwrap();
    let attacker = network.outsider(66).unwrap();
    let _forged = forge_sources(&network, &attacker.namespace).unwrap();
    let service = format!("{LAN_HOST}:80/tcp");
    let has_ended =
        |daemon: &Daemon| limit_of(daemon, &service).is_none() && !daemon.kernel_table().contains("tcp . 80 limit");
    let begin = |daemon: &Daemon| {
        let running = start_flood(&attacker.namespace, Flood::Syn(80), LAN_HOST, FLOOD_PACKETS, 100).unwrap();
        wait_until("the service is limited", PATIENCE, || limit_of(daemon, &service).is_some()).unwrap();
        drop(running);
    };
    begin(&daemon);
    wait_until("the limit ends by itself", PATIENCE * 2, || has_ended(&daemon)).unwrap();
    begin(&daemon);
    // A person's limit takes its place, and is written down as such: it holds over a restart.
    assert!(daemon.command(&["block", &service, "--for", "1h"]).unwrap().success());
    daemon.kill();
    daemon.start_again().unwrap();
    let limit = limit_of(&daemon, &service).unwrap();
    assert!(limit["actor"] == "local" && limit["left_s"].as_u64() > Some(3_000), "{limit}");
    assert!(daemon.command(&["unblock", &service]).unwrap().success());
    assert!(has_ended(&daemon));
    let visitor = network.outsider(40).unwrap();
    fetch(&visitor.namespace, LAN_HOST, "index.html", LIMIT).unwrap();
}

#[test]
fn forged_pings_are_limited_and_nothing_else_of_the_host_is() {
    let network = Network::new().unwrap();
    let _nginx = services::nginx(&network.lan).unwrap();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    let (attacker, visitor) = (network.outsider(66).unwrap(), network.outsider(40).unwrap());
    let _forged = forge_sources(&network, &attacker.namespace).unwrap();
    let host = format!("{LAN_HOST}/icmp");
    let running = start_flood(&attacker.namespace, Flood::Icmp(40), LAN_HOST, FLOOD_PACKETS, 200).unwrap();
    wait_until("the host is limited", PATIENCE, || limit_of(&daemon, &host).is_some()).unwrap();
    let table = daemon.kernel_table();
    assert!(table.contains(&format!("{LAN_HOST} . icmp . 2048 limit rate over 100/second")), "{table}");
    fetch(&visitor.namespace, LAN_HOST, "index.html", VISIT).unwrap();
    drop(running);
    visitor.namespace.run(["ping", "-n", "-q", "-c", "3", "-W", "5", LAN_HOST]).unwrap();
    assert!(daemon.command(&["unblock", &host]).unwrap().success());
    assert!(limit_of(&daemon, &host).is_none() && !daemon.kernel_table().contains("icmp . 2048"));
}

/// Messages of neighbour discovery of this type to a group, each from another forged neighbour.
fn forged_neighbours(kind: u8, group: Ipv6Addr, numbers: std::ops::Range<u16>) -> Vec<Vec<u8>> {
    const ICMPV6: u8 = 58;
    let frame = |number: u16| {
        let neighbour = Ipv6Addr::new(0xfe80, 0, 0, 0, 0xff, 0xfe00, 1, number);
        let mut frame = ENCAPSULATIONS[0].frame(neighbour.into(), group.into(), number, &icmp(ICMPV6, kind));
        let [.., a, b, c, d] = group.octets();
        let [high, low] = number.to_be_bytes();
        frame.splice(..12, [0x33, 0x33, a, b, c, d, 2, 0, 0x5e, 0, high, low]);
        frame
    };
    numbers.map(frame).collect()
}

#[test]
fn forged_routers_are_kept_to_a_rate_and_neighbours_find_each_other() {
    const ADVERTISEMENT: u8 = 134;
    const SOLICITATION: u8 = 135;
    const ALLOWED: u16 = 0xfffe;
    let all_nodes: Ipv6Addr = "ff02::1".parse().unwrap();
    let one_node: Ipv6Addr = "ff02::1:ff00:10".parse().unwrap();
    let network = Network::new().unwrap();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    // The kernel takes a moment until a new bridge forwards.
    network.lan.run(["ping", "-n", "-q", "-c", "1", "-w", "10", GATEWAY]).unwrap();
    let inside = Wire::open(&network.lan, "lan0").unwrap();
    let group = format!("{all_nodes}/icmp");
    let mut number = 0;
    wait_until("the group is limited", PATIENCE, || {
        inside.send_many(&forged_neighbours(ADVERTISEMENT, all_nodes, number..number + 300)).unwrap();
        number += 300;
        sleep(Duration::from_millis(100));
        limit_of(&daemon, &group).is_some()
    })
    .unwrap();
    let table = daemon.kernel_table();
    assert!(table.contains(&format!("{all_nodes} . ipv6-icmp limit rate over 100/second")), "{table}");

    let [outside, end] = [(); 2].map(|()| Wire::open(&network.wan, "wan0").unwrap());
    assert!(daemon.command(&["allow", "02:00:5e:00:ff:fe"]).unwrap().success());
    inside.send_many(&forged_neighbours(ADVERTISEMENT, all_nodes, 0..2_000)).unwrap();
    inside.send_many(&forged_neighbours(SOLICITATION, one_node, 0..200)).unwrap();
    let allowed = forged_neighbours(ADVERTISEMENT, all_nodes, ALLOWED..ALLOWED + 1);
    inside.send_many(&vec![allowed[0].clone(); 200]).unwrap();
    // Whatever passes is there by then.
    sleep(Duration::from_secs(1));
    end.send_last().unwrap();
    let mark = |group: Ipv6Addr, frame: &[u8]| ENCAPSULATIONS[0].mark(group.into(), frame);
    let (mut advertised, mut solicited, mut by_the_allowed) = (0, 0, 0);
    outside
        .receive(|frame| {
            advertised += usize::from(mark(all_nodes, frame).is_some_and(|number| number != ALLOWED));
            by_the_allowed += usize::from(mark(all_nodes, frame) == Some(ALLOWED));
            solicited += usize::from(mark(one_node, frame).is_some());
        })
        .unwrap();
    assert!(advertised < 1_000, "{advertised} of 2000 to the flooded group");
    assert_eq!((by_the_allowed, solicited), (200, 200), "a router that is allowed, and who looks for a neighbour");
    assert!(daemon.command(&["unblock", &group]).unwrap().success());
    assert!(limit_of(&daemon, &group).is_none() && !daemon.kernel_table().contains(". ipv6-icmp limit"));
}

#[test]
fn answers_to_many_ports_that_nobody_asked_for_limit_the_host_and_its_own_questions_are_answered() {
    let network = Network::new().unwrap();
    let _servers = [services::nginx(&network.wan).unwrap(), services::dnsmasq(&network.wan).unwrap()];
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    let attacker = network.outsider(66).unwrap();
    let _forged = forge_sources(&network, &attacker.namespace).unwrap();
    let host = format!("{LAN_HOST}/udp");
    let amplified = Flood::Other("--udp -s 53 -k -p ++20000 -d 900");
    let running = start_flood(&attacker.namespace, amplified, LAN_HOST, FLOOD_PACKETS, 400).unwrap();
    wait_until("the host is limited", PATIENCE, || limit_of(&daemon, &host).is_some()).unwrap();
    let table = daemon.kernel_table();
    assert!(table.contains(&format!("{LAN_HOST} . udp limit rate over 100/second")), "{table}");
    look_up_names(&network.lan, NAME_SERVER, 20).unwrap();
    fetch(&network.lan, INTERNET[0], "index.html", VISIT).unwrap();
    drop(running);
    let blocks = daemon.blocks().unwrap();
    assert!(blocks.len() <= 3, "the list fills with forged senders: {blocks:#?}");
    assert!(daemon.command(&["unblock", &host]).unwrap().success());
    assert!(limit_of(&daemon, &host).is_none() && !daemon.kernel_table().contains(". udp limit"));
}
