//! What no model here learns from, tools that attack and a [`household`]: what a model makes of their captures says how it takes what it
//! has never met. They are recorded into a corpus of their own.

use std::time::Duration;

use anyhow::ensure;
use lab::attacks::{ended_well, run_tool, start_ncrack, word_list};
use lab::cleanup::work_folder;
use lab::network::{LAN_HOST, LAN_HOST_V6};
use lab::process::run_any;
use lab::services;

use crate::household;
use crate::scenario::{ATTACKER, ATTACKER_V6, FORGED, Scenario};

/// How long one attack may take; the tool is then stopped.
const LIMIT: Duration = Duration::from_secs(25);

/// How long a flood may take, which no option of its tool ends.
const LIMIT_OF_FLOODS: Duration = Duration::from_secs(3);

/// Paths that are looked for on a web server.
const PATHS: u32 = 2_000;

/// All of them.
pub fn scenarios() -> Vec<Scenario> {
    let families = [household::scenarios(), web_searches(), web_floods(), over_v6(), guessing()];
    families.into_iter().flatten().collect()
}

/// Tools that ask a web server for what may be there, or try what its pages make of their parameters.
fn web_searches() -> Vec<Scenario> {
    let rows = [
        ("gobuster", "gobuster_10", "gobuster dir -q -t 10 -u http://HOST/ -w WORDS"),
        ("gobuster", "gobuster_40", "gobuster dir -q -t 40 -u http://HOST/ -w WORDS"),
        ("ffuf", "ffuf_40", "ffuf -s -t 40 -u http://HOST/FUZZ -w WORDS"),
        ("wfuzz", "wfuzz_10", "wfuzz --hc 404 -t 10 -z file,WORDS http://HOST/FUZZ"),
        (
            "sqlmap",
            "sqlmap",
            "sqlmap --batch --disable-coloring --output-dir HOME -u http://HOST/index.html?id=1&name=a",
        ),
    ];
    let searches = rows.into_iter().map(|(kind, name, line)| {
        Scenario::attack("exploit_web", kind, name, ATTACKER, LAN_HOST, move |s| {
            let (words, home) = (word_list(PATHS)?, work_folder()?);
            let line = line.replace("HOST", LAN_HOST).replace("WORDS", &words.display().to_string());
            let line = line.replace("HOME", &home.display().to_string());
            // They keep their settings in the home of whoever runs them.
            ended_well(kind, &run_any(s.attacker().words(&line).env("HOME", home), LIMIT)?)
        })
    });
    searches.collect()
}

/// Debian's goldeneye ends at once under a Python that draws whole numbers between whole numbers only: here it gets such.
const GOLDENEYE: &str = "import random, runpy, sys
draw = random.randint
random.randint = lambda least, most: draw(int(least), int(most))
sys.argv[0] = '/usr/bin/goldeneye'
runpy.run_path(sys.argv[0], run_name='__main__')";

/// Requests by the hundred, each of another appearance.
fn web_floods() -> Vec<Scenario> {
    let rows = [("goldeneye_40", "-w 4 -s 10"), ("goldeneye_500", "-w 10 -s 50")];
    let floods = rows.into_iter().map(|(name, options)| {
        Scenario::attack("http_dos", "goldeneye", name, ATTACKER, LAN_HOST, move |s| {
            // At the signal it ends its workers, which would outlive it.
            let mut timed = s.attacker().words("timeout -s INT 4 python3 -c");
            timed.arg(GOLDENEYE).arg(format!("http://{LAN_HOST}/index.html")).args(options.split(' '));
            let finished = run_any(&mut timed, LIMIT)?;
            ensure!(finished.stdout.contains("Shutting down"), "goldeneye: {}{}", finished.stdout, finished.stderr);
            Ok(())
        })
        .headers()
        .loud()
    });
    floods.collect()
}

/// By thc-ipv6: searches and floods from outside, and floods of neighbour discovery from inside, each from many senders.
fn over_v6() -> Vec<Scenario> {
    let outside = [
        ("scan", "thc_alive6", "atk6-alive6 eth0 2001:db8:1::0-1ff", ATTACKER_V6, LIMIT),
        ("flood_syn", "thc_syn6", "atk6-thcsyn6 -i 300 eth0 2001:db8:1::10 80", ATTACKER_V6, LIMIT_OF_FLOODS),
        ("flood_syn", "thc_syn6_forged", "atk6-thcsyn6 -i 300 -r eth0 2001:db8:1::10 80", FORGED, LIMIT_OF_FLOODS),
    ];
    let outside = outside.into_iter().map(|(class, name, line, attacker, limit)| {
        Scenario::attack(class, "thc-ipv6", name, attacker, LAN_HOST_V6, move |s| run_tool(s.attacker(), line, limit))
    });
    let inside = [
        ("thc_routers", "atk6-flood_router26 lan0"),
        ("thc_advertisements", "atk6-flood_advertise6 lan0"),
        ("thc_solicitations", "atk6-flood_solicitate6 lan0"),
    ];
    let inside = inside.into_iter().map(|(name, line)| {
        Scenario::attack("flood_other", "thc-ipv6", name, FORGED, "*", move |s| {
            run_tool(s.lan(), line, LIMIT_OF_FLOODS)
        })
    });
    outside.chain(inside).map(|scenario| scenario.headers().loud()).collect()
}

/// At services that the model's captures do not have: SMB, which counts as one with passwords, and MQTT, which does not.
fn guessing() -> Vec<Scenario> {
    let smb = [("smb_ncrack_2", 2, 40), ("smb_ncrack_8", 8, 120)].into_iter().map(|(name, tasks, guesses)| {
        Scenario::attack("bruteforce", "ncrack-smb", name, ATTACKER, LAN_HOST, move |s| {
            let _server = services::samba(s.lan())?;
            ended_well("smb", &start_ncrack(s.attacker(), "smb", LAN_HOST, tasks, guesses)?.finish(LIMIT))
        })
    });
    let mqtt = Scenario::attack("bruteforce", "ncrack-mqtt", "mqtt_ncrack_4", ATTACKER, LAN_HOST, |s| {
        let _broker = services::mosquitto(s.lan(), LAN_HOST, false)?;
        ended_well("mqtt", &start_ncrack(s.attacker(), "mqtt", LAN_HOST, 4, 80)?.finish(LIMIT))
    });
    smb.chain([mqtt]).collect()
}
