//! A table to learn from, wherever it comes from: named columns, rows of `f32`, and a label for each row.

use crate::rows::Rows;
use traffic::features::FEATURES;

use super::faults::{Fault, Faults, Tally};

/// The code of a word that is not in the list of its column.
pub const UNKNOWN_WORD: f32 = -1.0;

/// Rows with labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The columns, in the order of the values of a row.
    pub columns: Vec<Column>,
    /// The labels that occur, sorted.
    pub labels: Vec<String>,
    /// The place of each row's label.
    pub label_of: Vec<usize>,
    /// The line of the file where each row stands, counted from 1.
    pub lines: Vec<u64>,
    /// What was wrong with the file.
    pub faults: Faults,
    /// Row after row.
    pub(super) values: Vec<f32>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Of a column of words, the words: a value is the place of its word here, or [`UNKNOWN_WORD`]. They are sorted by
    /// their bytes, unless a mapping gives them an order.
    pub words: Option<Vec<String>>,
}

impl Table {
    /// How many rows there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.label_of.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.label_of.is_empty()
    }

    /// The values of a row.
    ///
    /// # Panics
    /// There is no such row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f32] {
        let width = self.columns.len();
        &self.values[row * width..(row + 1) * width]
    }

    /// The values of a column, row by row.
    pub fn column(&self, column: usize) -> impl Iterator<Item = f32> {
        self.values.iter().skip(column).step_by(self.columns.len().max(1)).copied()
    }

    /// The label of a row.
    ///
    /// # Panics
    /// There is no such row.
    #[must_use]
    pub fn label(&self, row: usize) -> &str {
        &self.labels[self.label_of[row]]
    }

    /// The same rows without some columns. Names that are no column change nothing.
    #[must_use]
    pub fn without(&self, names: &[&str]) -> Self {
        let kept: Vec<usize> =
            (0..self.columns.len()).filter(|&at| !names.contains(&self.columns[at].name.as_str())).collect();
        let rows = (0..self.len()).map(|row| self.row(row));
        Self {
            columns: kept.iter().map(|&at| self.columns[at].clone()).collect(),
            values: rows.flat_map(|row| kept.iter().map(|&at| row[at])).collect(),
            ..self.clone()
        }
    }

    /// Some of the rows, in the order given.
    ///
    /// # Panics
    /// There is no such row.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        Self {
            label_of: rows.iter().map(|&row| self.label_of[row]).collect(),
            lines: rows.iter().map(|&row| self.lines[row]).collect(),
            values: rows.iter().flat_map(|&row| self.row(row)).copied().collect(),
            columns: self.columns.clone(),
            labels: self.labels.clone(),
            faults: self.faults.clone(),
        }
    }

    /// The rows of our own extraction. `class` names the class of a label of theirs; rows without one are not taken.
    /// Rows with a value that is not finite are left out and counted; their line is that of the file of rows.
    #[must_use]
    pub fn of_rows(rows: &Rows, class: &dyn Fn(&str) -> Option<String>) -> Self {
        let classes: Vec<Option<String>> = rows.labels.iter().map(|label| class(label)).collect();
        let mut labels: Vec<String> = classes.iter().flatten().cloned().collect();
        labels.sort();
        labels.dedup();
        let columns = FEATURES.iter().map(|feature| Column { name: feature.name.to_owned(), words: None }).collect();
        let (label_of, lines, values) = (Vec::new(), Vec::new(), Vec::new());
        let mut table = Self { columns, labels, label_of, lines, faults: Faults::default(), values };
        let mut tally = Tally::default();
        // Two lines of header stand before the first row.
        for (row, line) in rows.rows.iter().zip(3..) {
            let Some(class) = &classes[row.label] else { continue };
            table.faults.rows_read += 1;
            let faulty = row.features.iter().enumerate().filter(|(_, value)| !value.is_finite());
            let mut is_whole = true;
            for (at, value) in faulty {
                tally.add(at, if value.is_nan() { Fault::Missing } else { Fault::Infinite }, line);
                is_whole = false;
            }
            if !is_whole {
                table.faults.rows_left_out += 1;
                continue;
            }
            table.label_of.push(table.labels.partition_point(|label| label < class));
            table.lines.push(line);
            table.values.extend(row.features);
        }
        table.faults.columns = tally.columns(|at| FEATURES[at].name.to_owned());
        table
    }
}
