//! The real ports and the disk, as they are: looked at and not changed.

use std::io;
use std::path::Path;

use ipnet::IpNet;
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};

use super::Step;
use crate::config::Config;
use crate::hardware::bridge::{present, stranded};
use crate::linux::links::{Link, Links};
use crate::linux::offloads;
use crate::web::{Client, ClientError};

/// What the database should find free.
const LEAST_FREE_BYTES: u64 = 4 << 20;

/// A step for each port, and one for both together.
pub(super) fn ports(config: &Config) -> Vec<Step> {
    let names = &config.bridge.ports;
    let (all, addresses) = match Links::open().and_then(|mut links| Ok((links.all()?, links.addresses()?))) {
        Ok(found) => found,
        Err(error) => {
            return vec![Step::failed("ports", format!("the interfaces cannot be read: {error}"), "see `ip link`")];
        }
    };
    let mut steps: Vec<Step> = names.iter().map(|name| port(name, &all, &addresses, config)).collect();
    let [first, second] = names.each_ref().map(|name| all.iter().find(|link| link.name == *name));
    if let Some((first, second)) = first.zip(second) {
        steps.push(same_mtu(first, second));
    }
    steps
}

fn port(port: &str, all: &[Link], addresses: &[(u32, IpNet)], config: &Config) -> Step {
    let name = format!("port {port}");
    let Some(link) = all.iter().find(|link| link.name == port) else {
        let remedy = format!("set bridge.ports in sluice.toml; interfaces here: {}", present(all).join(", "));
        return Step::failed(&name, "there is no such interface", remedy);
    };
    if let Some([seen, remedy]) = stranded(link, addresses, &config.bridge.name) {
        return Step::failed(&name, seen, remedy);
    }
    if !link.is_up {
        return Step::failed(&name, "it is down", format!("start sluice, or: ip link set {port} up"));
    }
    if !link.has_carrier {
        return Step::failed(&name, "it is up, but has no carrier", "see to its cable and what is at its other end");
    }
    match offloads::look(port) {
        Ok(offloads) if offloads.still_on.is_empty() => Step::ok(&name, "up, with carrier, offloads off"),
        // The daemon turns them off when it starts.
        Ok(offloads) if matches!(Client::new(&config.web.socket).state(), Err(ClientError::NoDaemon { .. })) => {
            Step::ok(&name, format!("up, with carrier; {} on; Sluice turns it off", offloads.still_on.join(", ")))
        }
        Ok(offloads) => {
            let on = offloads.still_on;
            let turn_off: Vec<_> = on.iter().map(|name| format!("{name} off")).collect();
            let remedy = format!("sluice restart, or: ethtool -K {port} {}", turn_off.join(" "));
            Step::failed(&name, format!("it merges packets: {} is on", on.join(", ")), remedy)
        }
        Err(cause) => {
            Step::skipped(&name, format!("its offloads cannot be read: {cause}"), "that packets come unmerged")
        }
    }
}

fn same_mtu(first: &Link, second: &Link) -> Step {
    const NAME: &str = "MTU";
    if first.mtu_bytes == second.mtu_bytes {
        return Step::ok(NAME, format!("{} at both ports", first.mtu_bytes));
    }
    let seen = format!("{} at {}, {} at {}", first.mtu_bytes, first.name, second.mtu_bytes, second.name);
    Step::failed(NAME, seen, "large packets are lost: set both to the same (ip link set PORT mtu NUMBER)")
}

/// The folder of the database: it can be written or made, and there is room.
pub(super) fn state_folder(folder: &Path) -> Step {
    const NAME: &str = "state folder";
    let shown = folder.display();
    // The nearest one that is there: the daemon makes what is missing below it.
    let there = folder.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    if !there.is_dir() {
        let seen = format!("{shown}: {} is no folder", there.display());
        return Step::failed(NAME, seen, "remove it, or set state_dir in sluice.toml");
    }
    if let Err(errno) = access(there, AccessFlags::W_OK | AccessFlags::X_OK) {
        let seen = format!("{shown}: cannot be written ({})", io::Error::from(errno));
        return Step::failed(NAME, seen, "mend that, or set state_dir in sluice.toml");
    }
    match free_bytes(there) {
        Ok(free) if free < LEAST_FREE_BYTES => {
            let seen = format!("{shown}: {} KiB are free", free >> 10);
            Step::failed(NAME, seen, format!("free {} MiB, or set state_dir in sluice.toml", LEAST_FREE_BYTES >> 20))
        }
        Ok(free) => Step::ok(NAME, format!("{shown}: can be written, {} MiB are free", free >> 20)),
        Err(cause) => Step::skipped(NAME, format!("{shown}: {cause}"), "that there is room on the disk"),
    }
}

fn free_bytes(folder: &Path) -> io::Result<u64> {
    let found = statvfs(folder)?;
    #[allow(clippy::useless_conversion, reason = "narrower on boards of 32 bits")]
    Ok(u64::from(found.blocks_available()).saturating_mul(u64::from(found.fragment_size())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_missing_can_be_made_and_a_file_is_none() {
        let base = std::env::temp_dir().join(format!("sluice-selftest-{}", std::process::id()));
        std::fs::create_dir_all(&base).unwrap();
        assert!(!state_folder(&base.join("a/b")).has_failed());
        assert!(!base.join("a").exists(), "it was made");
        std::fs::write(base.join("file"), "").unwrap();
        let step = state_folder(&base.join("file/state"));
        assert!(step.has_failed() && step.to_string().contains("is no folder; remove it"), "{step}");
        std::fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn a_port_that_is_missing_is_told_with_those_that_are_there() {
        let link = |name: &str| Link {
            index: 1,
            name: name.to_owned(),
            mac: None,
            master: None,
            mtu_bytes: 1_500,
            is_up: true,
            has_carrier: false,
            kind: None,
        };
        let all = [link("eth7"), link("lo")];
        let port = |name, all: &[Link]| port(name, all, &[], &Config::default());
        let missing = port("eth0", &all).to_string();
        assert!(missing.ends_with("interfaces here: eth7"), "{missing}");
        assert!(port("eth7", &all).to_string().contains("no carrier"));
        assert!(!same_mtu(&all[0], &all[1]).has_failed());
        assert!(same_mtu(&all[0], &Link { mtu_bytes: 1_492, ..link("lo") }).has_failed());
    }
}
