//! Flows: conversations between two endpoints, found by the 5-tuple in either direction.
//!
//! [`Flow`] is what is remembered of one conversation and how a packet changes it; [`FlowTable`] holds them, bounded, and
//! ends those that fell silent. What is done about a change (windows, features) is the extractor's matter.

mod carrier;
mod conversation;
mod key;
mod login;
mod table;
mod unheard;

pub use carrier::Carrier;
pub use conversation::{Change, FlagCounts, Flow, Impression, PerDirection, Sums};
pub use key::{Direction, Endpoint, FlowKey};
pub use login::Login;
pub use table::{FlowTable, Taken};

/// Why a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowEnd {
    /// TCP: FIN from both sides, or from a service with passwords.
    Finished,
    /// TCP: RST, or a SYN in the midst of what was no connection.
    Reset,
    /// No packet for the idle time.
    Idle,
    /// The flow goes on, but this segment of it is over (active time).
    Segment,
    /// The table was full and a newer flow took the place.
    Evicted,
    /// The capture is over.
    Shutdown,
}
