//! What is wrong with values of a table, how often and where, and what is to happen then.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use serde::Serialize;

/// How many lines are kept of each kind of fault in each column; all are counted.
const LINES_KEPT: usize = 10;

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nothing stands there, or a sign for nothing: `-`, `?`, `NA`, `null`, `NaN`.
    Missing,
    /// An infinity, or a number that no `f32` holds.
    Infinite,
    /// No number.
    Malformed,
    /// The row has more or fewer cells than the table has columns.
    Length,
    /// A quotation mark that nothing closes in its line. What comes after that line is read as if it were not there.
    Unclosed,
    /// A label that the form does not know, or that contradicts itself.
    Label,
    /// A word that the earlier table does not have. Such rows are kept.
    UnknownWord,
}

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "missing",
            Self::Infinite => "infinite",
            Self::Malformed => "malformed",
            Self::Length => "of another length than the header",
            Self::Unclosed => "cut short by a quotation mark that nothing closes in its line",
            Self::Label => "no label of this form",
            Self::UnknownWord => "a word that is not in the earlier table",
        })
    }
}

/// What happens to a row with a faulty value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Remedy {
    /// It is left out, and counted.
    #[default]
    LeaveOut,
    /// The table is not read at all.
    Refuse,
    /// The value is replaced by this, and counted. A word that is missing becomes an unknown word instead.
    Fill(f32),
}

impl FromStr for Remedy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "leave-out" => Ok(Self::LeaveOut),
            "refuse" => Ok(Self::Refuse),
            number => match number.parse() {
                Ok(value) if f32::is_finite(value) => Ok(Self::Fill(value)),
                _ => Err("it must be leave-out, refuse or a number".to_owned()),
            },
        }
    }
}

/// The caller's choice for each kind of faulty value. Rows of a wrong length, with a quotation mark that nothing closes or with an
/// unknown label cannot be filled: they are left out, or refused if malformed values are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OnFault {
    /// Where nothing stands.
    pub missing: Remedy,
    /// Where an infinity stands.
    pub infinite: Remedy,
    /// Where no number stands.
    pub malformed: Remedy,
}

impl OnFault {
    /// What happens to a row with this fault.
    #[must_use]
    pub const fn remedy(self, fault: Fault) -> Remedy {
        match fault {
            Fault::Missing => self.missing,
            Fault::Infinite => self.infinite,
            Fault::Malformed => self.malformed,
            Fault::Length | Fault::Unclosed | Fault::Label => match self.malformed {
                Remedy::Refuse => Remedy::Refuse,
                Remedy::LeaveOut | Remedy::Fill(_) => Remedy::LeaveOut,
            },
            Fault::UnknownWord => Remedy::Fill(super::table::UNKNOWN_WORD),
        }
    }
}

/// Everything that was wrong with a table.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Faults {
    /// How many rows the file has.
    pub rows_read: u64,
    /// How many of them are left out.
    pub rows_left_out: u64,
    /// How many are in the table with a value that does not stand in the file.
    pub rows_filled: u64,
    /// What was wrong, column by column.
    pub columns: Vec<ColumnFault>,
}

/// One kind of fault in one column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ColumnFault {
    /// The column.
    pub column: String,
    /// What is wrong.
    pub fault: Fault,
    /// How many rows have it.
    pub count: u64,
    /// The first lines where it stands, counted from 1.
    pub lines: Vec<u64>,
}

impl Display for Faults {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { rows_read, rows_left_out, rows_filled, columns } = self;
        write!(f, "{rows_read} rows read, {rows_left_out} left out, {rows_filled} with a value filled in")?;
        for ColumnFault { column, fault, count, lines } in columns {
            let lines: Vec<String> = lines.iter().map(u64::to_string).collect();
            let more = if *count > lines.len() as u64 { ", …" } else { "" };
            write!(f, "\n  {column}: {count} x {fault}, lines {}{more}", lines.join(", "))?;
        }
        Ok(())
    }
}

/// Counts faults while a table is read.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<(usize, Fault), (u64, Vec<u64>)>);

impl Tally {
    pub(super) fn add(&mut self, column: usize, fault: Fault, line: u64) {
        let (count, lines) = self.0.entry((column, fault)).or_default();
        *count += 1;
        if lines.len() < LINES_KEPT {
            lines.push(line);
        }
    }

    /// The counts in the order of the columns, which `name` names by their numbers.
    pub(super) fn columns(self, name: impl Fn(usize) -> String) -> Vec<ColumnFault> {
        let named = self.0.into_iter();
        named
            .map(|((column, fault), (count, lines))| ColumnFault { column: name(column), fault, count, lines })
            .collect()
    }
}
