//! The first inputs of each part: one of each kind of traffic, from which the fuzzer goes on. They are made here, with
//! addresses of documentation, and stand in `corpus/` as `cargo run -p traffic-fuzz --example make-corpus` writes them.

mod captures;
mod frames;
mod headers;
mod steps;

/// An input with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The part that it is for.
    pub target: &'static str,
    /// What it is.
    pub name: &'static str,
    /// The input.
    pub bytes: Vec<u8>,
}

/// All inputs.
#[must_use]
pub fn cases() -> Vec<Case> {
    let parts = [
        ("decode", frames::decode_inputs()),
        ("capture_file", captures::files()),
        ("flow_table", steps::flow_table_inputs()),
        ("extractor", steps::extractor_inputs()),
    ];
    parts
        .into_iter()
        .flat_map(|(target, inputs)| inputs.into_iter().map(move |input| Case::of(target, input)))
        .collect()
}

/// A name and bytes.
type Named = (&'static str, Vec<u8>);

impl Case {
    fn of(target: &'static str, (name, bytes): Named) -> Self {
        Self { target, name, bytes }
    }
}
