//! UNSW-NB15 (Moustafa, Slay 2015) in the form of its official split: a header, 42 features, the kind of attack, and
//! whether it is one.

use std::path::Path;

use csv_core::ReaderBuilder;

use super::DatasetError;
use super::faults::OnFault;
use super::layout::{Layout, all_but, place};
use super::reader::Lines;
use super::table::{Column, Table};

/// The columns that are no features.
const LEFT_OUT: [&str; 3] = ["id", "attack_cat", "label"];

/// The columns of words. A `-` is a word there: no service was recognised.
const WORDS: [&str; 3] = ["proto", "service", "state"];

/// The columns about the time to live. In the testbed attackers and others had different ones, so these give the label
/// away.
pub const TTL: [&str; 3] = ["sttl", "dttl", "ct_state_ttl"];

/// The label of harmless flows.
pub const NORMAL: &str = "Normal";

/// Reads a file of the official split or a part of one. The labels are the kinds of attacks, and `Normal`; a row whose
/// two label columns contradict each other has none.
///
/// # Errors
/// The file cannot be read, has other columns, or holds what `on_fault` refuses.
pub fn read(path: &Path, on_fault: OnFault, known: Option<&[Column]>) -> Result<Table, DatasetError> {
    let mut lines = Lines::open(path, &ReaderBuilder::new())?;
    let header = lines.header()?;
    let found = || Ok((place(&header, "attack_cat")?, place(&header, "label")?, all_but(&header, &LEFT_OUT, &WORDS)?));
    let (kind, is_attack, columns) = found().map_err(|error| lines.misfit(error))?;
    let layout = Layout {
        comment: None,
        cells: header.len(),
        columns,
        label: "attack_cat".to_owned(),
        label_of: Box::new(move |cells| {
            let label = &cells[kind];
            let agrees = match cells[is_attack].as_ref() {
                "0" => label == NORMAL,
                "1" => label != NORMAL && !label.is_empty(),
                _ => false,
            };
            agrees.then(|| label.to_string())
        }),
    };
    lines.table(&layout, on_fault, known)
}
