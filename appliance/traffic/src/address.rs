//! Addresses of both families in one form, as tables are keyed by them.

use core::hash::{Hash, Hasher};
use core::net::{IpAddr, Ipv6Addr};

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

    /// All that a host cannot choose freely: an IPv4 address, or the /64 of an IPv6 address.
    #[must_use]
    pub const fn source(self) -> Self {
        let Self([a, b, c, d]) = self;
        if a == 0 && b == 0 && c == MAPPED { Self([a, b, c, d]) } else { Self([a, b, 0, 0]) }
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
