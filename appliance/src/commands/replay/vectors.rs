//! The file of feature vectors of a replay: one row for each checkpoint of a flow.
//!
//! A person who knows what the capture holds puts its class in the place of [`UNLABELLED`].

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

use traffic::extractor::Observation;

use crate::commands::output::OutputError;
use crate::commands::rows_file::{Leading, RowsFile};

/// The label of all rows: no recipe names it, so such rows train nothing.
const UNLABELLED: &str = "unlabelled";

/// An open file of vectors.
#[derive(Debug)]
pub(super) struct VectorFile {
    rows: RowsFile,
    capture: String,
    /// Addresses that began flows, numbered as they first occur.
    initiators: HashMap<IpAddr, usize>,
}

impl VectorFile {
    /// Makes the file, for vectors of this capture.
    pub fn create(path: &Path, capture: &Path) -> Result<Self, OutputError> {
        let rows = RowsFile::create(path)?;
        Ok(Self { rows, capture: capture.display().to_string(), initiators: HashMap::new() })
    }

    /// Writes a row.
    pub fn checkpoint(&mut self, seen: &Observation<'_>) {
        let next = self.initiators.len();
        let initiator = *self.initiators.entry(seen.initiator).or_insert(next);
        let (capture, flow, packets) = (self.capture.as_str(), seen.flow, seen.packets);
        let leading = Leading { capture, source: "replay", label: UNLABELLED, initiator, flow, packets };
        self.rows.row(&leading, seen.features);
    }

    pub fn close(self) -> Result<(), OutputError> {
        self.rows.close()
    }
}
