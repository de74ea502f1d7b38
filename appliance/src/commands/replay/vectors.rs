//! The file of feature vectors of a replay: one line for each checkpoint of a flow, in the form of the rows that
//! `model-compiler extract` writes and `model-compiler train` reads (`model-compiler/src/rows.rs`).
//!
//! A person who knows what the capture holds puts its class in the place of [`UNLABELLED`].

use std::collections::HashMap;
use std::io::Write;
use std::net::IpAddr;
use std::path::Path;

use traffic::extractor::Observation;
use traffic::features::FEATURES;
use traffic::features::schema::schema_hash_text;

use super::ReplayError;
use super::output::Output;

/// The label of all rows: no recipe names it, so such rows train nothing.
const UNLABELLED: &str = "unlabelled";

/// The columns before the features.
const LEADING: &str = "capture,source,label,initiator,flow,packets";

/// An open file of vectors.
#[derive(Debug)]
pub(super) struct VectorFile {
    output: Output,
    /// The first three columns of each line.
    beginning: String,
    /// Addresses that began flows, numbered as they first occur.
    initiators: HashMap<IpAddr, usize>,
}

impl VectorFile {
    /// Makes the file, for vectors of this capture.
    pub fn create(path: &Path, capture: &Path) -> Result<Self, ReplayError> {
        let mut output = Output::create(path)?;
        output.line(|out| write!(out, "sluice-rows,{}", schema_hash_text()));
        output.line(|out| {
            write!(out, "{LEADING}")?;
            FEATURES.iter().try_for_each(|feature| write!(out, ",{}", feature.name))
        });
        // Quoted as RFC 4180 says: a file may be called anything.
        let name = capture.display().to_string().replace('"', "\"\"");
        Ok(Self { output, beginning: format!("\"{name}\",replay,{UNLABELLED}"), initiators: HashMap::new() })
    }

    /// Writes a line. Numbers stand as the shortest decimal that gives the same `f32` again.
    pub fn checkpoint(&mut self, seen: &Observation<'_>) {
        let next = self.initiators.len();
        let initiator = *self.initiators.entry(seen.initiator).or_insert(next);
        self.output.line(|out| {
            write!(out, "{},{initiator},{},{}", self.beginning, seen.flow, seen.packets)?;
            seen.features.iter().try_for_each(|value| write!(out, ",{value}"))
        });
    }

    pub fn close(self) -> Result<(), ReplayError> {
        self.output.close()
    }
}
