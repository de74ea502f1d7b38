//! `[web]`: a port that there can be, and names of hosts.

use core::net::IpAddr;

use serde::Deserialize as _;

/// A port, or 0 for none.
pub(super) fn port<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let number = i64::deserialize(deserializer)?;
    let wrong = |_| {
        serde::de::Error::custom(format!("{number} is no port; give a number from 0 to {}, 0 for no page", u16::MAX))
    };
    u16::try_from(number).map_err(wrong)
}

/// Names as a browser sends them: without the rest of an address of the web.
pub(super) fn host_names<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let wrong = |name: &String| {
        format!("`{name}` is no name of a host; give the name alone, such as sluice.lan, without http:// and port")
    };
    match names.iter().find(|name| !is_host_name(name)) {
        Some(name) => Err(serde::de::Error::custom(wrong(name))),
        None => Ok(names),
    }
}

fn is_host_name(name: &str) -> bool {
    let is_named = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    name.parse::<IpAddr>().is_ok() || !name.is_empty() && name.chars().all(is_named)
}
