//! Addresses: IP addresses of both families in one form, as tables are keyed by them, and those of the link.

use core::fmt;
use core::hash::{Hash, Hasher};
use core::net::{IpAddr, Ipv6Addr};
use core::str::FromStr;

/// An Ethernet address (IEEE 802).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// One host has it: it is neither a group address nor all zeros.
    #[must_use]
    pub fn is_of_one_host(self) -> bool {
        let Self([first, ..]) = self;
        first & 1 == 0 && self != Self::default()
    }
}

impl TryFrom<&[u8]> for Mac {
    type Error = NotAMac;

    fn try_from(bytes: &[u8]) -> Result<Self, NotAMac> {
        bytes.try_into().map(Self).map_err(|_| NotAMac)
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([a, b, c, d, e, g]) = self;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = NotAMac;

    /// Six bytes in hexadecimal digits, with colons or hyphens between them.
    fn from_str(text: &str) -> Result<Self, NotAMac> {
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut bytes = [0; 6];
        let mut parts = text.split(separator);
        for byte in &mut bytes {
            let part = parts.next().filter(|part| (1..=2).contains(&part.len())).ok_or(NotAMac)?;
            let is_hexadecimal = part.bytes().all(|digit| digit.is_ascii_hexdigit());
            *byte = u8::from_str_radix(part, 16).ok().filter(|_| is_hexadecimal).ok_or(NotAMac)?;
        }
        if parts.next().is_none() { Ok(Self(bytes)) } else { Err(NotAMac) }
    }
}

/// A text is no Ethernet address, or there are not six bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAMac;

/// An address; IPv4 as IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2). In words of 32 bits, most significant first, which
/// keeps keys small and cheap to hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address([u32; 4]);

/// The third word of an IPv4-mapped address.
const MAPPED: u32 = 0xffff;

impl Address {
    /// The address itself.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        Ipv6Addr::from_bits(self.bits()).to_canonical()
    }

    /// The 128 bits.
    #[must_use]
    pub const fn bits(self) -> u128 {
        let Self([a, b, c, d]) = self;
        (a as u128) << 96 | (b as u128) << 64 | (c as u128) << 32 | d as u128
    }

    /// All that a host cannot choose freely: an IPv4 address, or the /64 of an IPv6 address. Those of a link (fe80::/10, RFC 4291 section
    /// 2.5.6) all have the same one, whosever they are, and stay whole.
    #[must_use]
    pub const fn source(self) -> Self {
        let Self([a, b, c, _]) = self;
        let is_ipv4 = a == 0 && b == 0 && c == MAPPED;
        let is_of_link = a >> 22 == 0xfe80 >> 6;
        if is_ipv4 || is_of_link { self } else { Self([a, b, 0, 0]) }
    }
}

impl Hash for Address {
    /// Word by word: an array would be preceded by its length.
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        for word in self.0 {
            state.write_u32(word);
        }
    }
}

impl From<IpAddr> for Address {
    #[inline]
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self([0, 0, MAPPED, v4.to_bits()]),
            IpAddr::V6(v6) => {
                let bits = v6.to_bits();
                Self([(bits >> 96) as u32, (bits >> 64) as u32, (bits >> 32) as u32, bits as u32])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_what_a_host_cannot_choose_and_neighbours_on_a_link_are_told_apart() {
        let source = |text: &str| Address::from(text.parse::<IpAddr>().expect("an address")).source().ip().to_string();
        for (address, expected) in [
            ("198.51.100.7", "198.51.100.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("fe80::1:2:3", "fe80::1:2:3"),
            ("febf::7", "febf::7"),
            ("fec0::7", "fec0::"),
        ] {
            assert_eq!(source(address), expected);
        }
    }

    #[test]
    fn an_ethernet_address_is_read_as_it_is_written() {
        let mac = Mac([2, 0, 0x5e, 0xff, 0, 0x0a]);
        assert_eq!(mac.to_string(), "02:00:5e:ff:00:0a");
        for text in ["02:00:5e:ff:00:0a", "2:0:5E:FF:0:A", "02-00-5e-ff-00-0a"] {
            assert_eq!(text.parse(), Ok(mac), "{text}");
        }
        for text in
            ["", "02:00:5e:ff:00", "02:00:5e:ff:00:0a:01", "02:00:5e:ff:00:+a", "02:00:5e:ff:00:100", "2001:db8::1"]
        {
            assert_eq!(text.parse::<Mac>(), Err(NotAMac), "{text}");
        }
    }
}
