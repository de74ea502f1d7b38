//! The stage: a LAN, the box with its two ports, and the outside world behind a gateway.
//!
//! ```text
//!   lan                       box                       wan (gateway)            outsiders
//!   198.51.100.10 … .19 lan0──port0 [br0 .2] port1──wan0 198.51.100.1 ──eth0 203.0.113.N, 2001:db8:N::1
//!   2001:db8:1::10 … ::19                                203.0.113.10 … .13 and .53: servers of the Internet
//! ```
//!
//! Each outsider has a namespace of its own, so that every tool uses its address without being told. Half of the LAN's
//! addresses (198.51.100.128/25, 2001:db8:1::8000/113) are nobody's: packets to them arrive at the LAN and vanish, as on a
//! network with few hosts.

use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

use crate::line::Line;
use crate::line::profile::{Place, Profile};
use crate::namespace::{Namespace, run};

/// The gateway of the LAN, in the namespace `wan`.
pub const GATEWAY: &str = "198.51.100.1";
/// The box itself.
pub const BOX: &str = "198.51.100.2";
/// The first host of the LAN: its services and its usual client.
pub const LAN_HOST: &str = "198.51.100.10";
/// Another host of the LAN.
pub const SECOND_LAN_HOST: &str = "198.51.100.11";
/// A host of the LAN whose firewall answers nothing but TCP ports 22 and 80.
pub const FIREWALLED_LAN_HOST: &str = "198.51.100.12";
/// The first host of the LAN, IPv6.
pub const LAN_HOST_V6: &str = "2001:db8:1::10";
/// Addresses of the LAN that no host has, though packets to them reach it.
pub const DARK_NETWORK: &str = "198.51.100.128/25";
/// The same, IPv6.
pub const DARK_NETWORK_V6: &str = "2001:db8:1::8000/113";
/// Servers of the outside world.
pub const INTERNET: [&str; 4] = ["203.0.113.10", "203.0.113.11", "203.0.113.12", "203.0.113.13"];
/// A server of the outside world, IPv6.
pub const INTERNET_V6: &str = "2001:db8:10::10";
/// A name server of the outside world.
pub const NAME_SERVER: &str = "203.0.113.53";
/// The machine's own address while [`Network::connect_machine`] holds.
pub const MACHINE: &str = "198.51.100.250";

/// Only one laboratory at a time in a process: floods of one would disturb another.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The namespaces and the links between them.
#[derive(Debug)]
pub struct Network {
    /// An emulated line; it ends before the namespaces do.
    line: Option<(Line, Namespace)>,
    /// The hosts behind the box.
    pub lan: Namespace,
    /// The box: `port0` to the LAN, `port1` to the gateway, no bridge yet.
    pub r#box: Namespace,
    /// The gateway and the servers of the outside world.
    pub wan: Namespace,
    /// Between the hosts of the LAN and the box, where devices are plugged in.
    switch: Option<Namespace>,
    _turn: Option<MutexGuard<'static, ()>>,
}

impl Network {
    /// Builds it. The ports are up and unconnected: `sluice run` bridges them, or [`Self::bridge`].
    ///
    /// # Errors
    /// Not root, or a tool is missing; the error says which.
    pub fn new() -> Result<Self> {
        Self::build(None)
    }

    /// Builds it with a switch in the LAN, for [`Self::device`].
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_switch() -> Result<Self> {
        Self::build(Some(Namespace::new("switch")?))
    }

    /// Builds it with an emulated line in the place that the profile says; the seed makes the line's draws. It may stand beside
    /// others in a process, as that of [`Self::beside_others`].
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn over(profile: &Profile, seed: u64) -> Result<Self> {
        let mut network = Self::empty(None, None)?;
        let line = Namespace::new("line")?;
        match profile.place {
            Place::Wan => {
                link(&network.lan, "lan0", &network.r#box, "port0")?;
                line_up(&line, (&network.r#box, "port1"), (&network.wan, "wan0"))?;
            }
            Place::Lan => {
                line_up(&line, (&network.lan, "lan0"), (&network.r#box, "port0"))?;
                link(&network.wan, "wan0", &network.r#box, "port1")?;
            }
        }
        network.line = Some((Line::start(&line, LINE_ENDS[0], LINE_ENDS[1], profile, seed)?, line));
        network.furnish_lan()?;
        network.fence_lan()?;
        network.furnish_wan()?;
        Ok(network)
    }

    /// Builds it for what takes minutes and sends little: it may stand beside others in a process.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn beside_others() -> Result<Self> {
        Self::connected(Self::empty(None, None)?)
    }

    fn build(switch: Option<Namespace>) -> Result<Self> {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        Self::connected(Self::empty(switch, Some(turn))?)
    }

    fn connected(network: Self) -> Result<Self> {
        network.connect_lan()?;
        link(&network.wan, "wan0", &network.r#box, "port1")?;
        network.fence_lan()?;
        network.furnish_wan()?;
        Ok(network)
    }

    fn empty(switch: Option<Namespace>, turn: Option<MutexGuard<'static, ()>>) -> Result<Self> {
        let (lan, r#box, wan) = (Namespace::new("lan")?, Namespace::new("box")?, Namespace::new("wan")?);
        Ok(Self { line: None, lan, r#box, wan, switch, _turn: turn })
    }

    /// The names of its namespaces in which programs run.
    #[must_use]
    pub fn namespaces(&self) -> Vec<String> {
        [&self.lan, &self.r#box, &self.wan].map(|namespace| namespace.name().to_owned()).into()
    }

    /// Bridges the two ports without Sluice, and gives the box its address.
    ///
    /// # Errors
    /// The kernel has no bridge.
    pub fn bridge(&self) -> Result<()> {
        self.r#box.ip("link add br0 type bridge forward_delay 0")?;
        for line in ["link set port0 master br0", "link set port1 master br0", "link set br0 up"] {
            self.r#box.ip(line)?;
        }
        self.r#box.ip(&format!("addr add {BOX}/24 dev br0"))?;
        self.r#box.ip(&format!("route add default via {GATEWAY}"))?;
        Ok(())
    }

    /// A host of the outside world with the addresses 203.0.113.`number` and 2001:db8:`number`::1, in a namespace of its own.
    ///
    /// # Errors
    /// Numbers 10 to 13, 53 and 254 are taken.
    pub fn outsider(&self, number: u8) -> Result<Outsider> {
        let namespace = Namespace::new(&format!("out{number}"))?;
        let wan_end = format!("o{number}");
        link(&namespace, "eth0", &self.wan, &wan_end)?;
        let outsider = Outsider { namespace, number };
        let (v4, v6) = (outsider.address(), outsider.address_v6());
        self.wan.ip(&format!("route add {v4}/32 dev {wan_end}"))?;
        self.wan.ip(&format!("addr add 2001:db8:{number}::ffff/64 dev {wan_end} nodad"))?;
        let inside = &outsider.namespace;
        inside.ip(&format!("addr add {v4}/32 dev eth0"))?;
        inside.ip(&format!("addr add {v6}/64 dev eth0 nodad"))?;
        inside.ip("route add default via 203.0.113.254 dev eth0 onlink")?;
        inside.ip(&format!("route add default via 2001:db8:{number}::ffff dev eth0"))?;
        inside.private_file("resolv.conf", &format!("nameserver {NAME_SERVER}\n"))?;
        Ok(outsider)
    }

    /// A device of the LAN with a network card of its own and the addresses 198.51.100.`number` and 2001:db8:1::`number`; the
    /// hosts 10 to 19 share one card.
    ///
    /// # Errors
    /// The network has no switch, or the number is taken.
    pub fn device(&self, number: u8) -> Result<Device> {
        let switch = self.switch.as_ref().context("this laboratory has no switch")?;
        let namespace = Namespace::new(&format!("dev{number}"))?;
        plug(&namespace, "eth0", switch, &format!("d{number}"))?;
        namespace.ip(&format!("addr add 198.51.100.{number}/24 dev eth0"))?;
        namespace.ip(&format!("addr add 2001:db8:1::{number}/64 dev eth0 nodad"))?;
        namespace.ip(&format!("route add default via {GATEWAY}"))?;
        namespace.ip("route add default via 2001:db8:1::1")?;
        namespace.private_file("resolv.conf", &format!("nameserver {NAME_SERVER}\n"))?;
        let mac = namespace.run(["cat", "/sys/class/net/eth0/address"])?.trim().to_owned();
        Ok(Device { namespace, mac })
    }

    /// Lets the machine reach the box: a link into the LAN with the address [`MACHINE`], gone when the guard is.
    ///
    /// # Errors
    /// The machine has that address already.
    pub fn connect_machine(&self) -> Result<MachineLink> {
        let pid = std::process::id();
        let name = format!("sl{pid}");
        self.lan.ip(&format!("link add m0 type veth peer name {name} netns {pid}"))?;
        let guard = MachineLink { name };
        self.lan.run(["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.lan0.proxy_arp=1"])?;
        self.lan.ip("addr add 198.51.100.249/32 dev m0")?;
        self.lan.ip("link set m0 up")?;
        self.lan.ip(&format!("route add {MACHINE}/32 dev m0"))?;
        for line in [
            format!("addr add {MACHINE}/32 dev {}", guard.name),
            format!("link set {} up", guard.name),
            format!("route add {BOX}/32 via 198.51.100.249 dev {} onlink", guard.name),
        ] {
            run(Command::new("ip").args(line.split(' '))).context("cannot connect the machine to the laboratory")?;
        }
        Ok(guard)
    }

    /// Makes the link between the LAN and `port0`, which nothing attaches to a bridge, with all that depends on it. Once more
    /// where the port was removed.
    ///
    /// # Errors
    /// The link stands.
    pub fn connect_lan(&self) -> Result<()> {
        match &self.switch {
            Some(switch) => {
                switch.ip("link add sw0 type bridge forward_delay 0 mcast_snooping 0")?;
                switch.ip("link set sw0 up")?;
                plug(&self.lan, "lan0", switch, "hosts")?;
                plug(&self.r#box, "port0", switch, "box")?;
            }
            None => link(&self.lan, "lan0", &self.r#box, "port0")?,
        }
        self.furnish_lan()
    }

    fn furnish_lan(&self) -> Result<()> {
        for number in 10..20 {
            self.lan.ip(&format!("addr add 198.51.100.{number}/24 dev lan0"))?;
            self.lan.ip(&format!("addr add 2001:db8:1::{number}/64 dev lan0 nodad"))?;
        }
        self.lan.ip(&format!("route add default via {GATEWAY} src {LAN_HOST}"))?;
        self.lan.ip(&format!("route add default via 2001:db8:1::1 src {LAN_HOST_V6}"))?;
        Ok(())
    }

    fn fence_lan(&self) -> Result<()> {
        self.lan.ip(&format!("route add blackhole {DARK_NETWORK}"))?;
        self.lan.ip(&format!("-6 route add blackhole {DARK_NETWORK_V6}"))?;
        self.lan.private_file("resolv.conf", &format!("nameserver {NAME_SERVER}\n"))?;
        let rule = format!("ip daddr {FIREWALLED_LAN_HOST} tcp dport != {{ 22, 80 }} ct state new drop");
        self.lan.run([
            "nft",
            "add table ip firewall; add chain ip firewall input { type filter hook input priority 0; }",
        ])?;
        self.lan.run(["nft", &format!("add rule ip firewall input {rule}")])?;
        self.lan.run([
            "nft",
            &format!("add rule ip firewall input ip daddr {FIREWALLED_LAN_HOST} meta l4proto udp ct state new drop"),
        ])?;
        Ok(())
    }

    fn furnish_wan(&self) -> Result<()> {
        self.wan.ip(&format!("addr add {GATEWAY}/24 dev wan0"))?;
        self.wan.ip("addr add 2001:db8:1::1/64 dev wan0 nodad")?;
        for server in INTERNET.into_iter().chain([NAME_SERVER, "203.0.113.254"]) {
            self.wan.ip(&format!("addr add {server}/32 dev lo"))?;
        }
        self.wan.ip(&format!("addr add {INTERNET_V6}/128 dev lo nodad"))?;
        self.wan.ip(&format!("route add {DARK_NETWORK} via {LAN_HOST}"))?;
        self.wan.ip(&format!("-6 route add {DARK_NETWORK_V6} via {LAN_HOST_V6}"))?;
        // Answers to forged sources end here, silently as on the Internet.
        self.wan.ip("route add blackhole default")?;
        self.wan.run([
            "sysctl",
            "-qw",
            "net.ipv4.ip_forward=1",
            "net.ipv6.conf.all.forwarding=1",
            "net.ipv4.conf.all.send_redirects=0",
        ])?;
        self.wan.run(["sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0"])?;
        Ok(())
    }
}

/// A host of the outside world.
#[derive(Debug)]
pub struct Outsider {
    /// Where its programs run.
    pub namespace: Namespace,
    number: u8,
}

impl Outsider {
    /// Its IPv4 address.
    #[must_use]
    pub fn address(&self) -> String {
        format!("203.0.113.{}", self.number)
    }

    /// Its IPv6 address.
    #[must_use]
    pub fn address_v6(&self) -> String {
        format!("2001:db8:{}::1", self.number)
    }
}

/// A device of the LAN.
#[derive(Debug)]
pub struct Device {
    /// Where its programs run.
    pub namespace: Namespace,
    /// The address of its network card.
    pub mac: String,
}

/// The machine's link into the laboratory.
#[derive(Debug)]
pub struct MachineLink {
    name: String,
}

impl Drop for MachineLink {
    fn drop(&mut self) {
        let _ = run(Command::new("ip").args(["link", "del", &self.name]));
    }
}

/// The devices between which a line runs, in its namespace: that on the LAN's side first.
const LINE_ENDS: [&str; 2] = ["inside", "outside"];

/// Connects two devices to the ends of a line, in whose namespace nothing else answers or sends.
fn line_up(line: &Namespace, inside: (&Namespace, &str), outside: (&Namespace, &str)) -> Result<()> {
    line.run(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"])?;
    link(inside.0, inside.1, line, LINE_ENDS[0])?;
    link(outside.0, outside.1, line, LINE_ENDS[1])
}

/// Makes a veth pair from a namespace to a port of the switch.
fn plug(here: &Namespace, device: &str, switch: &Namespace, port: &str) -> Result<()> {
    link(here, device, switch, port)?;
    switch.ip(&format!("link set {port} master sw0")).map(|_| ())
}

/// Makes a veth pair between two namespaces. Offloads are off, so that packets are as small and as checked as on a wire.
fn link(here: &Namespace, device: &str, there: &Namespace, peer: &str) -> Result<()> {
    here.ip(&format!("link add {device} type veth peer name {peer} netns {}", there.name()))?;
    for (namespace, device) in [(here, device), (there, peer)] {
        namespace.run(["ethtool", "-K", device, "rx", "off", "tx", "off", "tso", "off", "gso", "off", "gro", "off"])?;
        namespace.ip(&format!("link set {device} up"))?;
    }
    Ok(())
}
