//! Two hosts with a bridge between them, each in a network namespace: the smallest network that Sluice can stand in.
//!
//! ```text
//! outside eth0 ── wan0 [ bridge br0 ] lan0 ── eth0 inside
//! ```
//!
//! Both hosts are on one link; their IPv6 addresses are in different /64 networks of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use crate::namespace::Namespace;
use crate::process::wait_until;
use anyhow::{Result, ensure};

/// Addresses of the host outside.
pub const OUTSIDE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1))];
/// Addresses of the host inside.
pub const INSIDE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(198, 51, 100, 2)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 2))];
/// The box's ports: the first faces outside.
pub const PORTS: [&str; 2] = ["wan0", "lan0"];

/// How long a packet that should come is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a packet that should not come is waited for.
const SILENCE: Duration = Duration::from_millis(300);

/// The network.
pub struct TwoHosts {
    pub outside: Namespace,
    pub bridge: Namespace,
    pub inside: Namespace,
}

impl TwoHosts {
    /// Both hosts, and the box's two ports without a bridge yet.
    pub fn without_bridge(name: &str) -> Result<Self> {
        ensure!(nix::unistd::geteuid().is_root(), "this test makes network namespaces and must run as root");
        let hosts = Self {
            outside: Namespace::new(&format!("{name}-o"))?,
            bridge: Namespace::new(&format!("{name}-b"))?,
            inside: Namespace::new(&format!("{name}-i"))?,
        };
        for (host, port, addresses) in [(&hosts.outside, PORTS[0], OUTSIDE), (&hosts.inside, PORTS[1], INSIDE)] {
            connect(host, &hosts.bridge, port)?;
            give_addresses(host, "eth0", addresses)?;
        }
        Ok(hosts)
    }

    /// Both hosts, and a bridge `br0` between them that forwards.
    pub fn bridged(name: &str) -> Result<Self> {
        let hosts = Self::without_bridge(name)?;
        hosts.bridge.run([
            "ip",
            "link",
            "add",
            "br0",
            "type",
            "bridge",
            "forward_delay",
            "0",
            "mcast_snooping",
            "0",
        ])?;
        for port in PORTS {
            hosts.bridge.run(["ip", "link", "set", port, "master", "br0", "up"])?;
        }
        hosts.bridge.run(["ip", "link", "set", "br0", "up"])?;
        ensure!(hosts.reaches(), "the hosts do not reach each other");
        Ok(hosts)
    }

    /// Whether the hosts come to reach each other.
    pub fn reaches(&self) -> bool {
        (0..20).any(|_| ping(&self.outside, INSIDE[0])) && (0..20).any(|_| ping(&self.outside, INSIDE[1]))
    }
}

/// Makes a pair of virtual interfaces: `eth0` of the host and the port of the box. Their offloads are off, so that packets
/// are on the wire as a network card would send them.
pub fn connect(host: &Namespace, bridge: &Namespace, port: &str) -> Result<()> {
    host.run(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", bridge.name()])?;
    host.run(["ethtool", "-K", "eth0", "tso", "off", "gso", "off", "gro", "off"])?;
    host.run(["ip", "link", "set", "eth0", "up"])?;
    bridge.run(["ip", "link", "set", port, "up"])?;
    Ok(())
}

/// Gives an interface its addresses, on a link of documentation networks.
pub fn give_addresses(host: &Namespace, interface: &str, [v4, v6]: [IpAddr; 2]) -> Result<()> {
    host.run(["ip", "address", "add", &format!("{v4}/24"), "dev", interface])?;
    host.run(["ip", "address", "add", &format!("{v6}/32"), "dev", interface, "nodad"])?;
    Ok(())
}

/// Whether a ping is answered.
pub fn ping(from: &Namespace, to: IpAddr) -> bool {
    from.run(["ping", "-c", "1", "-W", "0.3", &to.to_string()]).is_ok()
}

/// Whether a TCP connection can be opened.
pub fn connects(from: &Namespace, to: &Namespace, address: IpAddr) -> bool {
    let listener = to.enter(|| TcpListener::bind((address, 0)).unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    from.enter(|| TcpStream::connect_timeout(&address, SILENCE).is_ok()).unwrap()
}

/// An open TCP connection: its two ends.
pub fn connection(from: &Namespace, to: &Namespace, address: IpAddr) -> (TcpStream, TcpStream) {
    let listener = to.enter(|| TcpListener::bind((address, 0)).unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let near = from.enter(|| TcpStream::connect_timeout(&address, PATIENCE).unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

/// Whether a UDP packet from this port arrives at that one. Port 0 is any from 1024.
pub fn udp_arrives(from: (&Namespace, IpAddr, u16), to: (&Namespace, IpAddr, u16)) -> bool {
    let (sender, receiver) = (bound(from), bound(to));
    receiver.set_read_timeout(Some(SILENCE)).unwrap();
    sender.send_to(b"hello", receiver.local_addr().unwrap()).unwrap();
    receiver.recv(&mut [0; 16]).is_ok()
}

/// A UDP socket at that port. One that was there before may live on for a moment in a child that another test is starting.
fn bound((namespace, address, port): (&Namespace, IpAddr, u16)) -> UdpSocket {
    let bind = || UdpSocket::bind(SocketAddr::new(address, port));
    let mut bound = None;
    wait_until("the port is free", PATIENCE, || {
        bound = namespace.enter(bind).unwrap().ok();
        bound.is_some()
    })
    .unwrap();
    bound.unwrap()
}
