//! How decisions were made: by which recipe, by whose models and with which rules. A card says it above them, and takes none that
//! belong to something else.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::folds::Grouping;
use crate::sealed::digits_of;

/// Files are read so many bytes at a time.
const CHUNK_BYTES: usize = 1 << 16;

/// How decisions were made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The [`digest`] of `recipe.toml`.
    pub recipe: String,
    /// Who decided.
    pub judges: Judges,
    /// Whose rules stood beside the models; none where they were the default ones.
    pub config: Option<Config>,
}

/// Who decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judges {
    /// `model.json` as it was.
    AsItIs {
        /// Its [`digest`].
        model: String,
    },
    /// Models that were trained for it, each without the captures that it decides about.
    Trained {
        /// The [`digest`] of the table of rows.
        rows: String,
        /// What each of them has not seen.
        unseen: Grouping,
        /// How many parts that was split into.
        parts: usize,
    },
}

/// A configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// What it was called.
    pub path: String,
    /// Its [`digest`].
    pub digest: String,
}

/// The files that a card is written from.
#[derive(Clone, Copy, Debug)]
pub struct Files<'a> {
    /// `recipe.toml`.
    pub recipe: &'a Path,
    /// `model.json`.
    pub model: &'a Path,
    /// The table of rows.
    pub rows: &'a Path,
}

/// The SHA-256 of a file, in hexadecimal digits.
///
/// # Errors
/// The file cannot be read.
pub fn digest(path: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut chunk) = (File::open(path)?, Sha256::new(), vec![0; CHUNK_BYTES]);
    loop {
        let count = file.read(&mut chunk)?;
        let Some(read) = chunk.get(..count).filter(|read| !read.is_empty()) else { break };
        hash.update(read);
    }
    Ok(digits_of(&hash.finalize()))
}

impl Provenance {
    /// Whom the decisions are about, as the end of a heading.
    #[must_use]
    pub fn title(&self) -> String {
        match self.judges {
            Judges::AsItIs { .. } => String::from("by the finished model, which may have learnt from these captures"),
            Judges::Trained { unseen, .. } => {
                format!("about captures of {} that the model has not seen", unseen.plural())
            }
        }
    }

    /// What was done, in a sentence.
    #[must_use]
    pub fn method(&self) -> String {
        let rules = match &self.config {
            None => String::from("the default rules"),
            Some(Config { path, digest }) => format!("the rules of `{path}` (SHA-256 `{digest}`)"),
        };
        let judges = match &self.judges {
            Judges::AsItIs { model } => format!("by `model.json` as it is (SHA-256 `{model}`)"),
            Judges::Trained { unseen, parts, .. } => {
                format!(
                    "by a model of all {0} but some, about the captures of those; the {0} are in {parts} parts",
                    unseen.plural()
                )
            }
        };
        format!("`sluice replay` in mode enforce with {rules}, {judges}.")
    }

    /// The first of these files that is another one than the decisions were made with.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn differs<'a>(&self, files: &Files<'a>) -> io::Result<Option<&'a Path>> {
        let (path, made_with) = match &self.judges {
            Judges::AsItIs { model } => (files.model, model),
            Judges::Trained { rows, .. } => (files.rows, rows),
        };
        for (path, made_with) in [(files.recipe, &self.recipe), (path, made_with)] {
            if digest(path)? != *made_with {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }
}
