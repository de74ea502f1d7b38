//! Log-ins of people and scripts who know the password or have the key: what guessing passwords must be told from.

use std::thread::{scope, sleep};
use std::time::Duration;

use anyhow::{Result, ensure};
use lab::benign::{SSH_OPTIONS, ssh_by_key, ssh_by_password, ssh_log_in};
use lab::namespace::Namespace;
use lab::network::{INTERNET, INTERNET_V6, LAN_HOST, LAN_HOST_V6};
use lab::process::{run_any, run_within};
use lab::services::{DROPBEAR_PORT, PASSWORD, USER, dropbear, user_key};

use crate::scenario::Scenario;
use crate::stage::Scene;

/// How long one program may take.
const LIMIT: Duration = Duration::from_secs(40);

/// All of them.
pub fn scenarios() -> Vec<Scenario> {
    let log_ins = |name: &str, act: fn(&Scene) -> Result<()>| Scenario::benign("ssh-logins", name, act);
    let work = |name: &str, act: fn(&Scene) -> Result<()>| Scenario::benign("ssh-work", name, act);
    vec![
        log_ins("ssh_key_20_in_a_row", |s| log_in(s.lan(), INTERNET[0], 20, 300)),
        log_ins("ssh_key_12_hasty", |s| log_in(s.lan(), INTERNET[0], 12, 0)),
        log_ins("ssh_key_40_hasty", |s| log_in(s.lan(), INTERNET[1], 40, 0)),
        log_ins("ssh_key_every_5_seconds", |s| log_in(s.lan(), INTERNET[2], 9, 5_000)),
        log_ins("ssh_key_v6", |s| log_in(s.lan(), INTERNET_V6, 10, 100)),
        log_ins("ssh_key_5_hosts_at_once", |s| {
            everywhere(&s.visitors[1].namespace, 10..15, &["true", "uname -a", "ls /", "id"])
        }),
        log_ins("ssh_mistyped_twice", mistype),
        log_ins("ssh_mistyped_thrice_then_work", |s| {
            mistype(s)?;
            log_in(&s.visitors[0].namespace, LAN_HOST, 4, 1_500)
        }),
        log_ins("ssh_visitor_password", |s| ssh_log_in(&s.visitors[0].namespace, LAN_HOST)),
        log_ins("ssh_visitor_password_6", |s| {
            (0..6).try_for_each(|_| {
                sleep(Duration::from_secs(1));
                ssh_log_in(&s.visitors[0].namespace, LAN_HOST)
            })
        }),
        log_ins("ssh_visitor_key_8", |s| log_in(&s.visitors[0].namespace, LAN_HOST, 8, 400)),
        log_ins("ssh_visitor_v6", |s| log_in(&s.visitors[0].namespace, LAN_HOST_V6, 3, 400)),
        log_ins("ssh_refused_key", refused_key),
        log_ins("dropbear_every_2_seconds", |s| watch_router(s, 20, 2_000)),
        log_ins("dropbear_12_hasty", |s| watch_router(s, 12, 0)),
        Scenario::benign("ansible", "ansible_5_hosts", |s| playbook(&s.visitors[0].namespace, 10..15, 4)),
        Scenario::benign("ansible", "ansible_8_hosts", |s| playbook(&s.visitors[1].namespace, 10..18, 3)),
        Scenario::benign("ansible", "ansible_outbound", |s| {
            scope(|threads| {
                let hosts: Vec<_> = INTERNET.iter().map(|host| threads.spawn(|| play(s.lan(), host, 4))).collect();
                hosts.into_iter().try_for_each(|host| host.join().unwrap_or(Ok(())))
            })
        }),
        work("ssh_interactive", interactive),
        work("ssh_tunnel_idle", |s| {
            let key = user_key()?;
            let options = "-o ServerAliveInterval=1 -N";
            let line = format!("ssh {SSH_OPTIONS} {options} -i {} {USER}@{}", key.display(), INTERNET[0]);
            let tunnel = s.lan().start(&line)?;
            sleep(Duration::from_secs(15));
            drop(tunnel);
            Ok(())
        }),
        Scenario::benign("ftp-logins", "ftp_log_ins_6", |s| {
            (0..6).try_for_each(|_| {
                let line = format!("curl -s -S -m 20 -o /dev/null --user {USER}:{PASSWORD} ftp://{LAN_HOST}/notes.txt");
                s.visitors[0].namespace.run_within(&line, LIMIT).map(|_| ())
            })
        }),
        Scenario::benign("web-logins", "web_log_ins", web_log_ins),
    ]
}

fn log_in(from: &Namespace, server: &str, times: u32, pause_ms: u64) -> Result<()> {
    for _ in 0..times {
        ssh_by_key(from, server, "uptime", LIMIT)?;
        sleep(Duration::from_millis(pause_ms));
    }
    Ok(())
}

/// The same few commands on several hosts of the LAN at once.
fn everywhere(from: &Namespace, hosts: std::ops::Range<u8>, tasks: &[&str]) -> Result<()> {
    scope(|threads| {
        let run = |number| {
            tasks.iter().try_for_each(|task| ssh_by_key(from, &format!("198.51.100.{number}"), task, LIMIT).map(|_| ()))
        };
        let hosts: Vec<_> = hosts.map(|number| threads.spawn(move || run(number))).collect();
        hosts.into_iter().try_for_each(|host| host.join().unwrap_or(Ok(())))
    })
}

/// What ansible does without a shared connection: for each task a folder, a file and a command, each a log-in of its own.
fn playbook(from: &Namespace, hosts: std::ops::Range<u8>, tasks: u32) -> Result<()> {
    scope(|threads| {
        let hosts: Vec<_> =
            hosts.map(|number| threads.spawn(move || play(from, &format!("198.51.100.{number}"), tasks))).collect();
        hosts.into_iter().try_for_each(|host| host.join().unwrap_or(Ok(())))
    })
}

fn play(from: &Namespace, host: &str, tasks: u32) -> Result<()> {
    let key = user_key()?;
    for _ in 0..tasks {
        ssh_by_key(from, host, "echo ~ && mktemp -u", LIMIT)?;
        let line =
            format!("scp -q {SSH_OPTIONS} -i {} /usr/share/nmap/nmap.dtd {USER}@{host}:/dev/null", key.display());
        from.run_within(&line, LIMIT)?;
        ssh_by_key(from, host, "uname -a", LIMIT)?;
    }
    Ok(())
}

/// Two wrong passwords, then the right one.
fn mistype(scene: &Scene) -> Result<()> {
    for guess in ["correct-hose-battery", "correct-horse-batery"] {
        ssh_by_password(&scene.visitors[0].namespace, LAN_HOST, guess, "true", LIMIT)?;
        sleep(Duration::from_secs(1));
    }
    ssh_log_in(&scene.visitors[0].namespace, LAN_HOST)
}

/// A script whose key is not known any more: it tries again every few seconds.
fn refused_key(scene: &Scene) -> Result<()> {
    for _ in 0..4 {
        let line = format!("ssh {SSH_OPTIONS} -o BatchMode=yes -o PubkeyAuthentication=no {USER}@{} true", INTERNET[3]);
        let finished = run_any(&mut scene.lan().words(&line), LIMIT)?;
        ensure!(!finished.success(), "it was let in");
        sleep(Duration::from_secs(3));
    }
    Ok(())
}

/// A script that reads the state of a small router again and again.
fn watch_router(scene: &Scene, times: u32, pause_ms: u64) -> Result<()> {
    let (_router, key) = (dropbear(scene.wan())?, user_key()?);
    let options = format!("{SSH_OPTIONS} -o BatchMode=yes -p {DROPBEAR_PORT}");
    let line = format!("ssh {options} -i {} {USER}@{} cat /proc/uptime", key.display(), INTERNET[3]);
    for _ in 0..times {
        scene.lan().run_within(&line, LIMIT)?;
        sleep(Duration::from_millis(pause_ms));
    }
    Ok(())
}

/// A person at a prompt: some output now and then.
fn interactive(scene: &Scene) -> Result<()> {
    let key = user_key()?;
    let mut command = scene.lan().words(&format!("ssh {SSH_OPTIONS} -i {} {USER}@{}", key.display(), INTERNET[1]));
    command.arg("for n in 1 2 3 4 5 6; do ls -l /etc | head -$((n * 6)); sleep 0.6; done");
    run_within(&mut command, LIMIT).map(|_| ())
}

/// An application that sends name and password with every request; the first time the password is wrong.
fn web_log_ins(scene: &Scene) -> Result<()> {
    for number in 0..25 {
        let password = if number == 0 { "mistyped" } else { PASSWORD };
        let line = format!("curl -s -m 20 -o /dev/null --user {USER}:{password} http://{LAN_HOST}/private/");
        run_any(&mut scene.visitors[1].namespace.words(&line), LIMIT)?;
        sleep(Duration::from_millis(120));
    }
    Ok(())
}
