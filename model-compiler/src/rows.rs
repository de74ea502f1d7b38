//! The table between extraction and training: one row per checkpoint of a flow, with the label of its corpus.
//!
//! On disk it is CSV, so that anything can look into it. The first line names the feature schema: rows of another one
//! are refused. Numbers stand as the shortest decimal that gives the same `f32` again, so nothing is lost on the way.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, StringRecord, WriterBuilder};
use traffic::features::schema::schema_hash_text;
use traffic::features::{FEATURE_COUNT, FEATURES, FeatureVector};

/// The first word of the file.
const MAGIC: &str = "sluice-rows";

/// The columns before the features.
const LEADING: [&str; 6] = ["capture", "source", "label", "initiator", "flow", "packets"];

/// Why a table cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The file cannot be read or written, or is no CSV.
    #[error("{path}")]
    Csv {
        /// The table.
        path: PathBuf,
        /// Why not.
        source: csv::Error,
    },
    /// Not a table of rows, or for another schema.
    #[error(
        "{path}, line {line}: it holds no rows of the feature schema {}{found}: make them with `model-compiler extract`, or \
         `sluice export-rows`",
        schema_hash_text()
    )]
    Schema {
        /// The table.
        path: PathBuf,
        /// The line that is not as it should be: 1 names the schema, 2 the columns.
        line: usize,
        /// The schema that it names instead, in words that go on after this program's.
        found: String,
    },
    /// A cell that is not what its column says.
    #[error("{path}, line {line}, column {column}: {cell:?} is no number")]
    Cell {
        /// The table.
        path: PathBuf,
        /// The line in the file, counted from 1.
        line: u64,
        /// What stands there.
        cell: String,
        /// The column.
        column: String,
    },
}

/// All rows, with the captures and labels that they refer to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// The captures, in the order in which they first occur.
    pub captures: Vec<Capture>,
    /// The labels, in the order in which they first occur.
    pub labels: Vec<String>,
    /// The rows, those of one capture next to each other.
    pub rows: Vec<Row>,
}

/// Where rows come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// The corpus and the file.
    pub name: String,
    /// Who published it.
    pub source: String,
}

/// A flow at a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Place of its capture.
    pub capture: usize,
    /// Place of its label.
    pub label: usize,
    /// Number of the address that began the flow, in the order in which they first occur in the capture.
    pub initiator: u64,
    /// Number of the flow in the capture.
    pub flow: u64,
    /// How many packets the flow had by then.
    pub packets: u64,
    /// What the model sees.
    pub features: FeatureVector,
}

impl Rows {
    /// The place of the label, which is added if it is new.
    pub fn label(&mut self, name: &str) -> usize {
        self.labels.iter().position(|label| label == name).unwrap_or_else(|| {
            self.labels.push(name.to_owned());
            self.labels.len() - 1
        })
    }

    /// Writes the table.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), RowsError> {
        self.write_records(path).map_err(|source| RowsError::Csv { path: path.to_owned(), source })
    }

    fn write_records(&self, path: &Path) -> Result<(), csv::Error> {
        let mut out = WriterBuilder::new().flexible(true).from_path(path)?;
        out.write_record([MAGIC, &schema_hash_text()])?;
        out.write_record(header())?;
        for row in &self.rows {
            let capture = &self.captures[row.capture];
            for text in [&capture.name, &capture.source, &self.labels[row.label]] {
                out.write_field(text)?;
            }
            for number in [row.initiator, row.flow, row.packets] {
                out.write_field(number.to_string())?;
            }
            for value in row.features {
                out.write_field(value.to_string())?;
            }
            out.write_record(None::<&[u8]>)?;
        }
        Ok(out.flush()?)
    }

    /// Reads a table.
    ///
    /// # Errors
    /// The file cannot be read, is for another schema, or has a cell that does not fit.
    pub fn read(path: &Path) -> Result<Self, RowsError> {
        let broken = |source| RowsError::Csv { path: path.to_owned(), source };
        let mut file = ReaderBuilder::new().flexible(true).has_headers(false).from_path(path).map_err(broken)?;
        let mut record = StringRecord::new();
        for (line, expected) in (1..).zip([vec![MAGIC, &schema_hash_text()], header().collect()]) {
            if !file.read_record(&mut record).map_err(broken)? || record != expected {
                return Err(RowsError::Schema { path: path.to_owned(), line, found: other_schema(&record) });
            }
        }
        let mut rows = Self::default();
        let mut captures = HashMap::new();
        while file.read_record(&mut record).map_err(broken)? {
            rows.add(&record, &mut captures).map_err(|(cell, column)| RowsError::Cell {
                path: path.to_owned(),
                line: record.position().map_or(0, csv::Position::line),
                cell,
                column: column.to_owned(),
            })?;
        }
        Ok(rows)
    }

    /// Adds the row of a record, or gives the cell that does not fit and its column.
    fn add(
        &mut self,
        record: &StringRecord,
        captures: &mut HashMap<String, usize>,
    ) -> Result<(), (String, &'static str)> {
        let cell = |at: usize| record.get(at).unwrap_or_default();
        let whole = |at: usize| cell(at).parse().map_err(|_| (cell(at).to_owned(), LEADING[at]));
        let mut features = [0.0; FEATURE_COUNT];
        for (at, (value, feature)) in features.iter_mut().zip(FEATURES).enumerate() {
            let text = cell(LEADING.len() + at);
            *value = text.parse().map_err(|_| (text.to_owned(), feature.name))?;
        }
        let (initiator, flow, packets) = (whole(3)?, whole(4)?, whole(5)?);
        let capture = *captures.entry(cell(0).to_owned()).or_insert_with(|| {
            self.captures.push(Capture { name: cell(0).to_owned(), source: cell(1).to_owned() });
            self.captures.len() - 1
        });
        let label = self.label(cell(2));
        self.rows.push(Row { capture, label, initiator, flow, packets, features });
        Ok(())
    }
}

/// The schema that the first line of a table names, where it is one of rows.
fn other_schema(record: &StringRecord) -> String {
    match (record.get(0), record.get(1)) {
        (Some(MAGIC), Some(schema)) if *schema != schema_hash_text() => format!(", but of {schema}"),
        (None, _) => String::from(", because it ends here"),
        _ => String::new(),
    }
}

fn header() -> impl Iterator<Item = &'static str> {
    LEADING.into_iter().chain(FEATURES.iter().map(|feature| feature.name))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("sluice-rows-{}-{name}.csv", std::process::id()))
    }

    #[test]
    fn rows_come_back_from_their_file_bit_for_bit() {
        let mut rows = Rows::default();
        for name in ["public/a, with a comma.pcap", "laboratory/b.pcap"] {
            rows.captures.push(Capture { name: name.to_owned(), source: "someone/some".to_owned() });
        }
        let awkward = [0.1, -0.0, f32::MIN_POSITIVE, f32::from_bits(1), f32::MAX, f32::INFINITY, 16_777_217.0, 1e-20];
        for (at, value) in awkward.into_iter().enumerate() {
            let label = rows.label(["benign", "scan"][at % 2]);
            let features = [value; FEATURE_COUNT];
            rows.rows.push(Row { capture: at / 4, label, initiator: 3, flow: at as u64, packets: 8, features });
        }
        let path = scratch("lossless");
        rows.write(&path).unwrap();
        let back = Rows::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        // Debug tells -0 from 0, which == does not.
        assert_eq!(format!("{back:?}"), format!("{rows:?}"));
    }

    #[test]
    fn rows_of_another_schema_are_refused() {
        let path = scratch("schema");
        fs::write(&path, "sluice-rows,0123456789abcdef\ncapture,source\n").unwrap();
        let refusal = Rows::read(&path).unwrap_err();
        fs::remove_file(&path).unwrap();
        let expected = format!(
            ", line 1: it holds no rows of the feature schema {}, but of 0123456789abcdef: ",
            schema_hash_text()
        );
        assert!(refusal.to_string().contains(&expected), "{refusal}");
    }

    #[test]
    fn a_cell_that_is_no_number_is_named() {
        let path = scratch("cell");
        let header: Vec<&str> = header().collect();
        let text = format!("{MAGIC},{}\n{}\na,b,benign,0,1,2,x\n", schema_hash_text(), header.join(","));
        fs::write(&path, text).unwrap();
        let refusal = Rows::read(&path).unwrap_err().to_string();
        fs::remove_file(&path).unwrap();
        assert!(refusal.contains(", line 3, column fwd_packets: \"x\" is no number"), "{refusal}");
    }
}
