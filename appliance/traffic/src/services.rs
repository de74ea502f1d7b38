//! What a responder offers, by its port: the little that features need to know of services.

use core::ops::RangeInclusive;

use crate::protocols::{TCP, UDP};

/// TCP ports of services that ask for a password: FTP, SSH, Telnet, POP3, IMAP, SMB, their TLS forms, databases, RDP, VNC.
const LOGIN_PORTS: [u16; 17] =
    [21, 22, 23, 110, 143, 445, 990, 993, 995, 1433, 2222, 2323, 3306, 3389, 5432, 5900, 6379];

/// TCP port of MQTT.
const BROKER_PORT: u16 = 1883;

/// TCP ports of web services.
const WEB_PORTS: [u16; 5] = [80, 443, 8000, 8080, 8443];

/// UDP ports at which nobody listens: traceroute sends each probe to the next one, three for each of at most 64 hops (traceroute(8) of
/// Linux, BSD and busybox).
const TRACE_PORTS: RangeInclusive<u16> = 33_434..=33_625;

/// UDP port of name servers.
pub const DNS_PORT: u16 = 53;

/// The kind of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Asks for a password.
    Login,
    /// The web.
    Web,
    /// Passes on what devices say by MQTT. They may log in for each message, and an accepted log-in takes as few bytes as a refused one:
    /// nothing of it is like guessing but the answers.
    Broker,
    /// Anything else.
    Other,
}

/// How a service talks about a log-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginDialect {
    /// In words (RFC 959).
    Ftp,
    /// Encrypted (RFC 4252).
    Ssh,
    /// In the words that login(1) and busybox say to a person.
    Telnet,
    /// By the status of a session (MS-SMB2 section 2.2.6).
    Smb,
    /// By a code (MQTT 5 section 3.2.2.2).
    Mqtt,
    /// By the status of an answer (RFC 9110 section 15.5.2), where the web is not encrypted.
    Http,
}

impl LoginDialect {
    /// That of the service at the responder's TCP port; `None` where log-ins there are not followed.
    #[must_use]
    pub const fn at(port: u16) -> Option<Self> {
        match port {
            21 => Some(Self::Ftp),
            22 | 2222 => Some(Self::Ssh),
            23 | 2323 => Some(Self::Telnet),
            445 => Some(Self::Smb),
            BROKER_PORT => Some(Self::Mqtt),
            80 | 8000 | 8080 => Some(Self::Http),
            _ => None,
        }
    }
}

impl Service {
    /// The service at the responder's port.
    #[must_use]
    pub fn of(protocol: u8, port: u16) -> Self {
        match protocol {
            TCP if LOGIN_PORTS.contains(&port) => Self::Login,
            TCP if WEB_PORTS.contains(&port) => Self::Web,
            TCP if port == BROKER_PORT => Self::Broker,
            _ => Self::Other,
        }
    }

    /// A port at which one expects a service and not a client: those below 1024 (RFC 6335 section 6), and the lists above.
    #[must_use]
    pub fn is_offered_at(port: u16) -> bool {
        port < 1024 || Self::of(TCP, port) != Self::Other
    }
}

/// The port as which it counts among those that somebody tried: all of traceroute's are one, for who asks for the way to a host does not
/// search it.
#[must_use]
pub fn tried_port(protocol: u8, port: u16) -> u16 {
    if protocol == UDP && TRACE_PORTS.contains(&port) { *TRACE_PORTS.start() } else { port }
}
