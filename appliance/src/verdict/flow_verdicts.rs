//! What is remembered of each running flow: its worst verdict so far, since a flow counts once, however many checkpoints it
//! has; and where it began, since the first frame is not at hand at the later ones.

use traffic::address::Mac;
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

/// Where a flow began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The device of the household, where its frames show it.
    pub device: Option<Mac>,
    /// It came in by the port that is known to be the household's.
    pub is_inside: bool,
    /// Its hop limit says that it came through a router.
    pub is_routed: bool,
}

/// A flow, by its number, and what is remembered of it.
#[derive(Clone, Copy, Debug)]
struct Remembered {
    /// The last bits of the number. All that share them with it and have its place are billions of flows apart, and others take
    /// the place meanwhile.
    flow: u32,
    verdict: FlowVerdict,
    /// The worst that the shadow model would have had it taken for; not a [`Verdict`], which would take more room here.
    shadow_class: ThreatClass,
    shadow_confidence: f32,
    /// Not known of a flow whose initiator was not seen sending since it is remembered.
    origin: Option<Origin>,
}

// A table of 65,536 stays at 2 MiB.
const _: () = assert!(size_of::<Remembered>() <= 32);

impl Remembered {
    const fn nothing(flow: u32) -> Self {
        Self { flow, verdict: UNKNOWN, shadow_class: BENIGN.class, shadow_confidence: BENIGN.confidence, origin: None }
    }
}

/// Worst verdicts and origins by flow number. As large as the flow table; a flow that outlives as many newer ones as there is room
/// for is forgotten, and may count a second time.
#[derive(Debug)]
pub struct FlowVerdicts(Vec<Remembered>);

impl FlowVerdicts {
    /// Room for `capacity` flows, at least one.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self(vec![Remembered::nothing(u32::MAX); capacity.max(1)])
    }

    /// What the table takes.
    pub const fn footprint(&self) -> Footprint {
        let bytes = self.0.capacity() * size_of::<Remembered>();
        Footprint { name: "verdicts", entries: self.0.len(), bytes }
    }

    /// Where the flow began, where that is remembered.
    #[must_use]
    pub fn origin(&self, flow: u64) -> Option<Origin> {
        let remembered = &self.0[self.place(flow)];
        if remembered.flow == flow as u32 { remembered.origin } else { None }
    }

    /// Remembers where the flow began.
    pub fn begun(&mut self, flow: u64, origin: Origin) {
        self.remembered(flow).origin = Some(origin);
    }

    /// Takes a verdict in: what the flow was taken for before it, and with it.
    pub fn record(&mut self, flow: u64, verdict: Verdict, proven: bool) -> (FlowVerdict, FlowVerdict) {
        let known = &mut self.remembered(flow).verdict;
        let before = *known;
        if verdict.class != ThreatClass::Benign {
            known.proven |= proven;
            if verdict.confidence > before.worst.confidence {
                known.worst = verdict;
            }
        }
        (before, *known)
    }

    /// Takes a verdict by the shadow model in: the worst that the flow would have been taken for so far.
    pub fn shadowed(&mut self, flow: u64, verdict: Verdict) -> ThreatClass {
        let worst = self.remembered(flow);
        if verdict.class != ThreatClass::Benign && verdict.confidence > worst.shadow_confidence {
            (worst.shadow_class, worst.shadow_confidence) = (verdict.class, verdict.confidence);
        }
        worst.shadow_class
    }

    /// The flow's place, which it takes from whatever flow had it before.
    fn remembered(&mut self, flow: u64) -> &mut Remembered {
        let place = self.place(flow);
        let remembered = &mut self.0[place];
        if remembered.flow != flow as u32 {
            *remembered = Remembered::nothing(flow as u32);
        }
        remembered
    }

    const fn place(&self, flow: u64) -> usize {
        (flow % self.0.len() as u64) as usize
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

    #[test]
    fn an_origin_stays_until_another_flow_takes_the_place() {
        let mut flows = FlowVerdicts::new(4);
        let origin = Origin { device: Some(Mac([2, 0, 0, 0, 0, 1])), is_inside: true, is_routed: false };
        flows.begun(1, origin);
        flows.record(1, BENIGN, false);
        assert_eq!((flows.origin(1), flows.origin(5)), (Some(origin), None));
        flows.record(5, BENIGN, false);
        assert_eq!((flows.origin(1), flows.origin(5)), (None, None));
    }
}
