//! The bridge between the two ports: made where it is missing, taken over where it stands.
//!
//! The kernel forwards, not this program: the bridge stays when the daemon ends, so that a dead daemon never stops traffic.
//! A bridge that stands is left as it is, and its ports stay in it: taking them out would interrupt what they forward.

use core::net::IpAddr;
use std::path::Path;
use std::{fs, io};

use ipnet::IpNet;
use log::info;
use traffic::address::Mac;

use crate::DOCUMENTS;
use crate::linux::eee::{self, Eee};
use crate::linux::links::{Gateway, Link, Links};
use crate::linux::netlink::NetlinkError;
use crate::linux::offloads;

/// What the bridge shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeConfig {
    /// Name of the bridge.
    pub name: String,
    /// Names of its two ports.
    pub ports: [String; 2],
    /// Addresses of the appliance, with their prefixes; it can forward without any.
    pub addresses: Vec<IpNet>,
    /// Routers by which it reaches the rest of the world, each in the network of an address.
    pub gateways: Vec<IpAddr>,
}

/// The bridge as it stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// Its index.
    pub index: u32,
    /// Its MAC address.
    pub mac: Option<Mac>,
    /// This program made it just now.
    pub was_made: bool,
    /// What is not as it should be, though traffic flows: one line each, with its remedy.
    pub faults: Vec<String>,
}

/// Why there is no bridge; the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// A port does not exist.
    #[error("no interface `{name}`; interfaces here: {}; set bridge.ports in sluice.toml", present.join(", "))]
    NoInterface {
        /// The name.
        name: String,
        /// The interfaces that do exist.
        present: Vec<String>,
    },
    /// Both ports are the same.
    #[error("both ports are `{name}`; name two interfaces as bridge.ports in sluice.toml")]
    SamePort {
        /// The name.
        name: String,
    },
    /// A port belongs to another bridge.
    #[error(
        "`{port}` is a port of `{other}` already; take it out (ip link set {port} nomaster), or set bridge.name = \"{other}\" in sluice.toml"
    )]
    PortTaken {
        /// The port.
        port: String,
        /// The bridge that it is in.
        other: String,
    },
    /// The bridge's name belongs to an interface of another kind.
    #[error("`{name}` is an interface, but not a bridge; set another bridge.name in sluice.toml")]
    NotABridge {
        /// The name.
        name: String,
    },
    /// Missing rights.
    #[error("no right to change network interfaces; run as root or with CAP_NET_ADMIN")]
    NotPermitted,
    /// Anything else that the kernel refused.
    #[error("cannot {step}: {cause}")]
    Kernel {
        /// What was tried, with the names of the interfaces.
        step: String,
        /// The kernel's answer.
        cause: io::Error,
    },
}

/// Makes the bridge stand as configured. Doing it again changes nothing.
///
/// # Errors
/// See [`BridgeError`]. What was done until then stays, and does no harm: a port without a bridge forwards nothing either way.
pub fn ensure(config: &BridgeConfig) -> Result<Bridge, BridgeError> {
    let mut links = Links::open().map_err(explain(|| "open a netlink socket".to_owned()))?;
    let all = links.all().map_err(explain(|| "list the interfaces".to_owned()))?;
    check(config, &all)?;
    let was_made = !all.iter().any(|link| link.name == config.name);
    if was_made {
        let step = || format!("make the bridge `{}`", config.name);
        links.create_bridge(&config.name).map_err(explain(step))?;
    }
    let all = links.all().map_err(explain(|| "list the interfaces".to_owned()))?;
    let bridge = find(&config.name, &all)?;
    let mut faults = Vec::new();
    for name in &config.ports {
        attach(&mut links, find(name, &all)?, bridge, &mut faults)?;
    }
    links.set_up(bridge.index).map_err(explain(|| format!("set `{}` up", bridge.name)))?;
    for address in &config.addresses {
        let step = || format!("give `{}` the address {address}", bridge.name);
        links.add_address(bridge.index, *address).map_err(explain(step))?;
    }
    for gateway in &config.gateways {
        lead_out(&mut links, *gateway, bridge, &mut faults);
    }
    // Read again: a bridge takes on the MAC address of one of its ports.
    let all = links.all().map_err(explain(|| "list the interfaces".to_owned()))?;
    add_port_faults(config, &all, &mut faults);
    Ok(Bridge { index: bridge.index, mac: find(&config.name, &all)?.mac, was_made, faults })
}

/// Whether the bridge stands and holds both ports: what comes passes already.
#[must_use]
pub fn forwards(config: &BridgeConfig) -> bool {
    let Ok(all) = Links::open().and_then(|mut links| links.all()) else { return false };
    let bridge = all.iter().find(|link| link.name == config.name).map(|bridge| bridge.index);
    let holds = |port: &String| all.iter().any(|link| link.name == *port && link.master == bridge);
    bridge.is_some() && config.ports.iter().all(holds)
}

/// An address of a port itself, at which nobody reaches the box: what a port receives goes to its bridge. What is wrong, and the
/// remedy.
#[must_use]
pub fn stranded(port: &Link, addresses: &[(u32, IpNet)], bridge: &str) -> Option<[String; 2]> {
    let own = addresses.iter().filter(|(link, network)| *link == port.index && !is_of_the_link(network.addr()));
    let own: Vec<String> = own.map(|(_, network)| network.to_string()).collect();
    let (name, own) = (&port.name, (!own.is_empty()).then(|| own.join(" and "))?);
    Some(if port.master.is_some() {
        [
            format!("{name} has the address {own}: the box is not reached there, because {name} is a port of a bridge"),
            format!("give it to {bridge} instead ({DOCUMENTS}/docs/install.md)"),
        ]
    } else {
        [
            format!("{name} has the address {own}: the box will not be reached there once it is a port"),
            format!("give it to {bridge} first ({DOCUMENTS}/docs/install.md)"),
        ]
    })
}

/// Whether it holds on one cable alone (fe80::/10, 169.254.0.0/16): nobody looks for the box at such an address.
#[must_use]
pub fn is_of_the_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// Refuses what can be refused before anything is changed.
fn check(config: &BridgeConfig, all: &[Link]) -> Result<(), BridgeError> {
    let [first, second] = &config.ports;
    if first == second {
        return Err(BridgeError::SamePort { name: first.clone() });
    }
    let standing = all.iter().find(|link| link.name == config.name);
    if standing.is_some_and(|link| !link.is_bridge()) {
        return Err(BridgeError::NotABridge { name: config.name.clone() });
    }
    for port in &config.ports {
        let link = find(port, all)?;
        let Some(master) = link.master.filter(|master| Some(*master) != standing.map(|bridge| bridge.index)) else {
            continue;
        };
        let other = all.iter().find(|link| link.index == master);
        let other = other.map_or_else(|| format!("interface {master}"), |link| link.name.clone());
        return Err(BridgeError::PortTaken { port: port.clone(), other });
    }
    Ok(())
}

fn find<'a>(name: &str, all: &'a [Link]) -> Result<&'a Link, BridgeError> {
    all.iter()
        .find(|link| link.name == name)
        .ok_or_else(|| BridgeError::NoInterface { name: name.to_owned(), present: present(all) })
}

/// The names of the interfaces that could be ports.
#[must_use]
pub fn present(all: &[Link]) -> Vec<String> {
    all.iter().map(|link| link.name.clone()).filter(|name| name != "lo").collect()
}

fn attach(links: &mut Links, port: &Link, bridge: &Link, faults: &mut Vec<String>) -> Result<(), BridgeError> {
    let name = &port.name;
    match offloads::turn_off(name) {
        Ok(offloads) if offloads.still_on.is_empty() => {}
        Ok(offloads) => faults.push(format!(
            "`{name}` cannot turn off {}: packets may be seen merged; another driver or interface may",
            offloads.still_on.join(", ")
        )),
        Err(cause) => faults
            .push(format!("`{name}`: offloads could not be turned off ({cause}): try `ethtool -K {name} gro off`")),
    }
    if port.master != Some(bridge.index) {
        let step = || format!("make `{name}` a port of `{}`", bridge.name);
        links.enslave(port.index, bridge.index).map_err(explain(step))?;
    }
    join_what_is_kept_apart(name).map_err(|cause| BridgeError::Kernel { step: format!("join `{name}`"), cause })?;
    links.set_up(port.index).map_err(explain(|| format!("set `{name}` up")))?;
    keep_awake(name, faults);
    Ok(())
}

/// Only once the port is up: the driver of the Raspberry Pi 4's card does not answer before.
fn keep_awake(port: &str, faults: &mut Vec<String>) {
    match eee::switch_off(port) {
        Ok(Eee::NotSupported | Eee::WasOff) => {}
        Ok(Eee::SwitchedOff) => {
            info!("`{port}`: Energy Efficient Ethernet is switched off; its link is back in some seconds");
        }
        Err(cause) => faults.push(format!(
            "`{port}`: Energy Efficient Ethernet could not be switched off ({cause}): if its link falls now and then, switch it off at \
             the other end of the cable"
        )),
    }
}

/// A boot without a configuration that suits keeps the ports apart, where nothing shall pass unwatched.
fn join_what_is_kept_apart(port: &str) -> io::Result<()> {
    let isolated = Path::new("/sys/class/net").join(port).join("brport/isolated");
    if fs::read_to_string(&isolated).is_ok_and(|word| word.trim() == "1") { fs::write(isolated, "0") } else { Ok(()) }
}

/// Without a way out the box protects all the same.
fn lead_out(links: &mut Links, gateway: IpAddr, bridge: &Link, faults: &mut Vec<String>) {
    if let Err(error) = links.add_gateway(Gateway { address: gateway, link: bridge.index }) {
        faults.push(format!(
            "the box has no way out by {gateway}: {error}; check bridge.gateway and bridge.addresses in sluice.toml"
        ));
    }
}

/// Ports of one bridge that take packets of different sizes lose the large ones.
fn add_port_faults(config: &BridgeConfig, all: &[Link], faults: &mut Vec<String>) {
    let ports = config.ports.each_ref().map(|name| all.iter().find(|link| link.name == *name));
    if let [Some(first), Some(second)] = ports
        && first.mtu_bytes != second.mtu_bytes
    {
        let smaller = if first.mtu_bytes < second.mtu_bytes { first } else { second };
        faults.push(format!(
            "`{}` and `{}` have different MTUs ({} and {}): large packets are lost at `{}`; set both to the same",
            first.name, second.name, first.mtu_bytes, second.mtu_bytes, smaller.name
        ));
    }
}

fn explain(step: impl FnOnce() -> String) -> impl FnOnce(NetlinkError) -> BridgeError {
    move |error| match error.errno() {
        Some(nix::errno::Errno::EPERM | nix::errno::Errno::EACCES) => BridgeError::NotPermitted,
        _ => BridgeError::Kernel { step: step(), cause: error.into_io() },
    }
}
