//! The shadow model beside the active one: how flows were taken, and how they would have been.
//!
//! Rules and lists count for both, so that the difference is the one that the models make.

use traffic::features::ThreatClass;

const CLASSES: usize = ThreatClass::ALL.len();

/// Flows that ended, by what they were taken for and by what the shadow model would have had them taken for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disagreement([[u64; CLASSES]; CLASSES]);

impl Disagreement {
    /// Flows that ended.
    #[must_use]
    pub fn flows(&self) -> u64 {
        self.0.iter().flatten().sum()
    }

    /// All pairs of classes that occurred, agreements too: that of the active model, that of the shadow, and how many flows.
    pub fn pairs(&self) -> impl Iterator<Item = (ThreatClass, ThreatClass, u64)> {
        let row = |(active, row): (ThreatClass, [u64; CLASSES])| {
            ThreatClass::ALL.into_iter().zip(row).map(move |(shadow, flows)| (active, shadow, flows))
        };
        ThreatClass::ALL.into_iter().zip(self.0).flat_map(row).filter(|(_, _, flows)| *flows > 0)
    }

    /// Flows that the models take for different things.
    #[must_use]
    pub fn disagreed(&self) -> u64 {
        self.pairs().filter(|(active, shadow, _)| active != shadow).map(|(_, _, flows)| flows).sum()
    }
}

/// Counts, in constant memory. Only flows that began since the models are in force: of older ones both have not seen the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shadowing {
    counted: Disagreement,
    /// The number of the first flow that counts.
    from_flow: u64,
    /// One more than the highest number seen.
    next_flow: u64,
}

impl Shadowing {
    /// Takes in that a flow of this number is there. Numbers rise in the order of first packets.
    pub fn see(&mut self, flow: u64) {
        self.next_flow = self.next_flow.max(flow + 1);
    }

    /// Takes in what a flow that ended was taken for, and would have been.
    pub fn ended(&mut self, flow: u64, active: ThreatClass, shadow: ThreatClass) {
        let counts = self.counted.0.get_mut(active.number()).and_then(|row| row.get_mut(shadow.number()));
        if let Some(flows) = counts.filter(|_| flow >= self.from_flow) {
            *flows += 1;
        }
    }

    /// Forgets what was counted: the models are others now.
    pub fn begin_anew(&mut self) {
        *self = Self { from_flow: self.next_flow, next_flow: self.next_flow, ..Self::default() };
    }

    /// What was counted.
    #[must_use]
    pub const fn disagreement(&self) -> Disagreement {
        self.counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ThreatClass::{Benign, Flood, Scan};

    #[test]
    fn each_pair_of_classes_is_counted_and_flows_that_were_there_before_are_not() {
        let mut shadowing = Shadowing::default();
        for flow in 0..5 {
            shadowing.see(flow);
        }
        shadowing.begin_anew();
        shadowing.ended(4, Scan, Benign);
        assert_eq!(shadowing.disagreement(), Disagreement::default());
        for (flow, active, shadow) in [(5, Scan, Benign), (6, Scan, Benign), (7, Benign, Benign), (8, Benign, Flood)] {
            shadowing.see(flow);
            shadowing.ended(flow, active, shadow);
        }
        let counted = shadowing.disagreement();
        let pairs: Vec<_> = counted.pairs().collect();
        assert_eq!(pairs, [(Benign, Benign, 1), (Benign, Flood, 1), (Scan, Benign, 2)]);
        assert_eq!((counted.flows(), counted.disagreed()), (4, 3));
    }
}
