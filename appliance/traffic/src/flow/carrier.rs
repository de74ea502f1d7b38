//! What an initiator may carry data in, past those who look after its traffic: names that it asks for, and pings.

use crate::decode::dns::LongName;
use crate::decode::{IcmpKind, Packet, Transport};

/// That of a flow, as far as was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carrier {
    /// None.
    #[default]
    None,
    /// Long names below the domain of this fingerprint.
    Names(u32),
    /// Pings, the last one of so many bytes behind its header.
    Pings(u32),
}

impl Carrier {
    /// Takes a packet of the initiator in. Gives the long name that it asks about, and its size in bytes where it is a ping of another size
    /// than the one before: who pings sends the same again and again (RFC 792 asks for no more than that it comes back), and data has the
    /// length that it has.
    pub(super) fn take(&mut self, packet: &Packet) -> (Option<LongName>, Option<u32>) {
        match packet.transport {
            Transport::Udp { asked: Some(asked), .. } => {
                *self = Self::Names(asked.domain);
                (Some(asked), None)
            }
            Transport::Icmp(IcmpKind::EchoRequest(_)) => {
                let before = core::mem::replace(self, Self::Pings(packet.payload_len_bytes));
                let is_resized = matches!(before, Self::Pings(_)) && before != *self;
                (None, is_resized.then_some(packet.payload_len_bytes))
            }
            _ => (None, None),
        }
    }
}
