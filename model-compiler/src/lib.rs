//! From labelled captures to a model, and from a model to Rust.
//!
//! A model is a file, `models/<name>/model.json`, that people review like source: one node of a tree per line. The build
//! script of the daemon calls [`compile`], which reads the file with [`json`], refuses whatever does not fit the schema of
//! `traffic` or is no tree ([`check`]), and lets [`emit`] write it as Rust, in the [`form`] that was measured to be the better. [`model`] holds the trees as data and walks
//! them, [`forest`] walks them as the tables that the box uses; the compiled function and both walks give the same answer
//! for every vector, bit for bit.
//!
//! With the feature `train` the crate also makes models. `corpus` reads which captures there are and how each is
//! labelled, `extract` runs them through the extractor of the daemon into `rows`, `train` weighs these as the `recipe`
//! says (`ranges` notes where their values lie) and `grow` makes a tree of them, or `boost` many, `calibration` corrects how sure
//! it is, `evaluate` measures such trees on captures that they have not seen (`folds`, `scores`, `measures` by `ranking`) and
//! what the appliance would decide about them (`decisions`), and `card` and `report` write down what was measured; `search` tries
//! settings by the same folds.
//! `import` takes models that other libraries have trained, and `retrain` makes a model anew with what people said about
//! alerts. `datasets` reads published tables of flows, on which `learning` grows trees
//! by the same search: `features_report` compares features, and `protocols` measures the learner where others were measured too
//! (`shares`). The feature carries the dependencies that the build script must not wait for.
#![forbid(unsafe_code)]

pub mod check;
pub mod emit;
pub mod forest;
pub mod form;
pub mod json;
pub mod model;
#[cfg(feature = "sealed")]
pub mod sealed;
pub mod spread;

#[cfg(feature = "train")]
pub mod boost;
#[cfg(feature = "train")]
mod bootstrap;
#[cfg(feature = "train")]
pub mod calibration;
#[cfg(feature = "train")]
pub mod card;
#[cfg(feature = "train")]
pub mod corpus;
#[cfg(feature = "train")]
pub mod datasets;
#[cfg(feature = "train")]
pub mod decisions;
#[cfg(feature = "train")]
pub mod drift;
#[cfg(feature = "train")]
pub mod evaluate;
#[cfg(feature = "train")]
pub mod extract;
#[cfg(feature = "train")]
pub mod features_report;
#[cfg(feature = "train")]
pub mod folds;
#[cfg(feature = "train")]
pub mod grow;
#[cfg(feature = "train")]
pub mod import;
#[cfg(feature = "train")]
pub mod learning;
#[cfg(feature = "train")]
pub mod measure_forms;
#[cfg(feature = "train")]
pub mod measures;
#[cfg(feature = "train")]
pub mod progress;
#[cfg(feature = "train")]
pub mod protocols;
#[cfg(feature = "train")]
pub mod random;
#[cfg(feature = "train")]
pub mod ranges;
#[cfg(feature = "train")]
pub mod ranking;
#[cfg(feature = "train")]
pub mod recipe;
#[cfg(feature = "train")]
pub mod report;
#[cfg(feature = "train")]
pub mod retrain;
#[cfg(feature = "train")]
pub mod rows;
#[cfg(feature = "train")]
pub mod save;
#[cfg(feature = "train")]
pub mod scores;
#[cfg(feature = "train")]
pub mod search;
#[cfg(feature = "train")]
pub mod shares;
#[cfg(feature = "train")]
pub mod train;

use form::{Aim, Measured};
use json::ModelError;

/// From the text of a model file to the Rust source that the daemon includes: see [`emit`] for what it defines.
///
/// # Errors
/// Whatever makes the model unfit for this program: see [`ModelError`].
pub fn compile(json: &str, measured: Option<&Measured>, aim: Aim) -> Result<String, ModelError> {
    let model = json::read(json)?;
    Ok(emit::rust(&model, form::of(&model, measured, aim)))
}

/// Recipes of tests, those in `tests/` among them.
#[cfg(all(test, feature = "train"))]
#[path = "../tests/small/mod.rs"]
mod small;
