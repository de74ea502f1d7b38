//! A box that is nothing but a bridge, with neither address nor route, and yet knows the gateway, the resolvers, and which of
//! its ports faces the internet.

use std::net::IpAddr;
use std::time::Duration;

use lab::attacks::{Flood, flood};
use lab::benign::PingStream;
use lab::daemon::{Config, Daemon};
use lab::network::{BOX, GATEWAY, INTERNET, LAN_HOST, NAME_SERVER, Network, SECOND_LAN_HOST};
use lab::packets::{ENCAPSULATIONS, Encapsulation, SENDER, THREE_TAGS, Transport, datagram, icmp, tcp, udp};
use lab::process::wait_until;
use lab::services;
use lab::wire::Wire;
use serde_json::Value;
use sluice::linux::ear::Ear;
use sluice::linux::links::Links;

/// How long something may take that happens by itself. No promise.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the status says of the laboratory.
const ORIENTED: &str = "the internet is behind port1; the box stands between the router and the household\n";

fn bare() -> Config {
    Config { is_bare: true, ..Config::default() }
}

fn internet_port(daemon: &Daemon<'_>) -> Value {
    daemon.status().unwrap()["internet_port"].clone()
}

fn wait_for_internet_port(daemon: &Daemon<'_>, port: &str) {
    wait_until(&format!("the internet is behind {port}"), PATIENCE, || internet_port(daemon) == port).unwrap();
}

fn complains_about_gateway(daemon: &Daemon<'_>) -> bool {
    daemon.faults().unwrap().contains("no gateway is known")
}

/// Blocks the address by hand; what the command says where it is refused.
fn block(daemon: &Daemon<'_>, address: &str) -> Result<(), String> {
    let finished = daemon.command(&["block", address, "--for", "1h", "--why", "test"]).unwrap();
    if finished.success() { Ok(()) } else { Err(finished.stderr) }
}

/// Waits until nobody can block the address, and a block from before is lifted.
fn wait_for_gateway(daemon: &Daemon<'_>, address: &str) {
    let is_refused = || block(daemon, address).is_err_and(|refused| refused.contains("it is the gateway"));
    wait_until(&format!("{address} is known as a gateway"), PATIENCE, is_refused).unwrap();
    wait_until("no block of it stands", PATIENCE, || daemon.block_of(address).is_none()).unwrap();
}

/// The first frame that a device answers the household's DHCP clients with, and takes itself for the gateway.
fn forged_lease(gateway: &str) -> Vec<u8> {
    let octets = |text: &str| text.parse::<std::net::Ipv4Addr>().unwrap().octets();
    let mut message = vec![0; 236];
    message[..4].copy_from_slice(&[2, 1, 6, 0]);
    message[16..20].copy_from_slice(&octets(LAN_HOST));
    message.extend([0x63, 0x82, 0x53, 0x63, 53, 1, 5, 1, 4, 255, 255, 255, 0]);
    for option in [3, 6, 54] {
        message.extend([option, 4]);
        message.extend(octets(gateway));
    }
    message.push(255);
    let [source, everybody] = [gateway, "255.255.255.255"].map(|text| text.parse().unwrap());
    ENCAPSULATIONS[0].frame(source, everybody, 1, &datagram(67, 68, &message))
}

/// Says by ARP that the address is at [`SENDER`].
fn forged_owner(address: &str) -> Vec<u8> {
    let octets = address.parse::<std::net::Ipv4Addr>().unwrap().octets();
    let head = [&[0xff; 6][..], &SENDER, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2], &SENDER, &octets].concat();
    [&head[..], &[0; 28]].concat()
}

#[test]
fn a_lease_that_passes_by_tells_the_gateway_the_resolver_and_the_household() {
    let network = Network::new().unwrap();
    let _router = services::dhcp(&network.wan).unwrap();
    let daemon = Daemon::start(&network, &bare()).unwrap();
    assert!(complains_about_gateway(&daemon));
    assert_eq!(internet_port(&daemon), Value::Null);
    services::ask_for_address(&network.lan).unwrap();
    wait_until("the gateway is known", PATIENCE, || !complains_about_gateway(&daemon)).unwrap();
    wait_for_gateway(&daemon, GATEWAY);
    // The lease says who it is, and ARP where.
    let _pings = PingStream::start(&network.lan, GATEWAY, 200).unwrap();
    wait_for_internet_port(&daemon, "port1");
    let told = daemon.command(&["status"]).unwrap().stdout;
    assert!(told.contains(ORIENTED), "{told}");
    // The lease says what the household is, so that its devices keep the connections they have.
    block(&daemon, SECOND_LAN_HOST).unwrap();
    assert_eq!(daemon.block_of(SECOND_LAN_HOST).unwrap()["action"], "deny_new");
    assert!(daemon.command(&["unblock", SECOND_LAN_HOST]).unwrap().success());

    // Another address of the same machine, known by ARP alone.
    let second = "198.51.100.3";
    network.wan.ip(&format!("addr add {second}/24 dev wan0")).unwrap();
    let _more_pings = PingStream::start(&network.lan, second, 200).unwrap();
    wait_for_gateway(&daemon, second);

    // In the name of the gateway, and of the resolver, nobody gets anybody blocked; in that of others he does.
    let other = INTERNET[1];
    for source in [GATEWAY, NAME_SERVER, other] {
        let scan = format!("-S -p ++1 -a {source}");
        flood(&network.wan, Flood::Other(&scan), SECOND_LAN_HOST, 2_000, 500, PATIENCE).unwrap();
        daemon.wait_for_alert(source, "scan", PATIENCE).unwrap();
    }
    daemon.wait_for_block(other, PATIENCE).unwrap();
    for protected in [GATEWAY, NAME_SERVER] {
        assert!(daemon.block_of(protected).is_none() && !daemon.kernel_blocks(protected), "{protected}");
    }
}

#[test]
fn the_page_is_at_the_address_that_the_box_is_given_and_moves_with_it() {
    let network = Network::new().unwrap();
    let daemon = Daemon::start(&network, &bare()).unwrap();
    let answers = |address: &str| {
        let line = format!("curl -s --fail -m 2 -o /dev/null http://{address}:8080/");
        network.lan.run_within(&line, PATIENCE).is_ok()
    };
    network.r#box.ip("addr add 198.51.100.3/24 dev br0").unwrap();
    wait_until("the page is at the first address", PATIENCE, || answers("198.51.100.3")).unwrap();
    network.r#box.ip("addr del 198.51.100.3/24 dev br0").unwrap();
    network.r#box.ip("addr add 198.51.100.4/24 dev br0").unwrap();
    wait_until("the page has moved", PATIENCE, || answers("198.51.100.4")).unwrap();
    assert!(daemon.status().is_ok());
}

#[test]
fn an_address_at_which_there_is_no_page_is_told() {
    let network = Network::new().unwrap();
    let daemon = Daemon::start(&network, &bare()).unwrap();
    network.r#box.ip("addr add 198.18.1.2/24 dev br0").unwrap();
    let told = "the page is not open: the internet may reach 198.18.1.2, and br0 has no other address";
    wait_until("it is a fault", PATIENCE, || daemon.faults().unwrap().contains(told)).unwrap();
    network.r#box.ip(&format!("addr add {BOX}/24 dev br0")).unwrap();
    let page = format!("http://{BOX}:8080/");
    wait_until("the page opens", PATIENCE, || daemon.status().unwrap()["page"] == page.as_str()).unwrap();
    assert!(!daemon.faults().unwrap().contains(told));
}

#[test]
fn a_router_that_advertises_itself_is_known() {
    let network = Network::new().unwrap();
    let daemon = Daemon::start(&network, &bare()).unwrap();
    assert!(complains_about_gateway(&daemon));
    let _router = services::router_advertisements(&network.wan).unwrap();
    wait_for_internet_port(&daemon, "port1");
    assert!(!complains_about_gateway(&daemon));
}

#[test]
fn a_route_tells_which_port_faces_the_internet_and_it_follows_when_the_cables_are_swapped() {
    let network = Network::new().unwrap();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    let pings = PingStream::start(&network.r#box, GATEWAY, 200).unwrap();
    wait_for_internet_port(&daemon, "port1");
    let told = daemon.command(&["status"]).unwrap().stdout;
    assert!(told.contains(ORIENTED), "{told}");
    drop(pings);
    for (now, then) in [("port0", "port2"), ("port1", "port0"), ("port2", "port1")] {
        network.r#box.ip(&format!("link set {now} down")).unwrap();
        network.r#box.ip(&format!("link set {now} name {then}")).unwrap();
        network.r#box.ip(&format!("link set {then} up")).unwrap();
    }
    let _pings = PingStream::start(&network.r#box, GATEWAY, 200).unwrap();
    wait_for_internet_port(&daemon, "port0");
}

#[test]
fn a_device_of_the_household_that_takes_itself_for_the_gateway_is_blocked_all_the_same() {
    let network = Network::new().unwrap();
    let daemon = Daemon::start(&network, &Config::default()).unwrap();
    let _pings = PingStream::start(&network.r#box, GATEWAY, 200).unwrap();
    wait_for_internet_port(&daemon, "port1");
    let device = Wire::open(&network.lan, "lan0").unwrap();
    let router = Wire::open(&network.wan, "wan0").unwrap();
    let forged = "198.51.100.66";
    // Several looks long, each of which could believe it.
    for _ in 0..20 {
        device.send(&forged_lease(forged)).unwrap();
        device.send(&forged_owner(forged)).unwrap();
        device.send(&forged_owner(GATEWAY)).unwrap();
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(internet_port(&daemon), "port1");
    block(&daemon, forged).unwrap();
    wait_for_gateway(&daemon, GATEWAY);
    // The same lease from the other side is believed, and lifts that block.
    router.send(&forged_lease(forged)).unwrap();
    wait_for_gateway(&daemon, forged);
}

#[test]
fn only_what_is_announced_is_heard_plain_and_behind_two_tags_at_most() {
    let network = Network::new().unwrap();
    let open = || {
        let all = Links::open().unwrap().all().unwrap();
        Ear::open(all.iter().find(|link| link.name == "port0").unwrap().index).unwrap()
    };
    let mut ear = network.r#box.enter(open).unwrap();
    let wire = Wire::open(&network.lan, "lan0").unwrap();
    let v4 = ["198.51.100.1", LAN_HOST].map(|text| text.parse().unwrap());
    let v6 = ["fe80::1", "ff02::1"].map(|text| text.parse().unwrap());
    let mut heard = |encapsulation: &Encapsulation, [source, destination]: [IpAddr; 2], carried: &Transport| {
        wire.send(&encapsulation.frame(source, destination, 1, carried)).unwrap();
        // The last to be sent is always heard: then all before it were.
        wire.send(&ENCAPSULATIONS[0].arp().unwrap()).unwrap();
        let mut count = 0;
        let mut is_last = false;
        wait_until("the last frame is heard", PATIENCE, || {
            ear.hear(16, |frame| {
                let is_arp = frame[12..14] == [8, 6];
                is_last |= is_arp;
                count += u32::from(!is_arp && frame.starts_with(&[2, 0, 0, 0, 0, 2]));
            });
            is_last
        })
        .unwrap();
        count == 1
    };
    for encapsulation in &ENCAPSULATIONS {
        let is_carried = !encapsulation.name.contains("PPPoE");
        let name = encapsulation.name;
        for announced in [udp(67, 68), udp(67, 67)] {
            assert_eq!(heard(encapsulation, v4, &announced), is_carried, "{name}");
        }
        for announced in [udp(547, 546), icmp(58, 134), icmp(58, 136)] {
            assert_eq!(heard(encapsulation, v6, &announced), is_carried, "{name}");
        }
        for other in [udp(68, 67), udp(547, 546), tcp(67, 67, 2), icmp(1, 8)] {
            assert!(!heard(encapsulation, v4, &other), "{name}");
        }
        for other in [udp(67, 68), tcp(547, 546, 2), icmp(58, 135), icmp(58, 128)] {
            assert!(!heard(encapsulation, v6, &other), "{name}");
        }
    }
    assert!(!heard(&THREE_TAGS, v4, &udp(67, 68)));
}
