//! Whether a request may come from where its browser says. A page elsewhere can make a browser in the house send
//! requests here, and by answering for its own name with our address (DNS rebinding) even read the answers.

use core::net::IpAddr;

/// Whether the Host header names this box: an address, `localhost`, or a configured name. A rebound name is neither.
pub(super) fn is_own_host(host: &str, host_names: &[String]) -> bool {
    let name = without_port(host);
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    bare.unwrap_or(name).parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || host_names.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// Whether the Origin header names the same host as the Host header. Over plain HTTP a proxy for HTTPS may stand before.
pub(super) fn is_same_origin(origin: &str, host: &str) -> bool {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| !host.is_empty() && authority.eq_ignore_ascii_case(host))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_localhost_and_configured_names_are_own_hosts() {
        let names = ["sluice.lan".to_owned()];
        for host in ["192.0.2.1", "192.0.2.1:8080", "[2001:db8::1]:8080", "[::1]", "localhost:8080", "Sluice.LAN"] {
            assert!(is_own_host(host, &names), "{host}");
        }
        for host in ["evil.example", "evil.example:8080", "192.0.2.1.evil.example", "", ":8080", "sluice.lan.evil"] {
            assert!(!is_own_host(host, &names), "{host}");
        }
    }

    #[test]
    fn an_origin_must_be_the_host_to_the_letter_of_its_port() {
        assert!(is_same_origin("http://192.0.2.1:8080", "192.0.2.1:8080"));
        assert!(is_same_origin("https://sluice.lan", "Sluice.lan"));
        for (origin, host) in [
            ("null", "192.0.2.1:8080"),
            ("", ""),
            ("http://", ""),
            ("http://192.0.2.1", "192.0.2.1:8080"),
            ("http://192.0.2.1:8081", "192.0.2.1:8080"),
            ("http://evil.example", "192.0.2.1:8080"),
            ("file://192.0.2.1:8080", "192.0.2.1:8080"),
        ] {
            assert!(!is_same_origin(origin, host), "{origin}");
        }
    }
}
