//! What the fuzzer does, on stable Rust and in some seconds: random bytes, and inputs of the corpus with a few changes, go
//! through each part.
#![allow(clippy::expect_used, reason = "a test may stop at the first surprise")]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use traffic_fuzz::{capture_file, cases, decode, extractor, flow_table};

/// A change at some place of an input.
#[derive(Clone, Debug)]
enum Change {
    Flip(u8),
    Set(u8),
    Insert(Vec<u8>),
    Cut,
    Remove(usize),
    /// The rest is that of another input.
    Splice(Vec<u8>),
    /// A part of it comes again at the end.
    Repeat(usize),
}

fn change(inputs: Vec<Vec<u8>>) -> impl Strategy<Value = (Index, Change)> {
    let extreme = prop_oneof![Just(0), Just(1), Just(0x7f), Just(0x80), Just(0xff), any::<u8>()];
    let change = prop_oneof![
        4 => (0_u8..8).prop_map(|bit| Change::Flip(1 << bit)),
        4 => extreme.prop_map(Change::Set),
        2 => vec(any::<u8>(), 1..12).prop_map(Change::Insert),
        1 => Just(Change::Cut),
        1 => (1_usize..12).prop_map(Change::Remove),
        2 => select(inputs).prop_map(Change::Splice),
        1 => (1_usize..60).prop_map(Change::Repeat),
    ];
    (any::<Index>(), change)
}

impl Change {
    fn apply(&self, at: usize, bytes: &mut Vec<u8>) {
        match self {
            Self::Flip(bits) => change_byte(bytes, at, |byte| byte ^ bits),
            Self::Set(value) => change_byte(bytes, at, |_| *value),
            Self::Insert(inserted) => drop(bytes.splice(at..at, inserted.iter().copied())),
            Self::Cut => bytes.truncate(at),
            Self::Remove(len) => drop(bytes.drain(at..bytes.len().min(at + len))),
            Self::Splice(other) => {
                bytes.truncate(at);
                bytes.extend(other.iter().skip(at));
            }
            Self::Repeat(len) => bytes.extend_from_within(at..bytes.len().min(at + len)),
        }
    }
}

fn change_byte(bytes: &mut [u8], at: usize, change: impl Fn(u8) -> u8) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte = change(*byte);
    }
}

fn inputs(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let corpus: Vec<Vec<u8>> =
        cases().into_iter().filter(|case| case.target == target).map(|case| case.bytes).collect();
    let mutated = (select(corpus.clone()), vec(change(corpus), 1..8)).prop_map(|(mut bytes, changes)| {
        for (at, change) in changes {
            change.apply(at.index(bytes.len() + 1), &mut bytes);
        }
        bytes
    });
    prop_oneof![8 => mutated, 2 => vec(any::<u8>(), 0..400)]
}

proptest! {
    // What fails becomes a case with a name; no other record is kept of it.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60_000) })]

    #[test]
    fn decode_holds(data in inputs("decode")) {
        decode(&data);
    }

    #[test]
    fn capture_file_holds(data in inputs("capture_file")) {
        capture_file(&data);
    }

    #[test]
    fn flow_table_holds(data in inputs("flow_table")) {
        flow_table(&data);
    }

    #[test]
    fn extractor_holds(data in inputs("extractor")) {
        extractor(&data);
    }
}
