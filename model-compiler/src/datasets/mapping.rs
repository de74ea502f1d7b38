//! Any other table of flows, such as NetFlow exported as CSV: a file of TOML says which column is which feature, which is
//! the label, and which words of it make up which class.
//!
//! ```toml
//! delimiter = ","                # the default
//! columns = ["first", "pr"]      # names, for a file without a header
//!
//! [label]
//! column = "tag"
//! [label.classes]                # rows with another word are left out and counted
//! benign = ["normal", "0"]
//! scan = ["portscan"]
//!
//! [[feature]]
//! name = "duration_s"            # in the table
//! column = "td"                  # in the file; the same as the name unless given
//! factor = 0.001                 # from the unit of the file to that of the table; 1 unless given
//!
//! [[feature]]
//! name = "protocol"
//! column = "pr"
//! words = ["TCP", "UDP"]         # in the order of their codes: other words become -1; [] takes whatever words occur
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use csv_core::ReaderBuilder;
use serde::Deserialize;

use super::DatasetError;
use super::faults::OnFault;
use super::layout::{HeaderError, Kind, Layout, Source, place};
use super::reader::Lines;
use super::table::{Column, Table};

/// Why a mapping cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] std::io::Error),
    /// It is no mapping.
    #[error(transparent)]
    Form(#[from] toml::de::Error),
    /// The delimiter is not one byte.
    #[error("the delimiter {0:?} is not a single byte")]
    Delimiter(String),
    /// A factor that makes nothing of numbers.
    #[error("the factor of {0:?} must be a finite number other than 0")]
    Factor(String),
    /// Numbers are not words.
    #[error("the feature {0:?} has both a factor and words")]
    WordsAndFactor(String),
    /// Two features of one name.
    #[error("there are two features {0:?}")]
    FeatureTwice(String),
    /// A word that is to become two classes.
    #[error("the label {0:?} belongs to two classes")]
    LabelTwice(String),
}

/// A mapping.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mapping {
    #[serde(default = "comma")]
    delimiter: String,
    columns: Option<Vec<String>>,
    label: Label,
    feature: Vec<Feature>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Label {
    column: String,
    classes: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Feature {
    name: String,
    column: Option<String>,
    factor: Option<f64>,
    words: Option<Vec<String>>,
}

fn comma() -> String {
    ",".to_owned()
}

/// Reads a table as the mapping says.
///
/// # Errors
/// One of the files cannot be read, the mapping contradicts itself or names columns that are not there, or the table
/// holds what `on_fault` refuses.
pub fn read(path: &Path, mapping: &Path, on_fault: OnFault, known: Option<&[Column]>) -> Result<Table, DatasetError> {
    let unusable = |source| DatasetError::Mapping { path: mapping.display().to_string(), source };
    let (mapping, class_of) = Mapping::read(mapping).map_err(unusable)?;
    let delimiter = mapping.delimiter().map_err(unusable)?;
    let mut lines = Lines::open(path, ReaderBuilder::new().delimiter(delimiter))?;
    let header = match &mapping.columns {
        Some(columns) => columns.clone(),
        None => lines.header()?,
    };
    let found = || Ok((place(&header, &mapping.label.column)?, mapping.sources(&header)?));
    let (label, columns) = found().map_err(|error| lines.misfit(error))?;
    let layout = Layout {
        comment: None,
        cells: header.len(),
        columns,
        label: mapping.label.column.clone(),
        label_of: Box::new(move |cells| class_of.get(cells[label].as_ref()).cloned()),
    };
    lines.table(&layout, on_fault, known)
}

impl Mapping {
    /// Reads a mapping, and gives the class of each word of the label with it.
    fn read(path: &Path) -> Result<(Self, BTreeMap<String, String>), MappingError> {
        let mapping: Self = toml::from_str(&fs::read_to_string(path)?)?;
        mapping.check_features()?;
        let class_of = mapping.class_of()?;
        Ok((mapping, class_of))
    }

    fn check_features(&self) -> Result<(), MappingError> {
        for (at, feature) in self.feature.iter().enumerate() {
            let name = || feature.name.clone();
            if feature.factor.is_some_and(|factor| factor == 0.0 || !factor.is_finite()) {
                return Err(MappingError::Factor(name()));
            }
            if feature.factor.is_some() && feature.words.is_some() {
                return Err(MappingError::WordsAndFactor(name()));
            }
            if self.feature[..at].iter().any(|earlier| earlier.name == feature.name) {
                return Err(MappingError::FeatureTwice(name()));
            }
        }
        Ok(())
    }

    fn class_of(&self) -> Result<BTreeMap<String, String>, MappingError> {
        let mut class_of = BTreeMap::new();
        for (class, words) in &self.label.classes {
            for word in words {
                if class_of.insert(word.clone(), class.clone()).is_some() {
                    return Err(MappingError::LabelTwice(word.clone()));
                }
            }
        }
        Ok(class_of)
    }

    fn delimiter(&self) -> Result<u8, MappingError> {
        match self.delimiter.as_bytes() {
            [byte] => Ok(*byte),
            _ => Err(MappingError::Delimiter(self.delimiter.clone())),
        }
    }

    fn sources(&self, header: &[String]) -> Result<Vec<Source>, HeaderError> {
        let source = |feature: &Feature| {
            let kind = match &feature.words {
                Some(words) => Kind::Words((!words.is_empty()).then(|| words.clone())),
                None => Kind::Number { factor: feature.factor.unwrap_or(1.0) },
            };
            let column = feature.column.as_ref().unwrap_or(&feature.name);
            Ok(Source { name: feature.name.clone(), at: place(header, column)?, kind })
        };
        if self.feature.is_empty() { Err(HeaderError::NoFeatures) } else { self.feature.iter().map(source).collect() }
    }
}
