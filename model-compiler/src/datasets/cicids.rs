//! CICIDS2017 (Sharafaldin, Habibi Lashkari, Ghorbani 2018) in two forms: as published, and improved by Liu, Engelen,
//! Lynar, Essam and Joosen (2022), who mended the extractor and the labels.
//!
//! The published files write most names of columns with a space before them, have one column twice (`Fwd Header Length`;
//! the second is dropped), and call features by other names than the improved ones. The table has the improved names,
//! so that a model of one form can be tried on the other. What identifies a flow is left out.

use std::path::Path;

use csv_core::ReaderBuilder;

use super::DatasetError;
use super::faults::OnFault;
use super::layout::{Layout, all_but, place};
use super::reader::Lines;
use super::table::{Column, Table};

/// The label of harmless flows.
pub const BENIGN: &str = "BENIGN";

/// The columns that identify a flow or say what it is, by their improved names, and the mark of a repeated column.
const LEFT_OUT: [&str; 9] =
    ["id", "Flow ID", "Src IP", "Dst IP", "Src Port", "Timestamp", "Label", "Attempted Category", REPEATED];

const REPEATED: &str = "";

/// Names of the published files, and the improved ones of the same features.
const NAMES: [(&str, &str); 23] = [
    ("Source IP", "Src IP"),
    ("Source Port", "Src Port"),
    ("Destination IP", "Dst IP"),
    ("Destination Port", "Dst Port"),
    ("Total Fwd Packets", "Total Fwd Packet"),
    ("Total Backward Packets", "Total Bwd packets"),
    ("Total Length of Fwd Packets", "Total Length of Fwd Packet"),
    ("Total Length of Bwd Packets", "Total Length of Bwd Packet"),
    ("Min Packet Length", "Packet Length Min"),
    ("Max Packet Length", "Packet Length Max"),
    ("CWE Flag Count", "CWR Flag Count"),
    ("Avg Fwd Segment Size", "Fwd Segment Size Avg"),
    ("Avg Bwd Segment Size", "Bwd Segment Size Avg"),
    ("Fwd Avg Bytes/Bulk", "Fwd Bytes/Bulk Avg"),
    ("Fwd Avg Packets/Bulk", "Fwd Packet/Bulk Avg"),
    ("Fwd Avg Bulk Rate", "Fwd Bulk Rate Avg"),
    ("Bwd Avg Bytes/Bulk", "Bwd Bytes/Bulk Avg"),
    ("Bwd Avg Packets/Bulk", "Bwd Packet/Bulk Avg"),
    ("Bwd Avg Bulk Rate", "Bwd Bulk Rate Avg"),
    ("Init_Win_bytes_forward", "FWD Init Win Bytes"),
    ("Init_Win_bytes_backward", "Bwd Init Win Bytes"),
    ("act_data_pkt_fwd", "Fwd Act Data Pkts"),
    ("min_seg_size_forward", "Fwd Seg Size Min"),
];

/// Reads a file of either form. The labels are those of the file, with a plain hyphen where the published files have a
/// dash of some encoding. A flow that the improved labels call an attempt keeps that word: whether an attack without
/// effect counts as one is for the caller to say.
///
/// # Errors
/// The file cannot be read, has no label, or holds what `on_fault` refuses.
pub fn read(path: &Path, on_fault: OnFault, known: Option<&[Column]>) -> Result<Table, DatasetError> {
    let mut lines = Lines::open(path, &ReaderBuilder::new())?;
    let header = improved(&lines.header()?);
    let found = || Ok((place(&header, "Label")?, all_but(&header, &LEFT_OUT, &[])?));
    let (label, columns) = found().map_err(|error| lines.misfit(error))?;
    let layout = Layout {
        comment: None,
        cells: header.len(),
        columns,
        label: "Label".to_owned(),
        label_of: Box::new(move |cells| Some(plain(&cells[label])).filter(|label| !label.is_empty())),
    };
    lines.table(&layout, on_fault, known)
}

/// The improved names of the columns, with repetitions marked.
fn improved(header: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(header.len());
    for name in header {
        let renamed = NAMES.iter().find(|(published, _)| published == name).map_or(name.as_str(), |(_, name)| name);
        let is_repeated = names.iter().any(|known| known == renamed);
        names.push(if is_repeated { REPEATED } else { renamed }.to_owned());
    }
    names
}

/// The label with its dash as a hyphen. In the published files it is a byte of Windows-1252, which is no UTF-8.
fn plain(label: &str) -> String {
    label.replace(['\u{2013}', '\u{fffd}', '\u{96}'], "-")
}
