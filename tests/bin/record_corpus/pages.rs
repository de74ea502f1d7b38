//! Ordinary web traffic, and above all that which looks like an attack: bursts of connections, servers that do not answer.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use lab::benign::{fetch, load_page};
use lab::network::{INTERNET, INTERNET_V6, LAN_HOST, LAN_HOST_V6};
use lab::process::run_any;
use lab::talk::{Visit, sockets_from, visit_many};

use crate::scenario::Scenario;
use crate::stage::Scene;

/// How long one program may take.
const LIMIT: Duration = Duration::from_secs(40);

/// An address where nobody answers.
const DEAD: &str = "203.0.113.200";

/// All of them.
pub fn scenarios() -> Vec<Scenario> {
    let page = |name: &str, act: fn(&Scene) -> Result<()>| Scenario::benign("pages", name, act);
    let dead = |name: &str, act: fn(&Scene) -> Result<()>| Scenario::benign("dead-hosts", name, act);
    let polling = |name: &str, act: fn(&Scene) -> Result<()>| Scenario::benign("polling", name, act);
    let short = |name: &str, act: fn(&Scene) -> Result<()>| Scenario::benign("short-requests", name, act);
    vec![
        page("pages_6_connections", |s| browse(s, &INTERNET, 6)),
        page("pages_30_connections", |s| browse(s, &INTERNET[..2], 30)),
        page("pages_60_connections", |s| browse(s, &INTERNET[..1], 60)),
        page("pages_by_name", |s| browse(s, &["host0.example.com", "host1.example.com", "host2.example.com"], 8)),
        page("pages_v6", |s| load_page(s.lan(), &format!("[{INTERNET_V6}]"), 10, LIMIT)),
        page("pages_v6_40_connections", |s| load_page(s.lan(), &format!("[{INTERNET_V6}]"), 40, LIMIT)),
        page("pages_tls_30_connections", |s| {
            INTERNET.iter().try_for_each(|server| many(s, &format!("https://{server}/icon.svg?[1-60]"), 30))
        }),
        page("pages_tls_small", |s| {
            INTERNET.iter().try_for_each(|server| many(s, &format!("https://{server}/style.css?[1-8]"), 6))
        }),
        page("pages_session", session),
        page("pages_two_ways", |s| two_ways(s, 40, 1)),
        page("pages_two_ways_session", |s| two_ways(s, 8, 6)),
        Scenario::benign("pages-inbound", "visitors_pages", visitors),
        Scenario::benign("pages-inbound", "visitors_pages_v6", |s| {
            load_page(&s.visitors[0].namespace, &format!("[{LAN_HOST_V6}]"), 20, LIMIT)
        }),
        Scenario::benign("pages-inbound", "visitors_crawler", |s| {
            let line = "curl -s -S --fail -m 30 -Z --parallel-max 4 -o /dev/null";
            s.visitors[1]
                .namespace
                .run_within(&format!("{line} http://{LAN_HOST}/index.html?[1-200]"), LIMIT)
                .map(|_| ())
        }),
        polling("poll_new_connections", |s| poll(s, &INTERNET[..1], 60, 60)),
        polling("poll_several_hosts", |s| poll(s, &INTERNET, 40, 100)),
        polling("poll_fast", |s| poll(s, &INTERNET[1..3], 150, 5)),
        polling("poll_slow_tls", |s| {
            (0..12).try_for_each(|_| {
                sleep(Duration::from_secs(2));
                many(s, &format!("https://{}/api.json", INTERNET[3]), 1)
            })
        }),
        short("requests_300_short", |s| short_requests(s, 300, 8)),
        short("requests_200_parallel_40", |s| short_requests(s, 200, 40)),
        short("requests_bursts", |s| {
            (0..4).try_for_each(|_| {
                sleep(Duration::from_secs(2));
                short_requests(s, 50, 25)
            })
        }),
        dead("retry_dead_host", |s| retry(s, DEAD, 80, 4)),
        dead("retry_dead_host_long", |s| retry(s, "203.0.113.201", 443, 14)),
        dead("retry_closed_port", |s| retry(s, INTERNET[0], 8443, 6)),
        dead("retry_closed_port_hasty", |s| retry(s, INTERNET[1], 9000, 25)),
        dead("retry_several_dead_hosts", retry_several),
        dead("retry_like_a_browser", like_a_browser),
        dead("retry_dead_v6_first", dead_v6_first),
        dead("given_up_early", |s| give_up_early(s, 1, 20)),
        dead("given_up_early_at_several_hosts", |s| give_up_early(s, 4, 10)),
    ]
}

fn browse(scene: &Scene, servers: &[&str], connections: u32) -> Result<()> {
    servers.iter().try_for_each(|server| {
        sleep(Duration::from_millis(200));
        load_page(scene.lan(), server, connections, LIMIT)
    })
}

/// Somebody reads: pages of several servers with pauses, small requests in between.
fn session(scene: &Scene) -> Result<()> {
    let mut random = scene.random();
    for _ in 0..5 {
        let server = INTERNET[random.below(4) as usize];
        load_page(scene.lan(), server, random.between(4, 24) as u32, LIMIT)?;
        for _ in 0..random.below(5) {
            sleep(Duration::from_millis(random.between(200, 900)));
            fetch(scene.lan(), server, "api.json", LIMIT)?;
        }
        sleep(Duration::from_millis(random.between(500, 2_500)));
    }
    Ok(())
}

fn visitors(scene: &Scene) -> Result<()> {
    load_page(&scene.visitors[0].namespace, LAN_HOST, 6, LIMIT)?;
    load_page(&scene.visitors[1].namespace, LAN_HOST, 24, LIMIT)
}

/// A new connection for each small request, with pauses, as monitoring does.
fn poll(scene: &Scene, servers: &[&str], times: usize, pause_ms: u64) -> Result<()> {
    for number in 0..times {
        fetch(scene.lan(), servers[number % servers.len()], "api.json", LIMIT)?;
        sleep(Duration::from_millis(pause_ms));
    }
    Ok(())
}

/// Each request with a connection of its own, so many at once.
fn many(scene: &Scene, urls: &str, parallel: u32) -> Result<()> {
    let line = format!(
        "curl -k -s -S --fail -m 30 --no-keepalive -H Connection:close -Z --parallel-max {parallel} --parallel-immediate \
         -o /dev/null {urls}"
    );
    scene.lan().run_within(&line, LIMIT).map(|_| ())
}

fn short_requests(scene: &Scene, count: u32, parallel: u32) -> Result<()> {
    many(scene, &format!("http://{}/icon.svg?[1-{count}]", INTERNET[0]), parallel)
}

/// A program that does not believe that the server is gone.
fn retry(scene: &Scene, server: &str, port: u16, times: u32) -> Result<()> {
    for _ in 0..times {
        let line = format!("curl -s -m 2 --connect-timeout 2 -o /dev/null http://{server}:{port}/");
        run_any(&mut scene.lan().words(&line), LIMIT)?;
        sleep(Duration::from_millis(300));
    }
    Ok(())
}

/// A page whose advertisement servers are all gone.
fn retry_several(scene: &Scene) -> Result<()> {
    let line = "curl -s -m 3 --connect-timeout 3 -Z -o /dev/null http://203.0.113.[200-207]/";
    run_any(&mut scene.lan().words(line), LIMIT)?;
    load_page(scene.lan(), INTERNET[2], 6, LIMIT)
}

/// A browser opens two or three connections at once to a host that is gone, and does so again with growing pauses; other
/// tabs go on.
fn like_a_browser(scene: &Scene) -> Result<()> {
    for pause_ms in [500, 1_000, 2_000, 4_000] {
        let line =
            format!("curl -s -m 4 --connect-timeout 4 -Z --parallel-immediate -o /dev/null http://{DEAD}/?[1-3]");
        let waiting = scene.lan().start(&line)?;
        load_page(scene.lan(), INTERNET[1], 12, LIMIT)?;
        waiting.finish(LIMIT);
        sleep(Duration::from_millis(pause_ms));
    }
    Ok(())
}

/// Servers with addresses of both kinds: the connection that comes later is given up before it stands (RFC 8305), and is reset once its
/// answer comes. Over the LAN's line none comes too late.
fn two_ways(scene: &Scene, servers: u32, rounds: u32) -> Result<()> {
    let (mut names, mut urls) = (String::new(), String::new());
    for number in 0..servers {
        let [v4, v6] = [format!("203.0.113.{}", 100 + number), format!("2001:db8:10::{}", 100 + number)];
        scene.wan().ip(&format!("addr replace {v4}/32 dev lo"))?;
        scene.wan().ip(&format!("addr replace {v6}/128 dev lo nodad"))?;
        names += &format!(" --resolve s{number}.example.com:443:[{v6}],{v4}");
        urls += &format!(" -o /dev/null https://s{number}.example.com/icon.svg");
    }
    let line = format!(
        "curl -k -s -S --fail -m 30 -Z --parallel-immediate --parallel-max {servers} --happy-eyeballs-timeout-ms 1{names}{urls}"
    );
    for _ in 0..rounds {
        scene.lan().run_within(&line, LIMIT)?;
        sleep(Duration::from_secs(3));
    }
    Ok(())
}

/// A program that waits less than the line takes, and tries again.
fn give_up_early(scene: &Scene, servers: u32, times: usize) -> Result<()> {
    let targets = sockets_from(INTERNET[0], servers, 443)?;
    let visit = Visit {
        parallel: 1,
        patience: Duration::from_millis(1),
        says_bytes: 0,
        times: 0,
        pause: Duration::ZERO,
        spacing: Duration::from_millis(400),
    };
    for _ in 0..times {
        visit_many(scene.lan(), &targets, visit, &mut scene.random())?;
    }
    Ok(())
}

/// Servers whose IPv6 addresses do not answer: each connection is tried over IPv6 before it is made over IPv4.
fn dead_v6_first(scene: &Scene) -> Result<()> {
    for number in 0..8 {
        let line = format!(
            "curl -s -m 12 --happy-eyeballs-timeout-ms 200 --resolve x.example.com:80:[2001:db8:dead::{number}],{} \
             -o /dev/null http://x.example.com/icon.svg",
            INTERNET[number % 4]
        );
        scene.lan().run_within(&line, LIMIT)?;
    }
    Ok(())
}
