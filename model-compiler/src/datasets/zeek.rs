//! Zeek's `conn.log` with labels, in its own form of separated values, as the Stratosphere laboratory publishes it.
//!
//! The header names the columns. Who talked to whom and when is left out; what remains are the port of the responder,
//! protocol, service, state, times, bytes and packets. Zeek writes `-` for what it does not know: where a connection has
//! no answer, its duration and its bytes. Such rows are missing values like any others: left out, unless the caller gives
//! a value that stands for them, and without it a table has hardly any scans.

use std::borrow::Cow;
use std::path::Path;

use csv_core::ReaderBuilder;

use super::DatasetError;
use super::faults::OnFault;
use super::layout::{HeaderError, Kind, Layout, Source, place};
use super::reader::{Lines, Row};
use super::table::{Column, Table};

/// The columns of numbers that are features.
const NUMBERS: [&str; 9] = [
    "id.resp_p",
    "duration",
    "orig_bytes",
    "resp_bytes",
    "missed_bytes",
    "orig_pkts",
    "orig_ip_bytes",
    "resp_pkts",
    "resp_ip_bytes",
];

/// The columns of words that are features.
const WORDS: [&str; 3] = ["proto", "service", "conn_state"];

/// Reads a `conn.log` with labels. The label is the word in the column `label`; a row without one (`-`, `(empty)`) has
/// none.
///
/// # Errors
/// The file cannot be read, has no header of Zeek's or no labels, or holds what `on_fault` refuses.
pub fn read(path: &Path, on_fault: OnFault, known: Option<&[Column]>) -> Result<Table, DatasetError> {
    let mut lines = Lines::open(path, ReaderBuilder::new().delimiter(b'\t').quoting(false))?;
    let header = header(&mut lines)?;
    let (label, columns) = find(&header).map_err(|error| lines.misfit(error))?;
    let layout = Layout {
        comment: Some('#'),
        cells: header.len(),
        columns,
        label: "label".to_owned(),
        label_of: Box::new(move |cells| {
            let word = parted(cells.get(label.cell)?).nth(label.word)?.to_owned();
            (!matches!(word.as_str(), "" | "-" | "(empty)")).then_some(word)
        }),
    };
    lines.table(&layout, on_fault, known)
}

/// The place of a word in a row.
#[derive(Clone, Copy)]
struct WordPlace {
    cell: usize,
    word: usize,
}

/// The names of the columns, which stand in one of the comments before the first row.
fn header(lines: &mut Lines) -> Result<Vec<String>, DatasetError> {
    while let Some(Row::Cells(cells)) = lines.next().map(|line| line.row) {
        match cells.split_first() {
            Some((first, names)) if first == "#fields" => return Ok(names.iter().map(Cow::to_string).collect()),
            Some((first, _)) if first.starts_with('#') => {}
            _ => break,
        }
    }
    Err(lines.misfit(HeaderError::NoHeader))
}

fn find(header: &[String]) -> Result<(WordPlace, Vec<Source>), HeaderError> {
    let source = |name: &&str, kind: Kind| Ok(Source { name: (*name).to_owned(), at: place(header, name)?, kind });
    let numbers = NUMBERS.iter().map(|name| source(name, Kind::PLAIN));
    let words = WORDS.iter().map(|name| source(name, Kind::Words(None)));
    let columns = numbers.chain(words).collect::<Result<_, _>>()?;
    let label = header
        .iter()
        .enumerate()
        .find_map(|(cell, names)| parted(names).position(|name| name == "label").map(|word| WordPlace { cell, word }));
    Ok((label.ok_or_else(|| HeaderError::NoColumn("label".to_owned()))?, columns))
}

/// The words of a cell. In the logs of IoT-23 the cell of `tunnel_parents` also holds the label, after some spaces.
fn parted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split_whitespace()
}
