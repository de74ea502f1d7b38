//! The lookout: what the network around the box looks like now, asked of the kernel and heard at the ports.

use core::time::Duration;
use std::io;

use ipnet::IpNet;
use log::{info, warn};

use super::bridge_config;
use crate::capture::Port;
use crate::clock::Stopwatch;
use crate::config::Config;
use crate::control::Settings;
use crate::control::keeper::Surroundings;
use crate::hardware::bridge::{self, BridgeConfig};
use crate::linux::ear::Ear;
use crate::linux::links::{Link, Links};
use crate::linux::netlink::NetlinkError;
use crate::surroundings::{Facts, Learned, Picture};

/// How often it is listened at the ports and asked who is where. Routes and addresses are asked for with each look.
const SURVEY_INTERVAL: Duration = Duration::from_secs(1);

/// Frames that are taken from each port by one survey. More wait in the socket's buffer, and are lost where it is full.
const FRAMES_PER_SURVEY: usize = 512;

/// What gets lost of what is heard is logged once in this time. In a large network it does no harm: the routers are few.
const LOG_PAUSE: Duration = Duration::from_secs(3_600);

/// A port that another program takes out of the bridge is put back once in this time.
const MEND_PAUSE: Duration = Duration::from_secs(10);

/// Asks the kernel, listens, and mends the bridge where a port was removed and made again, or taken out of it.
pub(super) struct Lookout {
    links: Links,
    bridge: BridgeConfig,
    bridge_index: u32,
    /// Indices of the ports at the last look: one that was made again has another.
    ports: [Option<u32>; 2],
    /// When the bridge was put together again because it had been taken apart.
    last_mended: Option<Stopwatch>,
    ears: [Option<Ear>; 2],
    picture: Picture,
    since_start: Stopwatch,
    since_survey: Option<Stopwatch>,
    /// What the last survey came to.
    learned: Learned,
    survey_faults: Vec<String>,
    /// What was lost when that was logged last.
    lost: (u64, Option<Stopwatch>),
}

/// What is told of a bridge that does not hold the ports.
struct TakenApart {
    fault: String,
    is_to_be_mended: bool,
}

impl Lookout {
    pub fn new(config: &Config, bridge_index: u32) -> Result<Self, NetlinkError> {
        let mut lookout = Self {
            links: Links::open()?,
            bridge: bridge_config(config),
            bridge_index,
            ports: [None; 2],
            last_mended: None,
            ears: [None, None],
            picture: Picture::new(config.internet_port()),
            since_start: Stopwatch::start(),
            since_survey: None,
            learned: Learned::default(),
            survey_faults: Vec::new(),
            lost: (0, None),
        };
        let all = lookout.links.all()?;
        lookout.ports = lookout.port_indices(&all);
        Ok(lookout)
    }

    /// Looks once.
    pub fn look(&mut self, settings: &Settings) -> Surroundings {
        let mut around = Surroundings::default();
        let addresses = self.links.addresses();
        match &addresses {
            Ok(addresses) => {
                around.own = Some(addresses.iter().map(|(_, network)| network.addr()).collect());
                around.lan = if settings.learns_lan { self.household(addresses) } else { Vec::new() };
            }
            Err(error) => around.faults.push(format!("the box's own addresses cannot be read: {error}")),
        }
        match self.links.gateways() {
            Ok(gateways) => around.gateways = gateways.into_iter().map(|gateway| gateway.address).collect(),
            Err(error) => around.faults.push(format!("the gateways cannot be read: {error}")),
        }
        match self.links.all() {
            Ok(all) => {
                self.mend(&all, &mut around);
                self.tell_stranded(&all, addresses.as_deref().unwrap_or_default(), &mut around);
            }
            Err(error) => around.faults.push(format!("the interfaces cannot be read: {error}")),
        }
        if self.since_survey.is_none_or(|since| since.elapsed() >= SURVEY_INTERVAL) {
            self.since_survey = Some(Stopwatch::start());
            self.survey(&around, settings);
        }
        self.tell(&mut around);
        around
    }

    /// Adds what the last survey came to.
    fn tell(&self, around: &mut Surroundings) {
        let Learned { gateways, gateway_macs, lan, resolvers, dhcp_servers, internet_port, placement } =
            self.learned.clone();
        around.lan.extend(lan);
        around.heard_gateways = gateways;
        around.gateway_macs = gateway_macs;
        around.resolvers = resolvers;
        around.dhcp_servers = dhcp_servers;
        around.internet_port = internet_port;
        around.placement = placement;
        around.faults.extend_from_slice(&self.survey_faults);
    }

    /// Listens at the ports, and puts together what was heard and what the kernel knows.
    fn survey(&mut self, around: &Surroundings, settings: &Settings) {
        self.survey_faults.clear();
        let now = self.since_start.elapsed();
        for port in Port::BOTH {
            if let Err(error) = self.listen(port, now) {
                let name = port.of(&self.bridge.ports);
                self.survey_faults.push(format!(
                    "gateways cannot be heard at `{name}`: {error}; list your router in policy.allow until that is mended"
                ));
            }
        }
        let neighbours = self.links.neighbours().unwrap_or_else(|error| {
            self.survey_faults.push(format!("the kernel's neighbours cannot be read: {error}"));
            Vec::new()
        });
        let lan = [&settings.lan[..], &around.lan].concat();
        self.put_together(&Facts { gateways: &around.gateways, neighbours: &neighbours, lan: &lan }, now);
        self.log_losses();
    }

    fn put_together(&mut self, facts: &Facts<'_>, now: Duration) {
        let Self { links, ports, bridge_index, picture, .. } = self;
        let mut refused = None;
        let port_of = |mac| match links.port_of(*bridge_index, mac) {
            Ok(found) => Port::BOTH.into_iter().find(|port| found.is_some() && *port.of(ports) == found),
            Err(error) => {
                refused = Some(error);
                None
            }
        };
        self.learned = picture.look(facts, port_of, now);
        self.survey_faults.extend(refused.map(|error| {
            format!(
                "it cannot be found out which port faces the internet: {error}; set bridge.internet_port in sluice.toml"
            )
        }));
    }

    /// Takes in what was heard at the port since the last survey.
    fn listen(&mut self, port: Port, now: Duration) -> io::Result<()> {
        let [first, second] = &mut self.ears;
        let ear = if port == Port::First { first } else { second };
        // A port that is gone is told of by the packet thread.
        let Some(index) = *port.of(&self.ports) else { return Ok(()) };
        if ear.as_ref().is_none_or(|ear| ear.interface_index() != index) {
            *ear = Some(Ear::open(index)?);
        }
        if let Some(ear) = ear {
            ear.hear(FRAMES_PER_SURVEY, |frame| self.picture.hear(port, frame, now));
        }
        Ok(())
    }

    fn log_losses(&mut self) {
        let frames: u64 = self.ears.iter().flatten().map(Ear::lost).sum();
        let lost = frames + self.picture.refused();
        let (logged, last) = &mut self.lost;
        if lost != *logged && last.is_none_or(|last| last.elapsed() >= LOG_PAUSE) {
            info!("{lost} announcements of gateways and neighbours were left out: there were too many");
            (*logged, *last) = (lost, Some(Stopwatch::start()));
        }
    }

    /// The networks that the bridge has an address in. The kernel gives it a link-local one by itself, which says nothing.
    fn household(&self, addresses: &[(u32, IpNet)]) -> Vec<IpNet> {
        let on_bridge = addresses.iter().filter(|(link, _)| *link == self.bridge_index);
        let networks = on_bridge.map(|(_, network)| network.trunc());
        networks.filter(|network| !matches!(network, IpNet::V6(v6) if v6.addr().is_unicast_link_local())).collect()
    }

    fn mend(&mut self, all: &[Link], around: &mut Surroundings) {
        let ports = self.port_indices(all);
        let is_new = |(now, before): (&Option<u32>, &Option<u32>)| now.is_some() && now != before;
        let is_anew = ports.iter().zip(&self.ports).any(is_new);
        let taken_apart = self.taken_apart(all).filter(|_| !is_anew);
        let may_mend = self.last_mended.is_none_or(|last| last.elapsed() >= MEND_PAUSE);
        let is_to_be_mended = may_mend && taken_apart.as_ref().is_some_and(|taken_apart| taken_apart.is_to_be_mended);
        if is_to_be_mended {
            self.last_mended = Some(Stopwatch::start());
            taken_apart.iter().for_each(|taken_apart| warn!("{}", taken_apart.fault));
        }
        around.faults.extend(taken_apart.map(|taken_apart| taken_apart.fault));
        if is_anew || is_to_be_mended {
            match bridge::ensure(&self.bridge) {
                Ok(_) => around.ports_changed = true,
                // Tried again with the next look, because the indices are not taken over.
                Err(error) => return around.faults.push(error.to_string()),
            }
        }
        self.ports = ports;
        if let Some(bridge) = all.iter().find(|link| link.name == self.bridge.name) {
            self.bridge_index = bridge.index;
        }
        around.own_mac = all.iter().find(|link| link.index == self.bridge_index).and_then(|bridge| bridge.mac);
        around.faults.extend(all.iter().filter(|link| self.is_unplugged(link)).map(|link| {
            format!("port `{}` has no carrier: plug its cable in, or look at what is at its other end", link.name)
        }));
    }

    /// That a port which is there is none of the bridge's, or the bridge is gone: nothing passes then. Whoever made the bridge may have
    /// another one in mind, so only a port that is in none is put back.
    fn taken_apart(&self, all: &[Link]) -> Option<TakenApart> {
        let BridgeConfig { name, ports, .. } = &self.bridge;
        let Some(bridge) = all.iter().find(|link| link.name == *name) else {
            let fault = format!("the bridge `{name}` is gone, and nothing passes; `sluice restart` makes it again");
            return Some(TakenApart { fault, is_to_be_mended: false });
        };
        let outside = all.iter().find(|link| ports.contains(&link.name) && link.master != Some(bridge.index))?;
        let port = &outside.name;
        if outside.master.is_some() {
            let fault =
                format!("port `{port}` is in another bridge than `{name}`, and nothing passes; see `bridge link`");
            return Some(TakenApart { fault, is_to_be_mended: false });
        }
        let pause_s = MEND_PAUSE.as_secs();
        let fault = format!(
            "port `{port}` was taken out of the bridge `{name}` by another program, and nothing passes: it is put back, at most every \
             {pause_s} s; keep that program from the ports of Sluice"
        );
        Some(TakenApart { fault, is_to_be_mended: true })
    }

    /// Whoever looks for the box at an address of a port waits in vain.
    fn tell_stranded(&self, all: &[Link], addresses: &[(u32, IpNet)], around: &mut Surroundings) {
        let ports = all.iter().filter(|link| self.bridge.ports.contains(&link.name));
        let stranded = ports.filter_map(|port| bridge::stranded(port, addresses, &self.bridge.name));
        around.faults.extend(stranded.map(|told| told.join("; ")));
    }

    /// A port that is down is told of by the packet thread.
    fn is_unplugged(&self, link: &Link) -> bool {
        self.bridge.ports.contains(&link.name) && link.is_up && !link.has_carrier
    }

    fn port_indices(&self, all: &[Link]) -> [Option<u32>; 2] {
        self.bridge.ports.each_ref().map(|name| all.iter().find(|link| link.name == *name).map(|link| link.index))
    }
}
