//! From the cells of a file to a [`Table`], by a [`Layout`]: one way for all forms.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs;
use std::io::Cursor;
use std::path::Path;

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::DatasetError;
use super::faults::{Fault, Faults, OnFault, Remedy, Tally};
use super::layout::{HeaderError, Kind, Layout};
use super::table::{Column, Table, UNKNOWN_WORD};

/// What stands for a number that is not known.
const MISSING: [&str; 7] = ["", "-", "?", "na", "n/a", "nan", "null"];

/// A row with the number of its line, counted from 1.
type Line<'a> = (u64, Vec<Cow<'a, str>>);

/// A file of separated values that is being read.
pub(super) struct Lines {
    path: String,
    reader: Reader<Cursor<Vec<u8>>>,
    record: ByteRecord,
    /// How many bytes lie before the row that was read last, and how many lines.
    passed: (usize, u64),
}

impl Lines {
    /// The file is read at once, so that lines can be counted in it: what the CSV reader says of them leaves out blank
    /// ones.
    pub(super) fn open(path: &Path, settings: &mut ReaderBuilder) -> Result<Self, DatasetError> {
        let name = path.display().to_string();
        let bytes =
            fs::read(path).map_err(|source| DatasetError::Read { path: name.clone(), source: source.into() })?;
        // Rows of another length are counted, not fatal.
        let reader = settings.flexible(true).has_headers(false).from_reader(Cursor::new(bytes));
        Ok(Self { path: name, reader, record: ByteRecord::new(), passed: (0, 0) })
    }

    /// The next row with its line, white space around its cells removed. What is no UTF-8 is kept as far as it can be:
    /// the original CICIDS2017 has dashes of another encoding in its labels.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, DatasetError> {
        let read = self.reader.read_byte_record(&mut self.record);
        if !read.map_err(|source| DatasetError::Read { path: self.path.clone(), source })? {
            return Ok(None);
        }
        let line = self.line();
        Ok(Some((line, self.record.iter().map(|cell| trimmed(String::from_utf8_lossy(cell))).collect())))
    }

    /// The line of the row that was read last, counted from 1.
    fn line(&mut self) -> u64 {
        let bytes = self.reader.get_ref().get_ref();
        let from = self.record.position().map_or(0, |position| position.byte() as usize);
        let blank = bytes.iter().skip(from).take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        let (passed, lines) = self.passed;
        let new = bytes.iter().take(from + blank).skip(passed).filter(|byte| **byte == b'\n').count();
        self.passed = (from + blank, lines + new as u64);
        self.passed.1 + 1
    }

    /// The next row as the names of the columns. A byte order mark is no part of the first.
    pub(super) fn header(&mut self) -> Result<Vec<String>, DatasetError> {
        match self.next()? {
            Some((_, cells)) => Ok(cells.iter().map(|cell| cell.trim_start_matches('\u{feff}').to_owned()).collect()),
            None => Err(self.misfit(HeaderError::NoHeader)),
        }
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
        while let Some((line, cells)) = self.next()? {
            if layout.comment.is_some_and(|comment| cells.first().is_some_and(|cell| cell.starts_with(comment))) {
                continue;
            }
            builder.add(line, &cells).map_err(|(column, fault, text)| DatasetError::Refused {
                path: path.clone(),
                line,
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

    fn add(&mut self, line: u64, cells: &[Cow<'_, str>]) -> Result<(), Refusal> {
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
