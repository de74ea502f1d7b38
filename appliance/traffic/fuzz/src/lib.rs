//! What must hold for any input of the traffic crate, whatever an attacker sends.
//!
//! There is one function for each part: it makes an input of the bytes that it is given, and panics where a property does
//! not hold. `make fuzz` runs each under cargo-fuzz, with the programs in `fuzz_targets/`; `make test` runs the same
//! functions on stable Rust, over the corpus and mutations of it. [`cases`] makes the corpus: an input of each kind of traffic.
//!
//! To add a part: its function here, its program in `fuzz_targets/` and `Cargo.toml`, its first inputs in `corpus/`,
//! and its name in [`TARGETS`] and the Makefile.
#![forbid(unsafe_code)]
#![allow(clippy::expect_used, reason = "a property that does not hold stops the run")]

mod input;
mod seen;

mod decode;

mod capture_file;

mod flow_table;
mod ledger;
mod model;

mod extractor;

mod corpus;

pub use capture_file::capture_file;
pub use corpus::{Case, cases};
pub use decode::decode;
pub use extractor::extractor;
pub use flow_table::flow_table;

/// The function of a part.
pub type Body = fn(&[u8]);

/// The parts: name, and function.
pub const TARGETS: [(&str, Body); 4] =
    [("decode", decode), ("capture_file", capture_file), ("flow_table", flow_table), ("extractor", extractor)];
