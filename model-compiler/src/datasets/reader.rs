//! From the cells of a file to a [`Table`], by a [`Layout`]: one way for all forms.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::DatasetError;
use super::faults::{Fault, Faults, OnFault, Remedy, Tally};
use super::layout::{HeaderError, Kind, Layout};
use super::table::{Column, Table, UNKNOWN_WORD};

/// What stands for a number that is not known.
const MISSING: [&str; 7] = ["", "-", "?", "na", "n/a", "nan", "null"];

/// A line that is not blank.
pub(super) struct Line<'a> {
    /// Its number, counted from 1 as editors do.
    number: u64,
    /// What stands in it.
    pub(super) row: Row<'a>,
}

/// What stands in a line.
pub(super) enum Row<'a> {
    /// Cells, white space around them removed.
    Cells(Vec<Cow<'a, str>>),
    /// A quotation mark in this text has no partner.
    Unclosed(Cow<'a, str>),
}

/// A file of separated values that is being read, each line by itself: no flow needs several, and so a stray quotation mark
/// spoils its own line and none after it.
pub(super) struct Lines {
    path: String,
    /// The whole file, the last line with its end.
    bytes: Vec<u8>,
    parser: Reader,
    /// The cells of the line that was read last, one after the other, and where each ends.
    cells: Vec<u8>,
    ends: Vec<usize>,
    /// How many bytes lie before the line that is read next, and how many ends of lines.
    passed: (usize, u64),
}

impl Lines {
    /// The file is read at once.
    pub(super) fn open(path: &Path, settings: &ReaderBuilder) -> Result<Self, DatasetError> {
        let name = path.display().to_string();
        let mut bytes = fs::read(path).map_err(|source| DatasetError::Read { path: name.clone(), source })?;
        bytes.push(b'\n');
        let (cells, ends) = (Vec::new(), Vec::new());
        Ok(Self { path: name, bytes, parser: settings.build(), cells, ends, passed: (0, 0) })
    }

    /// The next line. What is no UTF-8 is kept as far as it can be: the original CICIDS2017 has dashes of another encoding in
    /// its labels.
    pub(super) fn next(&mut self) -> Option<Line<'_>> {
        let (number, place) = self.next_place()?;
        let row = match self.take_apart(place.clone()) {
            Some(cells) => Row::Cells(self.cells(cells)),
            None => Row::Unclosed(trimmed(String::from_utf8_lossy(&self.bytes[place]))),
        };
        Some(Line { number, row })
    }

    /// The number of the next line that is not blank, and where it stands with its end.
    fn next_place(&mut self) -> Option<(u64, Range<usize>)> {
        loop {
            let (from, lines) = self.passed;
            let len = self.bytes[from..].iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
            let end = from + len;
            self.passed = (end + 1, lines + u64::from(self.bytes[end] == b'\n'));
            if len > 0 {
                return Some((lines + 1, from..end + 1));
            }
        }
    }

    /// Takes a line apart, and says how many cells it has, if it ends with it.
    fn take_apart(&mut self, place: Range<usize>) -> Option<usize> {
        // No line has more bytes or cells than this.
        let most = self.cells.len().max(place.len());
        self.cells.resize(most, 0);
        self.ends.resize(most, 0);
        self.parser.reset();
        let (end, _, _, cells) = self.parser.read_record(&self.bytes[place], &mut self.cells, &mut self.ends);
        matches!(end, ReadRecordResult::Record).then_some(cells)
    }

    /// The first cells of those that were taken apart last.
    fn cells(&self, count: usize) -> Vec<Cow<'_, str>> {
        let ends = &self.ends[..count];
        let begins = [0].iter().chain(ends);
        begins.zip(ends).map(|(from, to)| trimmed(String::from_utf8_lossy(&self.cells[*from..*to]))).collect()
    }

    /// The next row as the names of the columns. A byte order mark is no part of the first.
    pub(super) fn header(&mut self) -> Result<Vec<String>, DatasetError> {
        let refused = match self.next().map(|line| line.row) {
            Some(Row::Cells(cells)) => {
                return Ok(cells.iter().map(|cell| cell.trim_start_matches('\u{feff}').to_owned()).collect());
            }
            Some(Row::Unclosed(_)) => HeaderError::Unclosed,
            None => HeaderError::NoHeader,
        };
        Err(self.misfit(refused))
    }

    pub(super) fn misfit(&self, source: HeaderError) -> DatasetError {
        DatasetError::Header { path: self.path.clone(), source }
    }

    /// The rest of the file as a table.
    pub(super) fn table(
        mut self,
        layout: &Layout<'_>,
        on_fault: OnFault,
        known: Option<&[Column]>,
    ) -> Result<Table, DatasetError> {
        let mut builder = Builder::new(layout, on_fault, known);
        let path = self.path.clone();
        while let Some(line) = self.next() {
            builder.add(&line).map_err(|(column, fault, text)| DatasetError::Refused {
                path: path.clone(),
                line: line.number,
                column: builder.name(column),
                fault,
                text,
            })?;
        }
        Ok(builder.finish())
    }
}

fn trimmed(cell: Cow<'_, str>) -> Cow<'_, str> {
    match cell {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

/// The words of a column with their codes.
#[derive(Default)]
struct Codes {
    codes: HashMap<String, usize>,
    /// The list is given: other words have no code.
    is_closed: bool,
}

impl Codes {
    fn closed(words: &[String]) -> Self {
        let codes = words.iter().cloned().zip(0..).collect();
        Self { codes, is_closed: true }
    }

    fn code(&mut self, word: &str) -> Option<usize> {
        let known = self.codes.get(word).copied();
        if known.is_some() || self.is_closed {
            return known;
        }
        let code = self.codes.len();
        self.codes.insert(word.to_owned(), code);
        Some(code)
    }

    /// The words in the order of their codes.
    fn words(&self) -> Vec<String> {
        let mut words: Vec<(&String, usize)> = self.codes.iter().map(|(word, code)| (word, *code)).collect();
        words.sort_by_key(|(_, code)| *code);
        words.into_iter().map(|(word, _)| word.clone()).collect()
    }

    /// The words sorted, and the place there of the word with each code. A given list keeps its order.
    fn sorted(&self) -> (Vec<String>, Vec<usize>) {
        let words = self.words();
        if self.is_closed {
            let places = (0..words.len()).collect();
            return (words, places);
        }
        let mut order: Vec<usize> = (0..words.len()).collect();
        order.sort_by_key(|&code| &words[code]);
        let mut places = vec![0; words.len()];
        for (place, &code) in order.iter().enumerate() {
            places[code] = place;
        }
        (order.into_iter().map(|code| words[code].clone()).collect(), places)
    }
}

/// What stands in a cell: a number, or the place of the cell's word, which gets its code when the row is kept.
type Value = Result<f32, Fault>;

struct Builder<'a> {
    layout: &'a Layout<'a>,
    on_fault: OnFault,
    /// Of each column of words.
    codes: Vec<Option<Codes>>,
    labels: Codes,
    tally: Tally,
    faults: Faults,
    label_of: Vec<usize>,
    lines: Vec<u64>,
    values: Vec<f32>,
}

/// The column, what is wrong with it, and what stands there.
type Refusal = (usize, Fault, String);

impl<'a> Builder<'a> {
    fn new(layout: &'a Layout<'a>, on_fault: OnFault, known: Option<&[Column]>) -> Self {
        let codes = |source: &super::layout::Source| {
            let Kind::Words(listed) = &source.kind else { return None };
            let earlier = known.and_then(|columns| columns.iter().find(|column| column.name == source.name));
            let list = earlier.and_then(|column| column.words.as_ref()).or(listed.as_ref());
            Some(list.map_or_else(Codes::default, |words| Codes::closed(words)))
        };
        Self {
            layout,
            on_fault,
            codes: layout.columns.iter().map(codes).collect(),
            labels: Codes::default(),
            tally: Tally::default(),
            faults: Faults::default(),
            label_of: Vec::new(),
            lines: Vec::new(),
            values: Vec::new(),
        }
    }

    /// The name of a column; after the last one comes the label, and after it the row as a whole.
    fn name(&self, column: usize) -> String {
        match self.layout.columns.get(column) {
            Some(source) => source.name.clone(),
            None if column == self.label_column() => self.layout.label.clone(),
            None => "the row".to_owned(),
        }
    }

    const fn label_column(&self) -> usize {
        self.layout.columns.len()
    }

    fn add(&mut self, line: &Line<'_>) -> Result<(), Refusal> {
        match &line.row {
            Row::Cells(cells) if self.is_comment(cells) => Ok(()),
            Row::Cells(cells) => self.add_cells(line.number, cells),
            Row::Unclosed(text) => {
                self.faults.rows_read += 1;
                self.fault(self.label_column() + 1, Fault::Unclosed, line.number, text)?;
                self.faults.rows_left_out += 1;
                Ok(())
            }
        }
    }

    fn is_comment(&self, cells: &[Cow<'_, str>]) -> bool {
        let begins = |comment| cells.first().is_some_and(|cell| cell.starts_with(comment));
        self.layout.comment.is_some_and(begins)
    }

    fn add_cells(&mut self, line: u64, cells: &[Cow<'_, str>]) -> Result<(), Refusal> {
        self.faults.rows_read += 1;
        if cells.len() != self.layout.cells {
            let text = format!("{} cells, not {}", cells.len(), self.layout.cells);
            self.fault(self.label_column() + 1, Fault::Length, line, &text)?;
            self.faults.rows_left_out += 1;
            return Ok(());
        }
        let label = (self.layout.label_of)(cells);
        let mut is_kept = label.is_some();
        if label.is_none() {
            self.fault(self.label_column(), Fault::Label, line, &cells.join(","))?;
        }
        let mut is_filled = false;
        let mut values = Vec::with_capacity(self.layout.columns.len());
        for (column, source) in self.layout.columns.iter().enumerate() {
            match value(&cells[source.at], &source.kind) {
                Ok(value) => values.push(value),
                Err(fault) => match self.fault(column, fault, line, &cells[source.at])? {
                    Some(filling) => {
                        is_filled = true;
                        // A number could be the code of another word.
                        values.push(if self.codes[column].is_some() { UNKNOWN_WORD } else { filling });
                    }
                    None => is_kept = false,
                },
            }
        }
        let Some(label) = label.filter(|_| is_kept) else {
            self.faults.rows_left_out += 1;
            return Ok(());
        };
        self.code_words(line, cells, &mut values);
        self.faults.rows_filled += u64::from(is_filled);
        self.label_of.extend(self.labels.code(&label));
        self.lines.push(line);
        self.values.extend(values);
        Ok(())
    }

    /// Counts a fault and gives what the value is to be replaced by, if the row is to stay.
    fn fault(&mut self, column: usize, fault: Fault, line: u64, text: &str) -> Result<Option<f32>, Refusal> {
        self.tally.add(column, fault, line);
        match self.on_fault.remedy(fault) {
            Remedy::LeaveOut => Ok(None),
            Remedy::Fill(value) => Ok(Some(value)),
            Remedy::Refuse => Err((column, fault, text.to_owned())),
        }
    }

    /// Puts the codes of the words of a row among its values.
    fn code_words(&mut self, line: u64, cells: &[Cow<'_, str>], values: &mut [f32]) {
        let columns = self.layout.columns.iter().zip(&mut self.codes).zip(values).enumerate();
        for (column, ((source, codes), value)) in columns {
            let Some(codes) = codes else { continue };
            let word = &cells[source.at];
            if word.is_empty() {
                continue;
            }
            *value = match codes.code(word) {
                Some(code) => code as f32,
                None => {
                    self.tally.add(column, Fault::UnknownWord, line);
                    UNKNOWN_WORD
                }
            };
        }
    }

    fn finish(mut self) -> Table {
        let width = self.layout.columns.len();
        let mut columns = Vec::with_capacity(width);
        for (at, source) in self.layout.columns.iter().enumerate() {
            let words = self.codes[at].as_ref().map(|codes| {
                let (words, places) = codes.sorted();
                for value in self.values.iter_mut().skip(at).step_by(width) {
                    // A filled or unknown value is no code and stays.
                    if let Some(place) = places.get(*value as usize).filter(|_| *value >= 0.0) {
                        *value = *place as f32;
                    }
                }
                words
            });
            columns.push(Column { name: source.name.clone(), words });
        }
        let (labels, places) = self.labels.sorted();
        let tally = std::mem::take(&mut self.tally);
        let faults = tally.columns(|column| self.name(column));
        Table {
            columns,
            labels,
            label_of: self.label_of.iter().map(|&code| places[code]).collect(),
            lines: self.lines,
            faults: Faults { columns: faults, ..self.faults },
            values: self.values,
        }
    }
}

/// The number in a cell. Of a word this says only whether there is one; it gets its code later.
fn value(cell: &str, kind: &Kind) -> Value {
    let Kind::Number { factor } = kind else {
        return if cell.is_empty() { Err(Fault::Missing) } else { Ok(0.0) };
    };
    if MISSING.iter().any(|missing| cell.eq_ignore_ascii_case(missing)) {
        return Err(Fault::Missing);
    }
    let number: f64 = cell.parse().map_err(|_| Fault::Malformed)?;
    let value = (number * factor) as f32;
    if value.is_finite() { Ok(value) } else { Err(Fault::Infinite) }
}
