//! A table of feature rows, in the form that `model-compiler extract` writes and `model-compiler train` reads
//! (`model-compiler/src/rows.rs`).

use std::fmt::Display;
use std::io::Write;
use std::path::Path;

use traffic::features::schema::schema_hash_text;
use traffic::features::{FEATURES, FeatureVector};

use super::output::{Output, OutputError};

/// The columns before the features.
const LEADING: &str = "capture,source,label,initiator,flow,packets";

/// An open table.
#[derive(Debug)]
pub(super) struct RowsFile(Output);

/// What stands before the features of a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leading<'a> {
    /// Where the row is from; any text.
    pub capture: &'a str,
    /// Whose that is. A word without commas and quotes, as the label.
    pub source: &'a str,
    /// What it is.
    pub label: &'a str,
    /// Number of whoever began the flow.
    pub initiator: usize,
    /// Number of the flow.
    pub flow: u64,
    /// How many packets it had.
    pub packets: u64,
}

impl RowsFile {
    /// Makes the file, with its two lines of header.
    pub fn create(path: &Path) -> Result<Self, OutputError> {
        let mut output = Output::create(path)?;
        output.line(|out| write!(out, "sluice-rows,{}", schema_hash_text()));
        output.line(|out| {
            write!(out, "{LEADING}")?;
            FEATURES.iter().try_for_each(|feature| write!(out, ",{}", feature.name))
        });
        Ok(Self(output))
    }

    /// Writes a row. Numbers stand as the shortest decimal that gives the same `f32` again.
    pub fn row(&mut self, leading: &Leading<'_>, features: &FeatureVector) {
        let Leading { capture, source, label, initiator, flow, packets } = leading;
        self.0.line(|out| {
            write!(out, "{},{source},{label},{initiator},{flow},{packets}", Quoted(capture))?;
            features.iter().try_for_each(|value| write!(out, ",{value}"))
        });
    }

    pub fn close(self) -> Result<(), OutputError> {
        self.0.close()
    }
}

/// Quoted as RFC 4180 says: a capture may be called anything.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.0.replace('"', "\"\""))
    }
}
