//! Where the features and the label stand in the rows of a file.

use std::borrow::Cow;

/// What does not fit about the columns of a file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// A column is not there.
    #[error("there is no column {0:?}")]
    NoColumn(String),
    /// There is nothing to learn from.
    #[error("there is no column of features")]
    NoFeatures,
    /// There is no header at all.
    #[error("there is no header")]
    NoHeader,
    /// Nobody can say where its columns end.
    #[error("the header has a quotation mark that nothing closes in its line")]
    Unclosed,
}

/// How the rows of a file are read.
pub struct Layout<'a> {
    /// How rows begin that hold nothing.
    pub comment: Option<char>,
    /// How many cells a row has.
    pub cells: usize,
    /// The columns of the table.
    pub columns: Vec<Source>,
    /// The name of the column with the label, for complaints.
    pub label: String,
    /// The label of a row, if the form knows such a label; the words of a label are the file's own.
    pub label_of: LabelOf<'a>,
}

/// Finds the label among the cells of a row.
pub type LabelOf<'a> = Box<dyn Fn(&[Cow<'_, str>]) -> Option<String> + 'a>;

/// A column of the table, and where it stands in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Its name in the table.
    pub name: String,
    /// Its place among the cells of a row.
    pub at: usize,
    /// What stands there.
    pub kind: Kind,
}

/// What stands in a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Numbers, which are multiplied by the factor.
    Number {
        /// From the unit of the file to that of the table.
        factor: f64,
    },
    /// Words; with a list, these and no others.
    Words(Option<Vec<String>>),
}

impl Kind {
    /// Numbers in the unit of the file.
    pub const PLAIN: Self = Self::Number { factor: 1.0 };
}

/// Where a column stands that must be there. White space around names does not count.
///
/// # Errors
/// It is not there.
pub fn place(header: &[String], name: &str) -> Result<usize, HeaderError> {
    header.iter().position(|known| known == name).ok_or_else(|| HeaderError::NoColumn(name.to_owned()))
}

/// All columns of a header but some, as numbers or words.
///
/// # Errors
/// None is left.
pub fn all_but(header: &[String], left_out: &[&str], words: &[&str]) -> Result<Vec<Source>, HeaderError> {
    let named = header.iter().enumerate().filter(|(_, name)| !left_out.contains(&name.as_str()));
    let columns: Vec<Source> = named
        .map(|(at, name)| {
            let kind = if words.contains(&name.as_str()) { Kind::Words(None) } else { Kind::PLAIN };
            Source { name: name.clone(), at, kind }
        })
        .collect();
    if columns.is_empty() { Err(HeaderError::NoFeatures) } else { Ok(columns) }
}
