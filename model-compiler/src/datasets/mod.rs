//! Published tables of flows, read into one form: a [`Table`](table::Table).
//!
//! Each source has a file here that says which of its columns are features, which identify the flow and are left out, and
//! what its labels are. `reader` takes the cells apart, the same way for all:
//!
//! - **Numbers** become `f32`, as everywhere in this program.
//! - **Words** (protocols, services, states) become the place of the word in the sorted list of all words of their
//!   column, so that the order of the rows does not matter. A table that is read for comparison with an earlier one takes
//!   that one's lists, and a word that is not in them becomes −1 and is counted. See [`table::Column::words`].
//! - **Nothing is silently repaired.** A value that is missing, infinite or malformed is counted by column, with the first
//!   lines where it stands ([`faults::Faults`]). What happens to its row is the caller's choice
//!   ([`faults::OnFault`]); unless told otherwise the row is left out. Lines are read one by one, so
//!   that a quotation mark which nothing closes is a fault of its own line and takes no other with it.
//!
//! To add a source: a file here with its columns and a `read` function that hands a [`Layout`](layout::Layout) to
//! `reader`, a word in [`Form`], and samples in `tests/datasets.rs`.

use std::path::Path;

pub mod cicids;
pub mod faults;
pub mod layout;
pub mod mapping;
pub mod nsl_kdd;
mod reader;
pub mod table;
pub mod unsw_nb15;
pub mod zeek;

use faults::OnFault;
use layout::HeaderError;
use table::{Column, Table};

/// Why a table cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The table.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The mapping cannot be read.
    #[error("cannot read the mapping {path}")]
    Mapping {
        /// The mapping.
        path: String,
        /// Why not.
        source: mapping::MappingError,
    },
    /// The columns are not those of this form.
    #[error("{path}: {source}")]
    Header {
        /// The table.
        path: String,
        /// What does not fit.
        source: HeaderError,
    },
    /// A value that the caller does not put up with.
    #[error("{path}, line {line}: {column} is {fault}: {text:?}")]
    Refused {
        /// The table.
        path: String,
        /// The line, counted from 1.
        line: u64,
        /// The column.
        column: String,
        /// What is wrong with it.
        fault: faults::Fault,
        /// What stands there.
        text: String,
    },
    /// A form that needs a mapping, without one, or the other way round.
    #[error("a mapping belongs to the form `mapped`, and to no other")]
    MappingWithoutForm,
}

/// The forms of tables that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// NSL-KDD: KDDTrain+.txt and the like.
    NslKdd,
    /// UNSW-NB15 with its header, as in the files of the official split.
    UnswNb15,
    /// CICIDS2017, original or improved.
    Cicids2017,
    /// Zeek's conn.log with labels.
    Zeek,
    /// Any other CSV, such as exported NetFlow, with a mapping.
    Mapped,
}

/// Reads a table. `known` are the columns of an earlier table, whose lists of words are to hold here too.
///
/// # Errors
/// The file cannot be read, is of another form, or holds what `on_fault` refuses.
pub fn read(
    form: Form,
    path: &Path,
    mapping: Option<&Path>,
    on_fault: OnFault,
    known: Option<&[Column]>,
) -> Result<Table, DatasetError> {
    match (form, mapping) {
        (Form::Mapped, Some(mapping)) => mapping::read(path, mapping, on_fault, known),
        (Form::NslKdd, None) => nsl_kdd::read(path, on_fault, known),
        (Form::UnswNb15, None) => unsw_nb15::read(path, on_fault, known),
        (Form::Cicids2017, None) => cicids::read(path, on_fault, known),
        (Form::Zeek, None) => zeek::read(path, on_fault, known),
        _ => Err(DatasetError::MappingWithoutForm),
    }
}
