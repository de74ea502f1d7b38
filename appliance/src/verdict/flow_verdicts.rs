//! The worst verdict so far of each running flow: a flow counts once, however many checkpoints it has.

use traffic::arena::Footprint;
use traffic::features::ThreatClass;

use super::Verdict;

const BENIGN: Verdict = Verdict { class: ThreatClass::Benign, confidence: 0.0 };

/// What a flow has been taken for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlowVerdict {
    /// The worst of its verdicts: an attack is worse than benign, and of two attacks the more confident one.
    pub worst: Verdict,
    /// It looked like an attack when its initiator's address was proven.
    pub proven: bool,
}

const UNKNOWN: FlowVerdict = FlowVerdict { worst: BENIGN, proven: false };

/// Worst verdicts by flow number. As large as the flow table; a flow that outlives as many newer ones as there is room
/// for is forgotten, and may count a second time.
#[derive(Debug)]
pub struct FlowVerdicts(Vec<(u64, FlowVerdict)>);

impl FlowVerdicts {
    /// Room for `capacity` flows, at least one.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self(vec![(u64::MAX, UNKNOWN); capacity.max(1)])
    }

    /// What the table takes.
    pub const fn footprint(&self) -> Footprint {
        let bytes = self.0.capacity() * size_of::<(u64, FlowVerdict)>();
        Footprint { name: "verdicts", entries: self.0.len(), bytes }
    }

    /// Takes a verdict in: what the flow was taken for before it, and with it.
    pub fn record(&mut self, flow: u64, verdict: Verdict, proven: bool) -> (FlowVerdict, FlowVerdict) {
        let place = (flow % self.0.len() as u64) as usize;
        let (owner, known) = &mut self.0[place];
        let before = if *owner == flow { *known } else { UNKNOWN };
        let mut after = before;
        if verdict.class != ThreatClass::Benign {
            after.proven |= proven;
            if verdict.confidence > before.worst.confidence {
                after.worst = verdict;
            }
        }
        (*owner, *known) = (flow, after);
        (before, after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attack_stays_and_the_more_confident_one_wins() {
        let mut verdicts = FlowVerdicts::new(4);
        let verdict = |class, confidence| Verdict { class, confidence };
        let known = |worst, proven| FlowVerdict { worst, proven };
        let benign = verdict(ThreatClass::Benign, 0.99);
        let scan = verdict(ThreatClass::Scan, 0.6);
        let flood = verdict(ThreatClass::Flood, 0.9);
        assert_eq!(verdicts.record(1, benign, true), (UNKNOWN, UNKNOWN));
        assert_eq!(verdicts.record(1, scan, false), (UNKNOWN, known(scan, false)));
        assert_eq!(verdicts.record(1, benign, true), (known(scan, false), known(scan, false)));
        assert_eq!(verdicts.record(1, flood, true), (known(scan, false), known(flood, true)));
        assert_eq!(verdicts.record(1, scan, false), (known(flood, true), known(flood, true)));
        assert_eq!(verdicts.record(5, scan, false), (UNKNOWN, known(scan, false)), "another flow at the same place");
    }
}
