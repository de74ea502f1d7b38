//! Ordinary traffic, and above all the ordinary traffic that looks like an attack: bursts of connections, of names, of log-ins,
//! servers that do not answer, and transfers as fast as the line.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use lab::benign::{
    PingStream, SSH_OPTIONS, fetch, load_page, look_up_names, speed_test, ssh_by_key, ssh_by_password, ssh_log_in,
};
use lab::network::{GATEWAY, INTERNET, INTERNET_V6, LAN_HOST, LAN_HOST_V6, NAME_SERVER};
use lab::process::run_any;
use lab::services::{USER, user_key};

use crate::stage::{Scene, Stage, benign};

/// How long one program may take.
const LIMIT: Duration = Duration::from_secs(20);

type Act = fn(&Scene<'_>) -> Result<()>;

/// Recorded with most of their bytes: kind, name, what happens.
const CONVERSATIONS: &[(&str, &str, Act)] = &[
    ("pages", "pages_6_connections", |s| browse(s, &INTERNET, 6)),
    ("pages", "pages_30_connections", |s| browse(s, &INTERNET[..2], 30)),
    ("pages", "pages_60_connections", |s| browse(s, &INTERNET[..1], 60)),
    ("pages", "pages_by_name", |s| browse(s, &["host0.example.com", "host1.example.com", "host2.example.com"], 8)),
    ("pages", "pages_v6", |s| load_page(&s.network.lan, &format!("[{INTERNET_V6}]"), 10, LIMIT)),
    ("pages-inbound", "visitors_pages", visitors),
    ("polling", "poll_new_connections", |s| poll(s, &INTERNET[..1], 60, 60)),
    ("polling", "poll_several_hosts", |s| poll(s, &INTERNET, 40, 100)),
    ("polling", "poll_fast", |s| poll(s, &INTERNET[1..3], 150, 5)),
    ("short-requests", "requests_300_short", |s| short_requests(s, 300, 8)),
    ("short-requests", "requests_200_parallel_40", |s| short_requests(s, 200, 40)),
    ("dead-hosts", "retry_dead_host", |s| retry(s, "203.0.113.200", 80, 4)),
    ("dead-hosts", "retry_closed_port", |s| retry(s, INTERNET[0], 8443, 6)),
    ("dead-hosts", "retry_several_dead_hosts", retry_several),
    ("ssh-logins", "ssh_key_20_in_a_row", |s| log_in(s, 20, 300)),
    ("ssh-logins", "ssh_key_12_hasty", |s| log_in(s, 12, 0)),
    ("ssh-logins", "ssh_key_5_hosts_at_once", log_in_everywhere),
    ("ssh-logins", "ssh_mistyped_twice", mistype),
    ("ssh-logins", "ssh_visitor_password", |s| ssh_log_in(&s.visitors[0].namespace, LAN_HOST)),
    ("ssh-logins", "ssh_visitor_key_8", |s| visitor_log_ins(s, LAN_HOST, 8)),
    ("ssh-logins", "ssh_visitor_v6", |s| visitor_log_ins(s, LAN_HOST_V6, 3)),
    ("ssh-work", "ssh_interactive", interactive),
    ("ftp", "ftp_downloads", ftp),
    ("names", "names_40", |s| look_up_names(&s.network.lan, NAME_SERVER, 40)),
    ("names", "names_400", |s| look_up_names(&s.network.lan, NAME_SERVER, 400)),
    ("names", "names_missing_server", |s| {
        s.network.lan.run_within("dig +tries=3 +timeout=1 @203.0.113.54 x.example.net", LIMIT).map(|_| ()).or(Ok(()))
    }),
    ("ping", "ping_gateway", |s| ping(s, GATEWAY, 200, 4)),
    ("ping", "ping_fast", |s| ping(s, INTERNET[0], 10, 4)),
    ("ping", "ping_dead_host", |s| ping(s, "203.0.113.200", 500, 4)),
    ("ping", "ping_visitor_v6", |s| ping_from_outside(s, LAN_HOST_V6)),
    ("multicast", "discovery_chatter", chatter),
    ("time", "time_queries", time_queries),
];

/// Recorded as headers: transfers.
const TRANSFERS: &[(&str, &str, Act)] = &[
    ("downloads", "download_one", |s| fetch(&s.network.lan, INTERNET[0], "film.bin", LIMIT).map(|_| ())),
    ("downloads", "download_packages", packages),
    ("downloads", "visitor_download", |s| fetch(&s.visitors[1].namespace, LAN_HOST, "film.bin", LIMIT).map(|_| ())),
    ("speed-test", "speed_tcp_up", |s| speed_test(&s.network.lan, INTERNET[0], 2, "-b 30M")),
    ("speed-test", "speed_tcp_down_8_streams", |s| speed_test(&s.network.lan, INTERNET[0], 2, "-R -P 8 -b 4M")),
    ("speed-test", "speed_udp_5m", |s| speed_test(&s.network.lan, INTERNET[0], 3, "-u -b 5M")),
    ("speed-test", "speed_udp_40m", |s| speed_test(&s.network.lan, INTERNET[0], 2, "-u -b 40M")),
    ("speed-test", "speed_udp_down_20m", |s| speed_test(&s.network.lan, INTERNET[0], 2, "-u -R -b 20M")),
    ("calls", "call_50_per_second", |s| speed_test(&s.network.lan, INTERNET[1], 5, "-u -b 69k -l 172 --bidir")),
    ("calls", "video_call", |s| speed_test(&s.network.lan, INTERNET[1], 4, "-u -b 2M -l 1100 --bidir")),
    ("copies", "copy_scp", |s| copy(s, "scp -q", "")),
    ("copies", "copy_rsync", rsync),
];

/// Repeated over a slow line, by name.
const OVER_A_SLOW_LINE: &[(&str, &str, Act)] = &[
    ("pages", "slow_line_pages", |s| load_page(&s.network.lan, INTERNET[0], 12, LIMIT)),
    ("downloads", "slow_line_download", |s| fetch(&s.network.lan, INTERNET[0], "package.deb", LIMIT).map(|_| ())),
    ("ssh-logins", "slow_line_ssh_key_6", |s| log_in(s, 6, 100)),
    ("names", "slow_line_names", |s| look_up_names(&s.network.lan, NAME_SERVER, 60)),
    ("ftp", "slow_line_ftp", ftp),
    ("speed-test", "slow_line_speed", |s| speed_test(&s.network.lan, INTERNET[0], 3, "-P 4 -b 1M")),
];

/// Rate of the slow line.
const SLOW_LINE_KBIT_PER_S: u32 = 4_000;
/// Rate of a usual line: bulk transfers are recorded over it.
const USUAL_LINE_KBIT_PER_S: u32 = 60_000;

/// One capture.
pub fn record_one(stage: &mut Stage) {
    let (kind, name, act) = CONVERSATIONS[0];
    stage.record(benign(kind, name), act);
}

/// All of them.
pub fn record(stage: &mut Stage) {
    for (kind, name, act) in CONVERSATIONS {
        stage.record(benign(kind, name), act);
    }
    for (rate, rows) in [(USUAL_LINE_KBIT_PER_S, TRANSFERS), (SLOW_LINE_KBIT_PER_S, OVER_A_SLOW_LINE)] {
        if let Err(error) = stage.network.limit_rate(rate) {
            eprintln!("no limited line: {error:#}");
        }
        for (kind, name, act) in rows {
            stage.record_headers(benign(kind, name), act);
        }
    }
    stage.network.unlimit_rate();
}

fn browse(scene: &Scene<'_>, servers: &[&str], connections: u32) -> Result<()> {
    servers.iter().try_for_each(|server| {
        sleep(Duration::from_millis(200));
        load_page(&scene.network.lan, server, connections, LIMIT)
    })
}

fn visitors(scene: &Scene<'_>) -> Result<()> {
    load_page(&scene.visitors[0].namespace, LAN_HOST, 6, LIMIT)?;
    load_page(&scene.visitors[1].namespace, LAN_HOST, 24, LIMIT)
}

/// A new connection for each small request, with pauses, as monitoring does.
fn poll(scene: &Scene<'_>, servers: &[&str], times: usize, pause_ms: u64) -> Result<()> {
    for number in 0..times {
        fetch(&scene.network.lan, servers[number % servers.len()], "api.json", LIMIT)?;
        sleep(Duration::from_millis(pause_ms));
    }
    Ok(())
}

/// Many requests, each with a connection of its own.
fn short_requests(scene: &Scene<'_>, count: u32, parallel: u32) -> Result<()> {
    let line = format!(
        "curl -s -S --fail -m 20 --no-keepalive -H Connection:close -Z --parallel-max {parallel} --parallel-immediate -o /dev/null \
         http://{}/icon.svg?[1-{count}]",
        INTERNET[0]
    );
    scene.network.lan.run_within(&line, LIMIT).map(|_| ())
}

/// A program that does not believe that the server is gone.
fn retry(scene: &Scene<'_>, server: &str, port: u16, times: u32) -> Result<()> {
    for _ in 0..times {
        let line = format!("curl -s -m 2 --connect-timeout 2 -o /dev/null http://{server}:{port}/");
        run_any(&mut scene.network.lan.words(&line), LIMIT)?;
        sleep(Duration::from_millis(300));
    }
    Ok(())
}

/// A page whose advertisement servers are all gone.
fn retry_several(scene: &Scene<'_>) -> Result<()> {
    let line = "curl -s -m 3 --connect-timeout 3 -Z -o /dev/null http://203.0.113.[200-207]/";
    run_any(&mut scene.network.lan.words(line), LIMIT)?;
    load_page(&scene.network.lan, INTERNET[2], 6, LIMIT)
}

fn log_in(scene: &Scene<'_>, times: u32, pause_ms: u64) -> Result<()> {
    for _ in 0..times {
        ssh_by_key(&scene.network.lan, INTERNET[0], "uptime", LIMIT)?;
        sleep(Duration::from_millis(pause_ms));
    }
    Ok(())
}

fn visitor_log_ins(scene: &Scene<'_>, server: &str, times: u32) -> Result<()> {
    for _ in 0..times {
        ssh_by_key(&scene.visitors[0].namespace, server, "hostname", LIMIT)?;
        sleep(Duration::from_millis(400));
    }
    Ok(())
}

/// What a configuration manager does: the same few commands on several hosts at once.
fn log_in_everywhere(scene: &Scene<'_>) -> Result<()> {
    std::thread::scope(|scope| {
        let hosts = (10..15).map(|number| scope.spawn(move || four_tasks(scene, number)));
        hosts.collect::<Vec<_>>().into_iter().try_for_each(|host| host.join().unwrap_or(Ok(())))
    })
}

fn four_tasks(scene: &Scene<'_>, host: u8) -> Result<()> {
    for task in ["true", "uname -a", "ls /", "id"] {
        ssh_by_key(&scene.visitors[1].namespace, &format!("198.51.100.{host}"), task, LIMIT)?;
    }
    Ok(())
}

/// Two wrong passwords, then the right one.
fn mistype(scene: &Scene<'_>) -> Result<()> {
    for guess in ["correct-hose-battery", "correct-horse-batery"] {
        ssh_by_password(&scene.visitors[0].namespace, LAN_HOST, guess, "true", LIMIT)?;
        sleep(Duration::from_secs(1));
    }
    ssh_log_in(&scene.visitors[0].namespace, LAN_HOST)
}

/// A person at a prompt: some output now and then.
fn interactive(scene: &Scene<'_>) -> Result<()> {
    let key = user_key()?;
    let mut command =
        scene.network.lan.words(&format!("ssh {SSH_OPTIONS} -i {} {USER}@{}", key.display(), INTERNET[1]));
    command.arg("for n in 1 2 3 4 5 6; do ls -l /etc | head -$((n * 6)); sleep 0.6; done");
    lab::process::run_within(&mut command, LIMIT).map(|_| ())
}

fn ftp(scene: &Scene<'_>) -> Result<()> {
    for file in ["notes.txt", "report.pdf", "notes.txt"] {
        let line =
            format!("curl -s -S -m 15 -o /dev/null --user {USER}:{} ftp://{LAN_HOST}/{file}", lab::services::PASSWORD);
        scene.visitors[1].namespace.run_within(&line, LIMIT)?;
    }
    Ok(())
}

fn ping(scene: &Scene<'_>, target: &str, interval_ms: u32, seconds: u64) -> Result<()> {
    let stream = PingStream::start(&scene.network.lan, target, interval_ms)?;
    sleep(Duration::from_secs(seconds));
    stream.stop().map(|_| ())
}

fn ping_from_outside(scene: &Scene<'_>, target: &str) -> Result<()> {
    let stream = PingStream::start(&scene.visitors[0].namespace, target, 50)?;
    sleep(Duration::from_secs(4));
    stream.stop().map(|_| ())
}

/// Devices that look for each other: SSDP and mDNS.
fn chatter(scene: &Scene<'_>) -> Result<()> {
    for group in ["239.255.255.250:1900", "224.0.0.251:5353"].repeat(6) {
        let text = "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: ssdp:all\r\n\r\n";
        let line = format!("socat -u STDIN UDP4-DATAGRAM:{group},bind={LAN_HOST},ip-multicast-if={LAN_HOST}");
        send_text(scene, &line, text)?;
        sleep(Duration::from_millis(250));
    }
    Ok(())
}

/// Queries of 48 bytes to two time servers, of which the first answers.
fn time_queries(scene: &Scene<'_>) -> Result<()> {
    let _server = scene.network.wan.start(&format!("socat UDP4-RECVFROM:123,bind={},fork EXEC:cat", INTERNET[0]))?;
    for number in 0..8 {
        let line = format!("socat -t 1 STDIN UDP4:{}:123", INTERNET[number % 2]);
        send_text(scene, &line, &"#".repeat(48))?;
        sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// Runs a command line in the LAN whose standard input is the text.
fn send_text(scene: &Scene<'_>, line: &str, text: &str) -> Result<()> {
    let mut command = scene.network.lan.command("sh");
    command.args(["-c", &format!("printf '%b' \"$0\" | {line}"), text]);
    run_any(&mut command, LIMIT).map(|_| ())
}

/// What a package manager does: a list, then several large files over one connection.
fn packages(scene: &Scene<'_>) -> Result<()> {
    let files = ["style.css", "app.js", "package.deb", "package.deb", "photo.jpg"];
    let urls: Vec<String> = files.iter().map(|file| format!("-o /dev/null http://host3.example.com/{file}")).collect();
    scene.network.lan.run_within(&format!("curl -s -S --fail -m 20 {}", urls.join(" ")), LIMIT).map(|_| ())
}

fn copy(scene: &Scene<'_>, program: &str, more: &str) -> Result<()> {
    let key = user_key()?;
    for file in ["report.pdf", "backup.tar"] {
        let line =
            format!("{program} {SSH_OPTIONS} {more} -i {} {USER}@{}:{file} /dev/null", key.display(), INTERNET[0]);
        run_any(&mut scene.network.lan.words(&line), LIMIT)?;
    }
    Ok(())
}

fn rsync(scene: &Scene<'_>) -> Result<()> {
    let key = user_key()?;
    let target = lab::cleanup::work_folder()?.join("synced");
    let mut command = scene.network.lan.command("rsync");
    command.args(["-a", "-e", &format!("ssh {SSH_OPTIONS} -i {}", key.display())]);
    command.arg(format!("{USER}@{}:./", INTERNET[0])).arg(&target);
    lab::process::run_within(&mut command, LIMIT)?;
    std::fs::remove_dir_all(&target)?;
    Ok(())
}
