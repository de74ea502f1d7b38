//! What a capture file says of the interface that frames were captured on: their link type and the unit of their times.

use crate::decode::LinkType;
use crate::time::Timestamp;

const NANOS_PER_S: u64 = 1_000_000_000;

/// Where frames were captured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interface {
    /// What the frames begin with.
    pub link: LinkType,
    /// The number of that in the file.
    link_number: u16,
    /// Longest captured length; 0 for no limit.
    pub snap_len_bytes: u32,
    /// Time units in a second, at least 1.
    units_per_s: u64,
    /// Nanoseconds in a time unit, where that is a whole number.
    nanos_per_unit: Option<u64>,
    /// Seconds to be added.
    offset_s: i64,
}

impl Interface {
    /// `None` where a second has no unit.
    pub const fn new(link_number: u16, snap_len_bytes: u32, units_per_s: u64, offset_s: i64) -> Option<Self> {
        let nanos_per_unit = match NANOS_PER_S.checked_rem(units_per_s) {
            None => return None,
            Some(0) => Some(NANOS_PER_S / units_per_s),
            Some(_) => None,
        };
        let link = link_type(link_number);
        Some(Self { link, link_number, snap_len_bytes, units_per_s, nanos_per_unit, offset_s })
    }

    /// The number of a link type that is not known.
    pub fn unknown_link(&self) -> Option<u16> {
        (self.link == LinkType::Unsupported).then_some(self.link_number)
    }

    /// So many units after the epoch.
    #[inline]
    pub fn time(&self, units: u64) -> Timestamp {
        match self.nanos_per_unit {
            Some(nanos) if self.offset_s == 0 => Timestamp::from_nanos(units.saturating_mul(nanos)),
            _ => self.odd_time(units),
        }
    }

    /// So many seconds and units after the epoch.
    #[inline]
    pub fn time_of(&self, seconds: u32, units: u32) -> Timestamp {
        self.time(u64::from(seconds).saturating_mul(self.units_per_s).saturating_add(units.into()))
    }

    fn odd_time(&self, units: u64) -> Timestamp {
        let seconds = (units / self.units_per_s).saturating_add_signed(self.offset_s);
        let part = u128::from(units % self.units_per_s) * u128::from(NANOS_PER_S) / u128::from(self.units_per_s);
        let nanos = u128::from(seconds) * u128::from(NANOS_PER_S) + part;
        Timestamp::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Link types by the number in the file (the tcpdump group's registry of LINKTYPE values).
const fn link_type(number: u16) -> LinkType {
    match number {
        1 => LinkType::Ethernet,
        12 | 14 | 101 | 228 | 229 => LinkType::RawIp,
        113 => LinkType::LinuxCooked,
        276 => LinkType::LinuxCooked2,
        0 | 108 => LinkType::Null,
        9 | 50 => LinkType::Ppp,
        204 => LinkType::PppWithDirection,
        51 => LinkType::Pppoe,
        _ => LinkType::Unsupported,
    }
}
