//! The worst verdict so far of each running flow: a flow counts once, however many checkpoints it has.

use traffic::features::ThreatClass;

use super::Verdict;

const BENIGN: Verdict = Verdict { class: ThreatClass::Benign, confidence: 0.0 };

/// Worst verdicts by flow number. As large as the flow table; a flow that outlives as many newer ones as there is room
/// for is forgotten, and may count a second time.
#[derive(Debug)]
pub struct FlowVerdicts(Vec<(u64, Verdict)>);

impl FlowVerdicts {
    /// Room for `capacity` flows, at least one.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self(vec![(u64::MAX, BENIGN); capacity.max(1)])
    }

    /// Takes a verdict in: the worst of the flow before it, and with it. An attack is worse than benign, and of two
    /// attacks the more confident one.
    pub fn record(&mut self, flow: u64, verdict: Verdict) -> (Verdict, Verdict) {
        let place = (flow % self.0.len() as u64) as usize;
        let (owner, worst) = &mut self.0[place];
        let before = if *owner == flow { *worst } else { BENIGN };
        let is_worse = verdict.class != ThreatClass::Benign && verdict.confidence > before.confidence;
        let after = if is_worse || before.class == ThreatClass::Benign { verdict } else { before };
        let after = if after.class == ThreatClass::Benign { BENIGN } else { after };
        (*owner, *worst) = (flow, after);
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
        let scan = verdict(ThreatClass::Scan, 0.6);
        let flood = verdict(ThreatClass::Flood, 0.9);
        assert_eq!(verdicts.record(1, verdict(ThreatClass::Benign, 0.99)), (BENIGN, BENIGN));
        assert_eq!(verdicts.record(1, scan), (BENIGN, scan));
        assert_eq!(verdicts.record(1, verdict(ThreatClass::Benign, 0.99)), (scan, scan));
        assert_eq!(verdicts.record(1, flood), (scan, flood));
        assert_eq!(verdicts.record(1, scan), (flood, flood));
        assert_eq!(verdicts.record(5, scan), (BENIGN, scan), "another flow at the same place begins anew");
    }
}
