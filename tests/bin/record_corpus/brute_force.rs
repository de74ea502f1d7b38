//! Password guessing against real servers with several tools, patient and hasty.

use std::time::Duration;

use anyhow::Result;
use lab::attacks::{start_hydra, start_medusa, start_ncrack};
use lab::benign::ssh_by_password;
use lab::namespace::Namespace;
use lab::network::{INTERNET, LAN_HOST, LAN_HOST_V6, SECOND_LAN_HOST};
use lab::recording::Label;

use crate::stage::Stage;

/// How long one attack may take; the tool is then stopped.
const LIMIT: Duration = Duration::from_secs(15);

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
        running.finish(LIMIT);
        Ok(())
    }
}

/// Attacks on hosts of the LAN from outside: kind, name, tool, service, target, connections at a time, guesses.
const FROM_OUTSIDE: &[(&str, &str, Tool, &str, &str, u32, u32)] = &[
    ("hydra-ssh", "ssh_hydra_1", Tool::Hydra, "ssh", LAN_HOST, 1, 40),
    ("hydra-ssh", "ssh_hydra_4", Tool::Hydra, "ssh", LAN_HOST, 4, 100),
    ("hydra-ssh", "ssh_hydra_16", Tool::Hydra, "ssh", LAN_HOST, 16, 200),
    ("hydra-ssh", "ssh_hydra_8_other_host", Tool::Hydra, "ssh", SECOND_LAN_HOST, 8, 120),
    ("hydra-ssh", "ssh_hydra_v6", Tool::Hydra, "ssh", "[2001:db8:1::10]", 4, 60),
    ("medusa-ssh", "ssh_medusa_1", Tool::Medusa, "ssh", LAN_HOST, 1, 20),
    ("medusa-ssh", "ssh_medusa_6", Tool::Medusa, "ssh", LAN_HOST, 6, 80),
    ("ncrack-ssh", "ssh_ncrack_4", Tool::Ncrack, "ssh", LAN_HOST, 4, 60),
    ("hydra-ftp", "ftp_hydra_1", Tool::Hydra, "ftp", LAN_HOST, 1, 12),
    ("hydra-ftp", "ftp_hydra_4", Tool::Hydra, "ftp", LAN_HOST, 4, 40),
    ("hydra-ftp", "ftp_hydra_16", Tool::Hydra, "ftp", LAN_HOST, 16, 120),
    ("medusa-ftp", "ftp_medusa_4", Tool::Medusa, "ftp", LAN_HOST, 4, 30),
    ("ncrack-ftp", "ftp_ncrack_6", Tool::Ncrack, "ftp", LAN_HOST, 6, 60),
];

/// One attack.
pub fn record_one(stage: &mut Stage) {
    from_outside(stage, 0, FROM_OUTSIDE[1]);
}

/// All of them.
pub fn record(stage: &mut Stage) {
    for (number, attack) in FROM_OUTSIDE.iter().enumerate() {
        from_outside(stage, number, *attack);
    }
    record_script(stage);
    record_from_inside(stage);
    if let Err(error) = stage.network.limit_rate(1_500) {
        eprintln!("no slow line: {error:#}");
    }
    from_outside(stage, 2, ("hydra-ssh", "slow_line_ssh_hydra_4", Tool::Hydra, "ssh", LAN_HOST, 4, 60));
    from_outside(stage, 0, ("hydra-ftp", "slow_line_ftp_hydra_4", Tool::Hydra, "ftp", LAN_HOST, 4, 24));
    stage.network.unlimit_rate();
}

fn from_outside(stage: &mut Stage, number: usize, attack: (&str, &str, Tool, &str, &str, u32, u32)) {
    let (kind, name, tool, service, target, tasks, guesses) = attack;
    let attacker = number % stage.attackers.len();
    let v6 = target.starts_with('[');
    let address = if v6 { stage.attackers[attacker].address_v6() } else { stage.attackers[attacker].address() };
    let victim = if v6 { LAN_HOST_V6 } else { target };
    let label = Label { class: "bruteforce", kind, name, attacker: &address, victim, granularity: "all" };
    stage.record(label, |scene| tool.run(&scene.attackers[attacker].namespace, service, target, tasks, guesses));
}

/// The ordinary ssh client in a loop: each guess a connection of its own, one after the other.
fn record_script(stage: &mut Stage) {
    let address = stage.attackers[1].address();
    let label = Label {
        class: "bruteforce",
        kind: "script-ssh",
        name: "ssh_script",
        attacker: &address,
        victim: LAN_HOST,
        granularity: "all",
    };
    stage.record(label, |scene| {
        for number in 0..14 {
            let guess = format!("guess{number}");
            ssh_by_password(&scene.attackers[1].namespace, LAN_HOST, &guess, "true", Duration::from_secs(10))?;
        }
        Ok(())
    });
}

/// A device of the LAN that guesses passwords of servers outside.
fn record_from_inside(stage: &mut Stage) {
    let label = Label {
        class: "bruteforce",
        kind: "hydra-outbound",
        name: "outbound_ssh_hydra_6",
        attacker: LAN_HOST,
        victim: INTERNET[0],
        granularity: "all",
    };
    stage.record(label, |scene| Tool::Hydra.run(&scene.network.lan, "ssh", INTERNET[0], 6, 80));
}
