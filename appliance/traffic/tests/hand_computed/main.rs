//! Features of small captures, checked against values computed by hand, and against those of NFStream.
//!
//! Each case of [`connections`], [`datagrams`] and [`peers`] is the frames of one capture, written out, and what the
//! schema's words make of them, with the arithmetic beside it. The captures stand in `tests/captures/`, where other
//! programs can read them: `UPDATE=1 cargo test -p traffic --test hand_computed` writes them anew. [`nfstream`] compares
//! them, and the recorded captures of the whole system, with what NFStream says.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may stop at the first surprise")]

mod connections;
mod datagrams;
mod frames;
mod nfstream;
mod observed;
mod peers;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use observed::{Sighting, sightings};
use traffic::features::{FEATURES, Index};
use traffic::flow::FlowEnd;

/// When the captures begin: at a cut of the windows' slots of 1 s and of 30 s, as 1,700,000,010 = 30 · 56,666,667.
const BEGIN_US: u64 = 1_700_000_010_000_000;

/// A capture with what is expected of it.
struct Case {
    name: &'static str,
    /// Microseconds since the first frame, and the frame.
    frames: Vec<(u64, Vec<u8>)>,
    /// How many flows it holds.
    flows: usize,
    expected: Vec<Expected>,
}

/// What a checkpoint of a flow has to say.
struct Expected {
    flow: u64,
    checkpoint: Checkpoint,
    values: Vec<(Index, f64)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Checkpoint {
    /// After so many packets of the flow.
    Packets(u64),
    /// When nothing was heard of the flow for a second, after so many packets.
    Unheard(u64),
    /// When it or its segment ended, after so many packets.
    End(FlowEnd, u64),
}

impl Checkpoint {
    fn is_of(self, seen: &Sighting) -> bool {
        match self {
            Self::Packets(packets) => seen.end.is_none() && !seen.by_silence && seen.packets == packets,
            Self::Unheard(packets) => seen.end.is_none() && seen.by_silence && seen.packets == packets,
            Self::End(end, packets) => seen.end == Some(end) && seen.packets == packets,
        }
    }
}

fn expected(flow: u64, checkpoint: Checkpoint, values: impl Into<Vec<(Index, f64)>>) -> Expected {
    Expected { flow, checkpoint, values: values.into() }
}

/// How many distinct values there are by linear counting of 256 bits, if no two share a bit: the first value is worth
/// 256/256, the next 256/255, and so on.
fn distinct(count: u16) -> f64 {
    (0..count).map(|before| 256.0 / f64::from(256 - before)).sum()
}

fn cases() -> Vec<Case> {
    connections::cases().into_iter().chain(datagrams::cases()).chain(peers::cases()).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures")
}

impl Case {
    fn path(&self) -> PathBuf {
        folder().join(self.name).with_extension("pcap")
    }

    fn capture(&self) -> Vec<u8> {
        let at = |(at_us, frame): &(u64, Vec<u8>)| (BEGIN_US + at_us, frame.clone());
        frames::pcap(&self.frames.iter().map(at).collect::<Vec<_>>())
    }
}

#[test]
fn the_captures_are_the_frames_that_are_written_here() {
    for case in cases() {
        let (capture, path) = (case.capture(), case.path());
        assert!(capture.len() < 5_000, "{}: {} bytes", case.name, capture.len());
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &capture).expect("the capture is written");
        }
        assert!(fs::read(&path).unwrap_or_default() == capture, "{} is not what the code makes", path.display());
    }
}

#[test]
fn the_features_are_those_computed_by_hand() {
    let mut wrong = Vec::new();
    for case in cases() {
        let seen = sightings(case.capture());
        let flows: HashSet<u64> = seen.iter().map(|seen| seen.flow).collect();
        assert_eq!(flows.len(), case.flows, "{}: flows", case.name);
        for Expected { flow, checkpoint, values } in &case.expected {
            let mut of_flow = seen.iter().filter(|seen| seen.flow == *flow);
            let Some(at) = of_flow.find(|seen| checkpoint.is_of(seen)) else {
                panic!("{}: flow {flow} has no checkpoint {checkpoint:?}", case.name);
            };
            wrong.extend(values.iter().filter_map(|(index, value)| {
                let (found, name) = (at.value(*index), FEATURES[*index as usize].name);
                let is_right = (found - value).abs() <= 1e-6 * value.abs();
                (!is_right).then(|| format!("{}, flow {flow}, {checkpoint:?}: {name} {found}, not {value}", case.name))
            }));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_feature_is_checked_with_a_value_that_says_something() {
    let cases = cases();
    let values = cases.iter().flat_map(|case| &case.expected).flat_map(|expected| &expected.values);
    let telling =
        |(index, value): &&(Index, f64)| *value != 0.0 && *value != f64::from(FEATURES[*index as usize].undefined);
    let checked: HashSet<usize> = values.filter(telling).map(|(index, _)| *index as usize).collect();
    let unchecked = FEATURES.iter().enumerate().filter(|(place, _)| !checked.contains(place));
    assert_eq!(unchecked.map(|(_, feature)| feature.name).collect::<Vec<_>>(), [""; 0]);
}
