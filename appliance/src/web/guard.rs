//! Whether a request may come from where its browser says. A page elsewhere can make a browser in the house send
//! requests here, and by answering for its own name with our address (DNS rebinding) even read the answers.

use core::net::IpAddr;

/// What routers and devices put behind the name of a machine at home. None of them is a domain that somebody on the internet could
/// have: `home.arpa` and `local` are set aside (RFC 8375, RFC 6762), and `lan` is nobody's.
const DOMAINS_AT_HOME: [&str; 3] = ["local", "lan", "home.arpa"];

/// Whether the Host header names this box: an address, `localhost`, a configured name, or the machine's own one, as it is or as it is
/// known at home. A rebound name is none of these.
pub(super) fn is_own_host(host: &str, host_names: &[String], machine: &str) -> bool {
    let name = without_port(host);
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    bare.unwrap_or(name).parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || host_names.iter().any(|own| own.eq_ignore_ascii_case(name))
        || is_machine(name, machine)
}

fn is_machine(name: &str, machine: &str) -> bool {
    let label = machine.split('.').next().unwrap_or_default();
    let is_at_home = match name.split_once('.') {
        Some((first, domain)) => {
            first.eq_ignore_ascii_case(label) && DOMAINS_AT_HOME.iter().any(|known| known.eq_ignore_ascii_case(domain))
        }
        None => name.eq_ignore_ascii_case(label),
    };
    !label.is_empty() && (is_at_home || name.eq_ignore_ascii_case(machine))
}

/// The machine's own name; empty where it has none.
pub(super) fn machine_name() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
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
            assert!(is_own_host(host, &names, ""), "{host}");
        }
        for host in ["evil.example", "evil.example:8080", "192.0.2.1.evil.example", "", ":8080", "sluice.lan.evil"] {
            assert!(!is_own_host(host, &names, ""), "{host}");
        }
    }

    #[test]
    fn the_machines_own_name_is_its_own_host_as_it_is_known_at_home_and_nowhere_else() {
        let is_own = |host: &str, machine: &str| is_own_host(host, &[], machine);
        for host in ["box", "box:8080", "BOX.lan:8080", "box.local", "box.home.arpa"] {
            assert!(is_own(host, "box") && is_own(host, "box.example.org"), "{host}");
            assert!(!is_own(host, "") && !is_own(host, "bo"), "{host}");
        }
        assert!(is_own("box.example.org:8080", "box.example.org"));
        for host in ["box.example.org", "box.lan.evil.example", "evil.box.lan", "evil.lan", ".lan", "box.", "box.com"] {
            assert!(!is_own(host, "box"), "{host}");
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
