//! From labelled captures to rows: the daemon's own reader, decoder and extractor, and a label for each flow.
//!
//! What a label speaks of depends on how it was given (`label_granularity`), and never goes further than the attacker's
//! own doing:
//!
//! | granularity | an attack is | not counted |
//! |---|---|---|
//! | all | every flow | flows that somebody else than the attacker began, where they are known; flows that the victim began |
//! | pair | a flow that an attacker began towards a victim | other flows with the attacker, or begun by the victim |
//! | destination | a flow that anybody but the victim began towards the victim | flows that the victim began |
//! | host | none that is known to be one | every flow |
//! | all, of harmless traffic | – every flow is harmless | – |
//!
//! Whatever is left over in an attack capture is harmless in a corpus whose makers know what else went on, and not
//! counted in others (`background` of the recipe). A flow of which only the answers were captured is nobody's doing.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::net::IpAddr;
use std::path::PathBuf;

use traffic::capture_file::{CaptureError, CaptureFile};
use traffic::decode::Frame;
use traffic::extractor::{Extractor, Observation};
use traffic::limits::Limits;
use traffic::time::Timestamp;

use crate::corpus::{Granularity, LabelledCapture, Scope};
use crate::recipe::Background;
use crate::rows::{Capture, Row, Rows};

/// The label of harmless traffic.
pub const BENIGN: &str = "benign";

/// Keys the hash tables. Any number will do, as long as it is always the same one.
const SEED: [u64; 2] = [0x736c_7569_6365, 0x726f_7773];

/// Why a capture gives no rows.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// It cannot be opened.
    #[error("cannot open {path}")]
    Open {
        /// The capture.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is no capture at all.
    #[error("cannot read {path}")]
    NotACapture {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: CaptureError,
    },
}

/// What a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// What the label of the capture says.
    Labelled,
    /// Harmless.
    Benign,
    /// Unknown: it gives no row.
    Unknown,
}

/// Adds the rows of a capture. A capture that is cut off gives what stands before the cut, and the complaint is
/// returned.
///
/// # Errors
/// There is no such file, or it is no capture.
pub fn extract(capture: &LabelledCapture, rows: &mut Rows) -> Result<Option<CaptureError>, ExtractError> {
    let path = || capture.path.clone();
    let file = File::open(&capture.path).map_err(|source| ExtractError::Open { path: path(), source })?;
    let mut reader = CaptureFile::new(file).map_err(|source| ExtractError::NotACapture { path: path(), source })?;
    let place = rows.captures.len();
    rows.captures.push(Capture { name: capture.name.clone(), source: capture.source.clone() });
    let labels = (rows.label(&capture.label), rows.label(BENIGN));
    let mut initiators = HashMap::new();
    let mut keep = |observation: &Observation<'_>| {
        let label = match verdict(&capture.label, &capture.scope, observation) {
            Verdict::Labelled => labels.0,
            Verdict::Benign => labels.1,
            Verdict::Unknown => return,
        };
        let next = initiators.len() as u64;
        let initiator = *initiators.entry(observation.initiator).or_insert(next);
        let &Observation { flow, packets, features, .. } = observation;
        rows.rows.push(Row { capture: place, label, initiator, flow, packets, features: *features });
    };
    Ok(run(&mut reader, &mut keep))
}

/// When the attack of a capture begins: at the first packet of the first flow that its label speaks of. None where it speaks of
/// none, or the capture cannot be read.
#[must_use]
pub fn attack_begins(capture: &LabelledCapture) -> Option<Timestamp> {
    let mut reader = CaptureFile::new(File::open(&capture.path).ok()?).ok()?;
    let mut extractor = Extractor::new(&Limits::default(), SEED);
    let begins = Cell::new(None);
    // A flow gives a row at its first packet.
    let mut look = |observation: &Observation<'_>| {
        if begins.get().is_none() && verdict(&capture.label, &capture.scope, observation) == Verdict::Labelled {
            begins.set(Some(observation.time));
        }
    };
    let mut step = |time, frame: &Frame<'_>| _ = extractor.frame(frame, time, &mut look);
    while begins.get().is_none() && reader.next_frame(&mut step).is_ok_and(|is_frame| is_frame) {}
    begins.get()
}

/// Who is at the ends of the flows that a label speaks of.
#[derive(Debug, Default)]
pub struct Parties {
    /// Those who began such flows and do nothing else in the capture: they completed no handshake, so that their addresses may be
    /// forged, began no other flow, and nobody began one towards them.
    pub senders: HashSet<IpAddr>,
    /// Those towards whom such flows were begun.
    pub receivers: HashSet<IpAddr>,
}

/// The parties of a capture's attack, as far as the capture can be read.
#[must_use]
pub fn parties(capture: &LabelledCapture) -> Parties {
    let mut parties = Parties::default();
    let mut others = HashSet::new();
    let mut look = |observation: &Observation<'_>| {
        let &Observation { initiator, responder, begun, proven, .. } = observation;
        let is_labelled = verdict(&capture.label, &capture.scope, observation) == Verdict::Labelled;
        if is_labelled {
            parties.senders.insert(initiator);
            parties.receivers.insert(responder);
        }
        if begun {
            others.insert(responder);
        }
        if begun && (proven || !is_labelled) {
            others.insert(initiator);
        }
    };
    let reader = File::open(&capture.path).ok().and_then(|file| CaptureFile::new(file).ok());
    if let Some(mut reader) = reader {
        // What stands before a cut counts.
        run(&mut reader, &mut look);
    }
    parties.senders.retain(|sender| !others.contains(sender));
    parties
}

/// Puts a capture through the extractor, as a replay of the daemon does.
fn run(reader: &mut CaptureFile, keep: &mut dyn FnMut(&Observation<'_>)) -> Option<CaptureError> {
    let mut extractor = Extractor::new(&Limits::default(), SEED);
    let complaint = loop {
        // What cannot be decoded gives no row.
        let next = reader.next_frame(&mut |time, frame| _ = extractor.frame(frame, time, keep));
        match next {
            Ok(true) => {}
            Ok(false) => break None,
            Err(complaint) => break Some(complaint),
        }
    };
    extractor.finish(keep);
    complaint
}

fn verdict(label: &str, scope: &Scope, observation: &Observation<'_>) -> Verdict {
    if label == BENIGN {
        return Verdict::Benign;
    }
    if !observation.begun {
        return Verdict::Unknown;
    }
    let (initiator, responder) = (observation.initiator, observation.responder);
    let by_attacker = scope.is_attacker(initiator);
    let by_victim = scope.is_victim(initiator);
    let at_victim = scope.is_victim(responder);
    match scope.granularity {
        Granularity::All if by_attacker => Verdict::Labelled,
        Granularity::All if scope.attackers.is_empty() && !by_victim => Verdict::Labelled,
        Granularity::All | Granularity::Host => Verdict::Unknown,
        Granularity::Pair if by_attacker && at_victim => Verdict::Labelled,
        Granularity::Destination if at_victim && !by_victim => Verdict::Labelled,
        _ if by_attacker || by_victim || scope.is_attacker(responder) => Verdict::Unknown,
        _ if scope.background == Background::Benign => Verdict::Benign,
        _ => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;
    use traffic::features::FEATURE_COUNT;

    use super::*;

    const ATTACKER: &str = "192.0.2.66";
    const VICTIM: &str = "198.51.100.1";
    const OTHER: &str = "203.0.113.9";

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn scope(granularity: Granularity, background: Background) -> Scope {
        let [attackers, victims] = [ATTACKER, VICTIM].map(|host| vec![IpNet::from(address(host))]);
        Scope { granularity, attackers, victims, background }
    }

    fn observation(from: &str, to: &str, begun: bool) -> Observation<'static> {
        Observation {
            time: traffic::time::Timestamp::EPOCH,
            last_packet: traffic::time::Timestamp::EPOCH,
            flow: 0,
            initiator: address(from),
            responder: address(to),
            initiator_port: None,
            responder_port: None,
            protocol: 1,
            vlan: None,
            sender: None,
            packets: 1,
            begun,
            proven: false,
            meagre_login: false,
            end: None,
            features: &[0.0; FEATURE_COUNT],
        }
    }

    fn said(granularity: Granularity, background: Background, from: &str, to: &str, begun: bool) -> Verdict {
        verdict("scan", &scope(granularity, background), &observation(from, to, begun))
    }

    #[test]
    fn the_label_of_a_pair_reaches_what_the_attacker_began_towards_the_victim_only() {
        let pair = |from, to| said(Granularity::Pair, Background::Drop, from, to, true);
        assert_eq!(pair(ATTACKER, VICTIM), Verdict::Labelled);
        for (from, to) in [(VICTIM, ATTACKER), (ATTACKER, OTHER), (OTHER, ATTACKER), (VICTIM, OTHER), (OTHER, VICTIM)] {
            assert_eq!(pair(from, to), Verdict::Unknown, "{from} to {to}");
        }
    }

    #[test]
    fn what_others_do_is_harmless_only_where_the_corpus_says_so() {
        let known = |from, to| said(Granularity::Pair, Background::Benign, from, to, true);
        assert_eq!(known(OTHER, VICTIM), Verdict::Benign);
        assert_eq!(known(OTHER, "203.0.113.10"), Verdict::Benign);
        for (from, to) in [(VICTIM, ATTACKER), (ATTACKER, OTHER), (OTHER, ATTACKER), (VICTIM, OTHER)] {
            assert_eq!(known(from, to), Verdict::Unknown, "{from} to {to}");
        }
    }

    #[test]
    fn the_label_of_a_destination_reaches_what_anybody_sends_there() {
        let towards = |from, to| said(Granularity::Destination, Background::Drop, from, to, true);
        assert_eq!(towards(OTHER, VICTIM), Verdict::Labelled);
        assert_eq!(towards(VICTIM, OTHER), Verdict::Unknown);
        assert_eq!(towards(VICTIM, VICTIM), Verdict::Unknown, "the victim talking to itself");
        assert_eq!(towards(OTHER, "203.0.113.10"), Verdict::Unknown);
    }

    #[test]
    fn the_label_of_a_whole_capture_reaches_what_the_attacker_began_or_everybody_if_the_attacker_is_unknown() {
        let all = |from, to| said(Granularity::All, Background::Benign, from, to, true);
        assert_eq!(all(ATTACKER, OTHER), Verdict::Labelled);
        assert_eq!(all(OTHER, VICTIM), Verdict::Unknown);
        assert_eq!(all(VICTIM, ATTACKER), Verdict::Unknown);
        let forged = |from: &str| {
            let scope = Scope { attackers: Vec::new(), ..scope(Granularity::All, Background::Drop) };
            verdict("flood_syn", &scope, &observation(from, VICTIM, true))
        };
        assert_eq!((forged(OTHER), forged(VICTIM)), (Verdict::Labelled, Verdict::Unknown));
    }

    #[test]
    fn answers_alone_are_nobodys_doing() {
        for granularity in [Granularity::All, Granularity::Pair, Granularity::Destination] {
            assert_eq!(said(granularity, Background::Benign, ATTACKER, VICTIM, false), Verdict::Unknown);
        }
    }

    #[test]
    fn the_label_of_a_host_is_about_none_of_its_flows_for_certain() {
        for (from, to) in [(ATTACKER, VICTIM), (VICTIM, ATTACKER), (OTHER, VICTIM)] {
            assert_eq!(said(Granularity::Host, Background::Benign, from, to, true), Verdict::Unknown);
        }
    }
}
