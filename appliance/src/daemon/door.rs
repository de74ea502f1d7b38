//! Where the page is reached from the network: at the configured address, or else at whichever the bridge is given.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::io::ErrorKind;

use ipnet::IpNet;
use log::{info, warn};

use crate::clock::Stopwatch;
use crate::config::Config;
use crate::hardware::bridge::is_of_the_link;
use crate::health::Gauges;
use crate::linux::links::Links;
use crate::linux::netlink::NetlinkError;
use crate::web::{WebError, WebServer};

/// How often it is looked whether the page can be opened, or has to move.
const INTERVAL: Duration = Duration::from_secs(1);

/// Opens the page's door, and moves it with the address of the box.
pub(super) struct DoorKeeper {
    site: Site,
    open_at: Option<SocketAddr>,
    looked: Option<Stopwatch>,
    /// Why it is not open, as it was told last.
    fault: Option<String>,
}

/// What the configuration says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Site {
    /// 0 for no page.
    port: u16,
    /// Without one: an address of the bridge, such as a DHCP client gives it.
    address: Option<IpAddr>,
    bridge: String,
}

impl Site {
    fn of(config: &Config) -> Self {
        let address = config.bridge.addresses.first().map(IpNet::addr);
        Self { port: config.web.listen_port, address, bridge: config.bridge.name.clone() }
    }
}

impl DoorKeeper {
    pub fn new(config: &Config) -> Self {
        Self { site: Site::of(config), open_at: None, looked: None, fault: None }
    }

    /// Takes in where the configuration wants the page.
    pub fn lead_to(&mut self, config: &Config, web: &mut WebServer) {
        if Site::of(config) != self.site {
            web.close_door();
            *self = Self::new(config);
        }
    }

    /// Opens the door as soon as there is an address, and at another one where that has changed; what became of it is told.
    pub fn tend(&mut self, web: &mut WebServer, gauges: &Gauges) {
        if self.looked.is_some_and(|looked| looked.elapsed() < INTERVAL) {
            return;
        }
        self.looked = Some(Stopwatch::start());
        let opened = if self.site.port == 0 { Ok(None) } else { self.open(web) };
        gauges.page.set(opened.as_ref().ok().copied().flatten());
        let fault = opened.err();
        if let Some(fault) = &fault
            && self.fault.as_ref() != Some(fault)
        {
            warn!("{fault}; trying on");
        }
        gauges.page_fault.set(fault.clone());
        self.fault = fault;
    }

    /// Where the page is now; none without an address. What is wrong where it should be reached and is not.
    fn open(&mut self, web: &mut WebServer) -> Result<Option<SocketAddr>, String> {
        let Some(address) = self.address()? else { return Ok(None) };
        let wanted = SocketAddr::new(address, self.site.port);
        if self.open_at == Some(wanted) {
            return Ok(self.open_at);
        }
        if self.open_at.take().is_some() {
            web.close_door();
        }
        let at = web.open_door(wanted).map_err(|error| self.refusal(&error))?;
        info!("the page is at http://{at}/");
        self.open_at = Some(wanted);
        Ok(self.open_at)
    }

    /// Where the page shall be now. Where that cannot be told, it stays where it is; without any address there is nowhere to open it.
    fn address(&self) -> Result<Option<IpAddr>, String> {
        let open_at = self.open_at.map(|at| at.ip());
        if self.site.address.is_some() {
            return Ok(self.site.address);
        }
        let Ok(addresses) = addresses(&self.site.bridge) else { return Ok(open_at) };
        let chosen = choose(&addresses, open_at);
        let others: Vec<String> = addresses.iter().filter(|it| !is_of_the_link(**it)).map(IpAddr::to_string).collect();
        if chosen.is_none() && !others.is_empty() {
            return Err(format!(
                "the page is not open: the internet may reach {}, and {} has no other address; give it one of your household, or set \
                 bridge.addresses in sluice.toml",
                others.join(" and "),
                self.site.bridge
            ));
        }
        Ok(chosen)
    }

    fn refusal(&self, error: &WebError) -> String {
        let Self { site: Site { bridge, .. }, .. } = self;
        match error {
            WebError::Listen { address, cause } if cause.kind() == ErrorKind::AddrInUse => format!(
                "the page is not open: another program listens at {address}; set another web.listen_port in sluice.toml, or end it"
            ),
            WebError::Listen { address, cause } if cause.kind() == ErrorKind::AddrNotAvailable => format!(
                "the page is not open: {bridge} does not have the address {}; set bridge.addresses in sluice.toml to one that it has",
                address.ip()
            ),
            other => format!("the page is not open: {other}"),
        }
    }
}

/// The addresses of an interface.
fn addresses(interface: &str) -> Result<Vec<IpAddr>, NetlinkError> {
    let mut links = Links::open()?;
    let index = links.all()?.iter().find(|link| link.name == interface).map(|link| link.index);
    let all = links.addresses()?;
    Ok(all.iter().filter(|(link, _)| Some(*link) == index).map(|(_, network)| network.addr()).collect())
}

/// Whether only a household reaches this address. At one of the internet there is no page unless it is configured. Networks for
/// documentation (RFC 5737, RFC 3849) are nobody's, and stand for a household in examples and laboratories.
fn is_of_a_household(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_documentation(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.segments().starts_with(&[0x2001, 0xdb8]),
    }
}

/// The address for the page: the one that it has already, or else the first of IPv4, which people can type, or of IPv6.
fn choose(addresses: &[IpAddr], open_at: Option<IpAddr>) -> Option<IpAddr> {
    let is_usable = |address: &&IpAddr| is_of_a_household(**address);
    let usable = || addresses.iter().filter(is_usable).copied();
    usable().find(|address| Some(*address) == open_at).or_else(|| usable().min_by_key(IpAddr::is_ipv6))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose_of(addresses: &[&str], open_at: Option<&str>) -> Option<String> {
        let parse = |text: &str| text.parse::<IpAddr>().unwrap();
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| parse(text)).collect();
        choose(&addresses, open_at.map(parse)).map(|address| address.to_string())
    }

    #[test]
    fn the_page_is_at_the_first_address_that_the_household_can_reach() {
        assert_eq!(choose_of(&[], None), None);
        assert_eq!(choose_of(&["fe80::1", "169.254.3.4"], None), None);
        assert_eq!(choose_of(&["8.8.8.8", "2a00::1"], None), None, "the internet must not reach it");
        let addresses = ["fe80::1", "2001:db8:1::2", "198.51.100.2", "198.51.100.3"];
        assert_eq!(choose_of(&addresses, None).as_deref(), Some("198.51.100.2"));
        assert_eq!(choose_of(&addresses[..2], None).as_deref(), Some("2001:db8:1::2"));
    }

    #[test]
    fn the_page_stays_where_it_is_while_the_box_has_that_address() {
        let addresses = ["198.51.100.2", "198.51.100.3"];
        assert_eq!(choose_of(&addresses, Some("198.51.100.3")).as_deref(), Some("198.51.100.3"));
        assert_eq!(choose_of(&addresses[..1], Some("198.51.100.3")).as_deref(), Some("198.51.100.2"));
    }
}
