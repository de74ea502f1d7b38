//! Where the page is reached from the network: at the configured address, or else at whichever the bridge is given.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use ipnet::IpNet;
use log::{info, warn};

use crate::clock::Stopwatch;
use crate::config::Config;
use crate::linux::links::Links;
use crate::linux::netlink::NetlinkError;
use crate::web::WebServer;

/// How often it is looked whether the page can be opened, or has to move.
const INTERVAL: Duration = Duration::from_secs(1);

/// Opens the page's door, and moves it with the address of the box.
pub(super) struct DoorKeeper {
    site: Site,
    open_at: Option<SocketAddr>,
    looked: Option<Stopwatch>,
    told: bool,
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
        Self { site: Site::of(config), open_at: None, looked: None, told: false }
    }

    /// Takes in where the configuration wants the page.
    pub fn lead_to(&mut self, config: &Config, web: &mut WebServer) {
        if Site::of(config) != self.site {
            web.close_door();
            *self = Self::new(config);
        }
    }

    /// Opens the door as soon as there is an address, and at another one where that has changed.
    pub fn tend(&mut self, web: &mut WebServer) {
        if self.site.port == 0 || self.looked.is_some_and(|looked| looked.elapsed() < INTERVAL) {
            return;
        }
        self.looked = Some(Stopwatch::start());
        let Some(address) = self.address() else { return };
        let wanted = SocketAddr::new(address, self.site.port);
        if self.open_at == Some(wanted) {
            return;
        }
        if self.open_at.take().is_some() {
            web.close_door();
        }
        match web.open_door(wanted) {
            Ok(at) => {
                info!("the page is at http://{at}/");
                (self.open_at, self.told) = (Some(wanted), false);
            }
            Err(error) if !self.told => {
                warn!("{error}; trying on");
                self.told = true;
            }
            Err(_) => {}
        }
    }

    /// Where the page shall be now; where that cannot be told, it stays where it is.
    fn address(&self) -> Option<IpAddr> {
        let open_at = self.open_at.map(|at| at.ip());
        match self.site.address {
            Some(address) => Some(address),
            None => choose(&addresses(&self.site.bridge).ok()?, open_at),
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
