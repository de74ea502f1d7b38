//! What goes from the packet thread to the control thread: flows that look like attacks, and what should follow.

use core::net::IpAddr;
use std::sync::Arc;

use traffic::address::Mac;
use traffic::features::{FeatureVector, Index};
use traffic::time::Timestamp;

use super::{Accuser, Action, Alert, Grounds, Subject, Target, Vector};
use crate::verdict::{Basis, Origin, Verdict, explain};

/// A flow that looks like an attack, at a checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct Sighting {
    /// When.
    pub time: Timestamp,
    /// When the flow's last packet came: the features are as of then.
    pub last_packet: Timestamp,
    /// Who began the flow.
    pub source: IpAddr,
    /// Where the flow began.
    pub origin: Option<Origin>,
    /// The other side.
    pub destination: IpAddr,
    /// IP protocol number.
    pub protocol: u8,
    /// The other side's port, for TCP, UDP and SCTP.
    pub port: Option<u16>,
    /// What it looks like.
    pub verdict: Verdict,
    /// What said so.
    pub basis: Basis,
    /// What the verdict was made from: the reason is told from it.
    pub features: FeatureVector,
    /// How many packets the flow had.
    pub flow_packets: u64,
    /// The source's address is proven by a completed handshake.
    pub proven: bool,
}

impl Sighting {
    /// Who did it: a device of the household by its network card, which nobody outside can forge, or else the address.
    #[must_use]
    pub fn offender(&self) -> Subject {
        Subject::offender(self.device(), self.source)
    }

    /// The device of the household that it came from, where its frames show it.
    #[must_use]
    pub fn device(&self) -> Option<Mac> {
        self.origin.and_then(|origin| origin.device)
    }

    /// What it was done to, where that is a service of a single host or a group of neighbours. Fragments without ports show none.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        let is_one_host = self.value(Index::GroupDestination) == 0.0;
        Target::of(self.destination, self.protocol, self.port).filter(|target| is_one_host || target.is_group())
    }

    /// A person wrote that one such flow is enough for a block.
    #[must_use]
    pub const fn suffices(&self) -> bool {
        self.basis.suffices()
    }

    /// One of its features.
    #[must_use]
    pub fn value(&self, index: Index) -> f32 {
        self.features.get(index as usize).copied().unwrap_or_default()
    }

    /// Why it looks like that, in words. Not for the packet path: it makes texts.
    #[must_use]
    pub fn because(&self) -> String {
        explain(self.verdict, self.basis, &self.features)
    }

    /// The sighting as a person sees it, and as it is kept. Not for the packet path either.
    #[must_use]
    pub fn alert(&self, number: u64) -> Alert {
        Alert {
            number,
            time: self.time,
            class: self.verdict.class,
            source: self.source,
            destination: self.destination,
            port: self.port,
            confidence: self.verdict.confidence,
            because: self.because(),
            grounds: Some(Arc::new(self.grounds())),
            label: None,
        }
    }

    fn grounds(&self) -> Grounds {
        Grounds {
            offender: self.offender(),
            protocol: self.protocol,
            proven: self.proven,
            flow_packets: self.flow_packets,
            accuser: Accuser::of(&self.basis),
            vector: match self.basis {
                Basis::Domain { .. } => Vector::Missing,
                Basis::Model(_) | Basis::Rule(_) | Basis::List { .. } => Vector::Features(Box::new(self.features)),
            },
        }
    }
}

/// What follows from evidence. It is a value without references or allocation, so that it can cross to the control thread.
#[derive(Clone, Copy, Debug)]
pub enum Decision {
    /// A person should see this.
    Alert(Sighting),
    /// Something should be done.
    Block {
        /// The flow that tipped the scales.
        sighting: Sighting,
        /// About whom or what.
        subject: Subject,
        /// What.
        action: Action,
        /// How many distinct flows spoke for it.
        evidence_flows: u32,
    },
}
