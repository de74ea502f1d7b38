//! The lookout: what the network around the box looks like now, asked of the kernel.

use ipnet::IpNet;

use crate::control::Settings;
use crate::control::keeper::Surroundings;
use crate::hardware::bridge::{self, BridgeConfig};
use crate::linux::links::{Link, Links};
use crate::linux::netlink::NetlinkError;

/// Asks the kernel, and mends the bridge where a port was removed and made again.
pub(super) struct Lookout {
    links: Links,
    bridge: BridgeConfig,
    bridge_index: u32,
    /// Indices of the ports at the last look: one that was made again has another.
    ports: [Option<u32>; 2],
}

impl Lookout {
    pub fn new(bridge: BridgeConfig, bridge_index: u32) -> Result<Self, NetlinkError> {
        let mut lookout = Self { links: Links::open()?, bridge, bridge_index, ports: [None; 2] };
        let all = lookout.links.all()?;
        lookout.ports = lookout.port_indices(&all);
        Ok(lookout)
    }

    /// Looks once.
    pub fn look(&mut self, settings: &Settings) -> Surroundings {
        let mut around = Surroundings::default();
        match self.links.addresses() {
            Ok(addresses) => {
                around.own = Some(addresses.iter().map(|(_, network)| network.addr()).collect());
                around.lan = if settings.learns_lan { self.household(&addresses) } else { Vec::new() };
            }
            Err(error) => around.faults.push(format!("the box's own addresses cannot be read: {error}")),
        }
        match self.links.gateways() {
            Ok(gateways) => around.gateways = gateways.into_iter().map(|gateway| gateway.address).collect(),
            Err(error) => around.faults.push(format!("the gateways cannot be read: {error}")),
        }
        match self.links.all() {
            Ok(all) => self.mend(&all, &mut around),
            Err(error) => around.faults.push(format!("the interfaces cannot be read: {error}")),
        }
        around
    }

    /// The networks that the bridge has an address in.
    fn household(&self, addresses: &[(u32, IpNet)]) -> Vec<IpNet> {
        let on_bridge = addresses.iter().filter(|(link, _)| *link == self.bridge_index);
        on_bridge.map(|(_, network)| network.trunc()).collect()
    }

    fn mend(&mut self, all: &[Link], around: &mut Surroundings) {
        let ports = self.port_indices(all);
        let is_new = |(now, before): (&Option<u32>, &Option<u32>)| now.is_some() && now != before;
        if ports.iter().zip(&self.ports).any(is_new) {
            match bridge::ensure(&self.bridge) {
                Ok(_) => around.ports_changed = true,
                // Tried again with the next look, because the indices are not taken over.
                Err(error) => return around.faults.push(error.to_string()),
            }
        }
        self.ports = ports;
        around.own_mac = all.iter().find(|link| link.index == self.bridge_index).and_then(|bridge| bridge.mac);
        around.faults.extend(all.iter().filter(|link| self.is_unplugged(link)).map(|link| {
            format!("port `{}` has no carrier: plug its cable in, or look at what is at its other end", link.name)
        }));
    }

    /// A port that is down is told of by the packet thread.
    fn is_unplugged(&self, link: &Link) -> bool {
        self.bridge.ports.contains(&link.name) && link.is_up && !link.has_carrier
    }

    fn port_indices(&self, all: &[Link]) -> [Option<u32>; 2] {
        self.bridge.ports.each_ref().map(|name| all.iter().find(|link| link.name == *name).map(|link| link.index))
    }
}
