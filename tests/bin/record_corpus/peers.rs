//! Peers, games and calls: many hosts, of whom most are gone, and datagrams at a steady pace.

use std::fs;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::benign::speed_test;
use lab::cleanup::work_folder;
use lab::namespace::Namespace;
use lab::network::{INTERNET, LAN_HOST, LAN_HOST_V6};
use lab::random::Random;
use lab::talk::{Answering, Pace, Party, Visit, ask_many, converse, sockets_from, visit_many};

use crate::scenario::Scenario;
use crate::stage::Scene;

/// How long one program may take.
const LIMIT: Duration = Duration::from_secs(40);

/// The first of the peers that answer; the Internet has so many of them.
const LIVE: &str = "203.0.113.100";
const LIVE_COUNT: u32 = 24;
/// The first of those who do not, and the first of more of them.
const GONE: &str = "203.0.113.150";
const LONG_GONE: &str = "198.18.7.1";
/// Where a peer may listen.
const ANY_PORT: RangeInclusive<u16> = 1_025..=65_535;

/// All of them.
pub fn scenarios() -> Vec<Scenario> {
    let peers = |name: &str, act: fn(&Scene) -> Result<()>| Scenario::benign("peers", name, act);
    let games = |name: &str, act: fn(&Scene) -> Result<()>| Scenario::benign("games", name, act);
    let calls = |name: &str, act: fn(&Scene) -> Result<()>| Scenario::benign("calls", name, act);
    vec![
        peers("peers_transmission", torrent),
        peers("peers_tcp_60_mostly_gone", |s| swarm(s, 60, 12, Duration::from_millis(100))),
        peers("peers_tcp_120_hasty", |s| swarm(s, 120, 40, Duration::from_millis(10))),
        peers("peers_tcp_patient", |s| swarm(s, 40, 3, Duration::from_millis(800))),
        peers("peers_dht_150", |s| dht(s, 150, 1, 12)),
        peers("peers_dht_300_hasty", |s| dht(s, 300, 2, 60)),
        peers("peers_utp", |s| utp(s, 6)),
        peers("peers_tcp_and_udp", |s| {
            std::thread::scope(|threads| {
                let questions = threads.spawn(|| dht(s, 80, 2, 15));
                let stood = swarm(s, 60, 10, Duration::from_millis(200));
                questions.join().unwrap_or(Ok(())).and(stood)
            })
        }),
        games("game_60_hz", |s| game(s, 60, 30)),
        games("game_20_hz", |s| game(s, 20, 20)),
        games("game_server_list", server_list),
        calls("call_sip", sip),
        calls("call_50_per_second", |s| voice(s, LAN_HOST, "203.0.113.11", 8)),
        calls("call_v6", |s| voice(s, &format!("[{LAN_HOST_V6}]"), "[2001:db8:10::10]", 8)),
        calls("video_call", |s| speed_test(s.lan(), INTERNET[1], 5, "-u -b 2M -l 1100 --bidir")),
        calls("vpn_steady", |s| {
            talk(
                s,
                "198.51.100.13:51820",
                "203.0.113.12:51820",
                [Pace::of(40, 80, 1_300), Pace::of(120, 80, 1_380)],
                10,
            )
        }),
    ]
}

/// Gives the Internet its peers.
fn populate(scene: &Scene) -> Result<()> {
    let addresses = sockets_from(LIVE, LIVE_COUNT, 0)?;
    addresses.iter().try_for_each(|one| scene.wan().ip(&format!("addr replace {}/32 dev lo", one.ip())).map(|_| ()))
}

/// Peers that answer at `port`, that refuse and that are gone, in the order of a draw. Those who do not answer have ports of
/// their own among `ports`, as peers behind address translation do.
fn crowd(scene: &Scene, count: usize, port: u16, ports: RangeInclusive<u16>) -> Result<Vec<SocketAddr>> {
    let mut random = scene.random();
    let mut all = sockets_from(INTERNET[0], 4, port)?;
    all.extend(sockets_from(GONE, 90, port)?);
    all.extend(sockets_from(LONG_GONE, 250, port)?.into_iter().take(count.saturating_sub(100)));
    for peer in &mut all {
        peer.set_port(random.between(u64::from(*ports.start()), u64::from(*ports.end())) as u16);
    }
    all.extend(sockets_from(LIVE, LIVE_COUNT, port)?);
    let mut drawn = Vec::new();
    while drawn.len() < count && !all.is_empty() {
        drawn.push(all.swap_remove(random.below(all.len() as u64) as usize));
    }
    Ok(drawn)
}

/// A client of a swarm: connections to all peers it has heard of, a handshake and some pieces where one answers.
fn swarm(scene: &Scene, count: usize, parallel: usize, spacing: Duration) -> Result<()> {
    populate(scene)?;
    let _listening = scene.wan().start("socat TCP4-LISTEN:6881,fork,reuseaddr,backlog=64 EXEC:cat")?;
    let targets = crowd(scene, count, 6881, ANY_PORT)?;
    let visit = Visit {
        parallel,
        patience: Duration::from_secs(3),
        says_bytes: 800,
        times: 12,
        pause: Duration::from_millis(120),
        spacing,
    };
    visit_many(scene.lan(), &targets, visit, &mut scene.random()).map(|_| ())
}

/// Questions to the nodes of a distributed hash table, of whom a quarter answers.
fn dht(scene: &Scene, count: usize, times: usize, per_second: u32) -> Result<()> {
    let mut random = scene.random();
    populate(scene)?;
    let _answering = Answering::start(scene.wan(), &sockets_from(LIVE, LIVE_COUNT, 6891)?, (90, 320), random.bits())?;
    let asker = Party { namespace: scene.lan(), socket: format!("{LAN_HOST}:51413").parse()? };
    ask_many(asker, &crowd(scene, count, 6891, ANY_PORT)?, times, Pace::of(per_second, 92, 140), &mut random)
        .map(|_| ())
}

/// Pieces over UDP from several peers at once.
fn utp(scene: &Scene, peers: u16) -> Result<()> {
    populate(scene)?;
    std::thread::scope(|threads| {
        let running: Vec<_> = (0..peers)
            .map(|number| {
                threads.spawn(move || {
                    let here = format!("{LAN_HOST}:{}", 52_000 + number);
                    let there = format!("203.0.113.{}:6881", 100 + number);
                    talk(scene, &here, &there, [Pace::of(15, 20, 60), Pace::of(30, 400, 1_400)], 8)
                })
            })
            .collect();
        running.into_iter().try_for_each(|one| one.join().unwrap_or(Ok(())))
    })
}

fn talk(scene: &Scene, here: &str, there: &str, paces: [Pace; 2], seconds: u64) -> Result<()> {
    let caller = Party { namespace: scene.lan(), socket: here.parse()? };
    let called = Party { namespace: scene.wan(), socket: there.parse()? };
    converse(caller, called, paces, Duration::from_secs(seconds), &mut scene.random())
}

fn game(scene: &Scene, up_per_second: u32, down_per_second: u32) -> Result<()> {
    let paces = [Pace::of(up_per_second, 30, 90), Pace::of(down_per_second, 60, 700)];
    talk(scene, "198.51.100.14:27005", "203.0.113.13:27015", paces, 12)
}

/// A game looks for servers: each of a list is asked, and most do not answer.
fn server_list(scene: &Scene) -> Result<()> {
    let mut random = scene.random();
    populate(scene)?;
    let _answering =
        Answering::start(scene.wan(), &sockets_from(LIVE, LIVE_COUNT, 27_015)?, (100, 600), random.bits())?;
    let asker = Party { namespace: scene.lan(), socket: "198.51.100.14:27006".parse()? };
    ask_many(asker, &crowd(scene, 90, 27_015, 27_015..=27_050)?, 2, Pace::of(80, 25, 25), &mut random).map(|_| ())
}

fn voice(scene: &Scene, here: &str, there: &str, seconds: u64) -> Result<()> {
    talk(scene, &format!("{here}:16384"), &format!("{there}:16390"), [Pace::of(50, 172, 172); 2], seconds)
}

/// Calls by a real SIP client and server, with voice beside them.
fn sip(scene: &Scene) -> Result<()> {
    let options = "-nostdin -trace_err -error_file /dev/null";
    let folder = work_folder()?;
    let server = format!("sipp -sn uas -i {} -p 5060 {options}", INTERNET[0]);
    let mut server = scene.wan().words(&server);
    let _server = lab::process::Running::start(server.current_dir(&folder))?;
    sleep(Duration::from_millis(500));
    let client = format!("sipp -sn uac {}:5060 -i {LAN_HOST} -p 5062 -m 6 -r 1 -d 3000 {options}", INTERNET[0]);
    let mut client = scene.lan().words(&client);
    let client = lab::process::Running::start(client.current_dir(&folder))?;
    voice(scene, LAN_HOST, "203.0.113.10", 8)?;
    client.finish(LIMIT);
    Ok(())
}

/// A real client of BitTorrent with a tracker that names three peers who share, and many who are gone.
fn torrent(scene: &Scene) -> Result<()> {
    let folder = work_folder()?.join(scene.lan().name());
    let shared = folder.join("shared");
    fs::create_dir_all(&shared)?;
    fs::write(shared.join("film"), vec![7; 3_000_000])?;
    let torrent = folder.join("film.torrent");
    let create = format!(
        "transmission-create -o {} -s 64 -t http://{}/announce {}/film",
        torrent.display(),
        INTERNET[0],
        shared.display()
    );
    scene.lan().run_within(&create, LIMIT)?;
    let tracker = work_folder()?.join(scene.wan().name()).join("www/announce");
    fs::write(tracker, tracker_answer(&scene.visitors.each_ref().map(|one| one.address()), &mut scene.random())?)?;
    let mut running = Vec::new();
    for visitor in &scene.visitors {
        running.push(client(&visitor.namespace, &folder, "shared", &torrent)?);
    }
    sleep(Duration::from_secs(4));
    running.push(client(scene.lan(), &folder, "fetched", &torrent)?);
    sleep(Duration::from_secs(25));
    drop(running);
    fs::remove_dir_all(folder)?;
    Ok(())
}

fn client(
    namespace: &Namespace,
    folder: &std::path::Path,
    target: &str,
    torrent: &std::path::Path,
) -> Result<lab::process::Running> {
    let home = folder.join(format!("{}-settings", namespace.name()));
    fs::create_dir_all(&home)?;
    fs::create_dir_all(folder.join(target))?;
    let line = format!(
        "transmission-cli -g {} -w {} -p 51413 -D -u 400 {}",
        home.display(),
        folder.join(target).display(),
        torrent.display()
    );
    namespace.start(&line)
}

/// What a tracker says (BEP 3, compact form of BEP 23): peers as four bytes of address and two of port each.
fn tracker_answer(seeds: &[String], random: &mut Random) -> Result<Vec<u8>> {
    let mut peers: Vec<u8> = Vec::new();
    let mut add = |socket: &SocketAddr| -> Result<()> {
        let SocketAddr::V4(socket) = socket else { return Ok(()) };
        peers.extend(socket.ip().octets());
        peers.extend(socket.port().to_be_bytes());
        Ok(())
    };
    for seed in seeds {
        add(&format!("{seed}:51413").parse().context("an address")?)?;
    }
    for mut gone in sockets_from(GONE, 60, 51_413)? {
        gone.set_port(random.between(u64::from(*ANY_PORT.start()), u64::from(*ANY_PORT.end())) as u16);
        add(&gone)?;
    }
    let mut answer = format!("d8:intervali60e5:peers{}:", peers.len()).into_bytes();
    answer.extend(peers);
    answer.push(b'e');
    Ok(answer)
}
