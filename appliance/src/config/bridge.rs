//! `[bridge]`: names that there can be, and a way out that leads out.

use core::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize as _;

use super::{Bridge, FOUND_OUT};

/// Programs ask no more than these (`MAXNS` in `resolv.h`).
const MOST_NAME_SERVERS: usize = 3;

/// What no single value shows to be wrong: the key and what to do.
pub(super) fn contradiction(bridge: &Bridge) -> Option<(&'static str, String)> {
    ports(bridge).or_else(|| gateway(bridge)).or_else(|| name_servers(bridge))
}

fn ports(bridge: &Bridge) -> Option<(&'static str, String)> {
    let Bridge { name, ports, internet_port, .. } = bridge;
    let named = [("bridge.name", name), ("bridge.ports", &ports[0]), ("bridge.ports", &ports[1])];
    if let Some((key, name)) = named.into_iter().find(|(_, name)| !is_interface_name(name)) {
        let what = format!("`{name}` is no interface name: 1 to 15 letters, digits, `-`, `_`, `.` or `@`");
        return Some((key, what));
    }
    let [first, second] = ports;
    if first == second || ports.contains(name) {
        return Some((
            "bridge.ports",
            String::from("name two different interfaces, neither of them the bridge itself"),
        ));
    }
    if internet_port != FOUND_OUT && !ports.contains(internet_port) {
        let what = format!(
            "`{internet_port}` is none of bridge.ports; give \"{first}\", \"{second}\", or \"{FOUND_OUT}\" to have it found out"
        );
        return Some(("bridge.internet_port", what));
    }
    None
}

fn gateway(bridge: &Bridge) -> Option<(&'static str, String)> {
    let Bridge { addresses, gateway, .. } = bridge;
    if [IpAddr::is_ipv4, IpAddr::is_ipv6].iter().any(|family| gateway.iter().filter(|it| family(it)).count() > 1) {
        return Some(("bridge.gateway", String::from("give one of IPv4 and one of IPv6 at most")));
    }
    for gateway in gateway {
        if addresses.iter().any(|address| address.addr() == *gateway) {
            let what = format!("`{gateway}` is the box itself (bridge.addresses); give the address of your router");
            return Some(("bridge.gateway", what));
        }
        if !is_near(*gateway, addresses) {
            let networks: Vec<String> = addresses.iter().map(|address| address.trunc().to_string()).collect();
            let networks = if networks.is_empty() { String::from("none") } else { networks.join(", ") };
            let what = format!(
                "`{gateway}` is in no network of bridge.addresses ({networks}); give the router's address there, or the box one in \
                 the router's network"
            );
            return Some(("bridge.gateway", what));
        }
    }
    None
}

/// Whether the box can reach it without another router. Routers of IPv6 mostly announce themselves by an address that holds on
/// one link alone (fe80::/10).
fn is_near(gateway: IpAddr, addresses: &[IpNet]) -> bool {
    match gateway {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => addresses.iter().any(|address| address.addr().is_ipv6()),
        _ => addresses.iter().any(|address| address.contains(&gateway)),
    }
}

fn name_servers(bridge: &Bridge) -> Option<(&'static str, String)> {
    if bridge.name_servers.len() > MOST_NAME_SERVERS {
        return Some(("bridge.name_servers", format!("give {MOST_NAME_SERVERS} at most: programs ask no more")));
    }
    if bridge.addresses.is_empty() && !bridge.name_servers.is_empty() {
        let what =
            "without bridge.addresses the box is told its name servers by DHCP; give it an address, or leave them out";
        return Some(("bridge.name_servers", String::from(what)));
    }
    None
}

/// What Linux takes as the name of an interface, less what would confuse a reader.
fn is_interface_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    (1..=15).contains(&name.len()) && name.chars().all(allowed) && name != "." && name != ".."
}

/// Exactly two names.
pub(super) fn two_names<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<[String; 2], D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    names.try_into().map_err(|names: Vec<String>| {
        let what = format!("name two ports, such as [\"eth0\", \"eth1\"], not {}", names.len());
        serde::de::Error::custom(what)
    })
}

/// Addresses of the box, each with the length of its prefix.
pub(super) fn own_addresses<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let own = |text: &String| {
        text.parse().map_err(|_| match text.parse() {
            Ok(IpAddr::V4(v4)) => format!("`{v4}` has no prefix length; write it with one, such as {v4}/24"),
            Ok(IpAddr::V6(v6)) => format!("`{v6}` has no prefix length; write it with one, such as {v6}/64"),
            Err(_) => format!("`{text}` is no address with its prefix length (198.51.100.2/24, 2001:db8:1::2/64)"),
        })
    };
    texts.iter().map(own).collect::<Result<_, _>>().map_err(serde::de::Error::custom)
}

/// Addresses of hosts.
pub(super) fn addresses<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<IpAddr>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let address = |text: &String| {
        let wrong = |_| serde::de::Error::custom(format!("`{text}` is no address (198.51.100.1, 2001:db8:1::1)"));
        text.parse().map_err(wrong)
    };
    texts.iter().map(address).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;

    fn refusal(lines: &str) -> String {
        let text = format!("[bridge]\naddresses = [\"198.51.100.2/24\", \"2001:db8:1::2/64\"]\n{lines}\n");
        Config::parse(&text, Path::new("sluice.toml")).err().map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn a_way_out_leads_by_a_neighbour_of_each_family() {
        for gateways in [r#"[]"#, r#"["198.51.100.1"]"#, r#"["2001:db8:1::1", "198.51.100.1"]"#, r#"["fe80::1"]"#] {
            assert_eq!(refusal(&format!("gateway = {gateways}")), "", "{gateways}");
        }
        for (gateways, told) in [
            (
                r#"["198.51.101.1"]"#,
                "`198.51.101.1` is in no network of bridge.addresses (198.51.100.0/24, 2001:db8:1::/64)",
            ),
            (r#"["2001:db8:2::1"]"#, "`2001:db8:2::1` is in no network"),
            (r#"["198.51.100.2"]"#, "`198.51.100.2` is the box itself"),
            (r#"["198.51.100.1", "198.51.100.3"]"#, "one of IPv4 and one of IPv6 at most"),
        ] {
            let refusal = refusal(&format!("gateway = {gateways}"));
            assert!(
                refusal.starts_with("sluice.toml:3: bridge.gateway: ") && refusal.contains(told),
                "{gateways}: {refusal}"
            );
        }
    }

    #[test]
    fn names_are_no_addresses() {
        assert!(refusal(r#"gateway = ["router"]"#).contains("gateway: `router` is no address (198.51.100.1, "));
        assert!(
            refusal(r#"name_servers = ["198.51.100.0/24"]"#).contains("name_servers: `198.51.100.0/24` is no address")
        );
    }

    #[test]
    fn a_way_out_needs_an_address_of_the_box() {
        for (lines, told) in [
            ("gateway = [\"198.51.100.1\"]", "in no network of bridge.addresses (none)"),
            ("gateway = [\"fe80::1\"]", "in no network of bridge.addresses (none)"),
            ("name_servers = [\"198.51.100.1\"]", "is told its name servers by DHCP"),
        ] {
            let refused =
                Config::parse(&format!("[bridge]\n{lines}\n"), Path::new("sluice.toml")).unwrap_err().to_string();
            assert!(refused.starts_with("sluice.toml:2: bridge.") && refused.contains(told), "{refused}");
        }
    }

    #[test]
    fn as_many_name_servers_are_taken_as_are_asked() {
        assert_eq!(refusal(r#"name_servers = ["198.51.100.1", "203.0.113.53", "2001:db8:1::53"]"#), "");
        let told = refusal(r#"name_servers = ["198.51.100.1", "203.0.113.53", "203.0.113.54", "203.0.113.55"]"#);
        assert!(told.contains("bridge.name_servers: give 3 at most"), "{told}");
    }
}
