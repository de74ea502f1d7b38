//! What devices say by themselves: names, time, discovery, monitoring, telemetry.

use std::thread::{scope, sleep};
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::benign::{PingStream, look_up_names};
use lab::namespace::Namespace;
use lab::network::{GATEWAY, INTERNET, LAN_HOST, LAN_HOST_V6, NAME_SERVER};
use lab::process::run_any;
use lab::services;
use lab::talk::{Answering, Pace, Party, ask_many, sockets_from};

use crate::scenario::Scenario;
use crate::stage::Scene;

/// How long one program may take.
const LIMIT: Duration = Duration::from_secs(40);

/// How long it may take to ask for the way where nobody answers.
const LIMIT_OF_TRACES: Duration = Duration::from_secs(90);

/// All of them.
pub fn scenarios() -> Vec<Scenario> {
    let names = |name: &str, act: fn(&Scene) -> Result<()>| Scenario::benign("names", name, act);
    let pings = |name: &str, act: fn(&Scene) -> Result<()>| Scenario::benign("ping", name, act);
    let monitoring = |name: &str, act: fn(&Scene) -> Result<()>| Scenario::benign("monitoring", name, act);
    let mqtt = |name: &str, act: fn(&Scene) -> Result<()>| Scenario::benign("mqtt", name, act);
    vec![
        names("names_40", |s| look_up_names(s.lan(), NAME_SERVER, 40)),
        names("names_400", |s| look_up_names(s.lan(), NAME_SERVER, 400)),
        names("names_after_reboot", reboot),
        names("names_that_are_not", |s| {
            let names: Vec<String> = (0..30).map(|n| format!("missing{n}.example.org")).collect();
            let line = format!("dig +tries=2 +timeout=1 +short @{NAME_SERVER} {}", names.join(" "));
            run_any(&mut s.lan().words(&line), LIMIT).map(|_| ())
        }),
        names("names_missing_server", |s| {
            run_any(&mut s.lan().words("dig +tries=3 +timeout=1 @203.0.113.54 x.example.net"), LIMIT).map(|_| ())
        }),
        pings("ping_gateway", |s| ping(s.lan(), GATEWAY, 200, 4)),
        pings("ping_fast", |s| ping(s.lan(), INTERNET[0], 10, 4)),
        pings("ping_dead_host", |s| ping(s.lan(), "203.0.113.200", 500, 4)),
        pings("ping_visitor_v6", |s| ping(&s.visitors[0].namespace, LAN_HOST_V6, 50, 4)),
        pings("ping_large", |s| {
            s.lan().run_within(&format!("ping -n -c 20 -i 0.2 -s 1400 {}", INTERNET[1]), LIMIT).map(|_| ()).or(Ok(()))
        }),
        pings("trace_routes", |s| {
            INTERNET.iter().try_for_each(|host| {
                let line = format!("busybox traceroute -n -q 3 -w 1 -m 12 {host}");
                run_any(&mut s.lan().words(&line), LIMIT).map(|_| ())
            })
        }),
        pings("trace_dead_host", |s| trace_dead(s, &["203.0.113.200"])),
        pings("trace_dead_hosts", |s| trace_dead(s, &["203.0.113.201", "203.0.113.202", "203.0.113.203"])),
        Scenario::benign("multicast", "discovery_chatter", |s| discovery(s, 6)),
        Scenario::benign("multicast", "discovery_chatter_long", |s| discovery(s, 30)),
        Scenario::benign("time", "time_queries", |s| time(s, 8)),
        Scenario::benign("time", "time_burst", |s| time(s, 40)),
        monitoring("monitor_hosts_outside", |s| monitor(s.lan(), "203.0.113", &[10, 11, 12, 13, 200], 5)),
        monitoring("monitor_hosts_inside", |s| {
            monitor(&s.visitors[0].namespace, "198.51.100", &[10, 11, 12, 13, 14, 15], 5)
        }),
        monitoring("monitor_hosts_hasty", |s| monitor(&s.visitors[1].namespace, "198.51.100", &[10, 11, 12], 12)),
        Scenario::benign("port-check", "port_forward_check", |s| knock(&s.visitors[0].namespace, LAN_HOST, &[80])),
        Scenario::benign("port-check", "port_forward_check_6", |s| {
            knock(&s.visitors[1].namespace, LAN_HOST, &[22, 80, 443, 8080, 25565, 51413])
        }),
        mqtt("mqtt_devices", |s| telemetry(s, 6)),
        mqtt("mqtt_devices_many", |s| telemetry(s, 16)),
        mqtt("mqtt_broker_restarts", broker_restarts),
    ]
}

/// Somebody asks for the way to hosts that are gone: each probe goes to another port of theirs, and nobody answers most of them.
fn trace_dead(scene: &Scene, hosts: &[&str]) -> Result<()> {
    scope(|threads| {
        let trace = |host: &&str| {
            let line = format!("busybox traceroute -n -q 3 -w 1 -m 20 {host}");
            threads.spawn(move || run_any(&mut scene.lan().words(&line), LIMIT_OF_TRACES).map(|_| ()))
        };
        let traces: Vec<_> = hosts.iter().map(trace).collect();
        traces.into_iter().try_for_each(|trace| trace.join().unwrap_or(Ok(())))
    })
}

/// The power is back: eight devices ask for all their names at once, some of which there are not.
fn reboot(scene: &Scene) -> Result<()> {
    scope(|threads| {
        let devices: Vec<_> = (10..18)
            .map(|device| {
                let names: Vec<String> =
                    (0..15).map(|n| format!("d{device}-{n}.example.net nope{n}.example.org")).collect();
                let source = format!("-b 198.51.100.{device}");
                let line = format!("dig {source} +tries=3 +timeout=1 +short @{NAME_SERVER} {}", names.join(" "));
                threads.spawn(move || run_any(&mut scene.lan().words(&line), LIMIT).map(|_| ()))
            })
            .collect();
        devices.into_iter().try_for_each(|device| device.join().unwrap_or(Ok(())))
    })
}

fn ping(from: &Namespace, target: &str, interval_ms: u32, seconds: u64) -> Result<()> {
    let stream = PingStream::start(from, target, interval_ms)?;
    sleep(Duration::from_secs(seconds));
    stream.stop().map(|_| ())
}

/// Devices that look for each other: SSDP and mDNS.
fn discovery(scene: &Scene, times: usize) -> Result<()> {
    let mut random = scene.random();
    for _ in 0..times {
        let device = random.between(10, 17);
        for group in ["239.255.255.250:1900", "224.0.0.251:5353"] {
            let from = format!("198.51.100.{device}");
            let text = "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: ssdp:all\r\n\r\n";
            send_text(
                scene,
                &format!("socat -u STDIN UDP4-DATAGRAM:{group},bind={from},ip-multicast-if={from}"),
                text,
            )?;
        }
        sleep(Duration::from_millis(random.between(50, 450)));
    }
    Ok(())
}

/// Queries of 48 bytes to time servers, of which all but one answer.
fn time(scene: &Scene, times: usize) -> Result<()> {
    let mut random = scene.random();
    let servers = sockets_from(INTERNET[0], 4, 123)?;
    let _answering = Answering::start(scene.wan(), &servers[..3], (48, 48), random.bits())?;
    let asker = Party { namespace: scene.lan(), socket: format!("{LAN_HOST}:0").parse()? };
    ask_many(asker, &servers, times / 4, Pace::of(8, 48, 48), &mut random).map(|_| ())
}

/// Runs a command line in the LAN whose standard input is the text.
fn send_text(scene: &Scene, line: &str, text: &str) -> Result<()> {
    let mut command = scene.lan().command("sh");
    command.args(["-c", &format!("printf '%b' \"$0\" | {line}"), text]);
    run_any(&mut command, LIMIT).map(|_| ())
}

/// Every few seconds each host is pinged and some of its ports are tried, as Nagios and its like do.
fn monitor(from: &Namespace, network: &str, hosts: &[u8], rounds: u32) -> Result<()> {
    for _ in 0..rounds {
        for host in hosts {
            let host = format!("{network}.{host}");
            run_any(&mut from.words(&format!("ping -n -q -c 1 -W 1 {host}")), LIMIT)?;
            knock(from, &host, &[22, 80, 443, 3306])?;
        }
        sleep(Duration::from_secs(2));
    }
    Ok(())
}

/// Connects to each port once, says nothing and hangs up.
fn knock(from: &Namespace, host: &str, ports: &[u16]) -> Result<()> {
    for port in ports {
        let line = format!("socat -u OPEN:/dev/null TCP:{host}:{port},connect-timeout=2");
        let finished = run_any(&mut from.words(&line), LIMIT)?;
        ensure!(finished.code().is_some(), "socat does not end");
    }
    Ok(())
}

/// Devices that connect, say something and go, again and again; and one that listens.
fn telemetry(scene: &Scene, devices: u64) -> Result<()> {
    let _broker = services::mosquitto(scene.wan(), INTERNET[2], true)?;
    let _listener = scene.lan().start(&format!("mosquitto_sub -h {} -t # -k 5", INTERNET[2]))?;
    let seeds: Vec<u64> = (0..devices).map(|_| scene.random().bits()).collect();
    scope(|threads| {
        let devices: Vec<_> = seeds.into_iter().map(|seed| threads.spawn(move || device(scene, seed))).collect();
        devices.into_iter().try_for_each(|device| device.join().unwrap_or(Ok(())))
    })
}

fn device(scene: &Scene, seed: u64) -> Result<()> {
    let mut random = lab::random::Random::new(seed);
    let source = random.between(10, 17);
    for _ in 0..6 {
        sleep(Duration::from_millis(random.between(500, 3_000)));
        let line = format!(
            "mosquitto_pub -h {} -A 198.51.100.{source} -i dev{seed} -t home/{source}/t -m {}",
            INTERNET[2],
            random.letters(24)
        );
        scene.lan().run_within(&line, LIMIT)?;
    }
    Ok(())
}

/// The broker is away for a while: all devices try again until it is back.
fn broker_restarts(scene: &Scene) -> Result<()> {
    let lines: Vec<String> =
        (10..18).map(|n| format!("mosquitto_sub -h {} -A 198.51.100.{n} -t # -k 5", INTERNET[2])).collect();
    let broker = services::mosquitto(scene.wan(), INTERNET[2], true)?;
    let _devices = lines.iter().map(|line| scene.lan().start(line)).collect::<Result<Vec<_>>>()?;
    sleep(Duration::from_secs(3));
    drop(broker);
    sleep(Duration::from_secs(8));
    let _broker = services::mosquitto(scene.wan(), INTERNET[2], true)?;
    sleep(Duration::from_secs(4));
    Ok(())
}
