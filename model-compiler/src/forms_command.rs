//! `model-compiler forms`: measures both forms of a compiled model, and writes down which the build is to take.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use model_compiler::emit::Form;
use model_compiler::form::{self, Aim, Cost};
use model_compiler::measure_forms::measure;
use model_compiler::rows::Rows;
use traffic::features::FeatureVector;

use crate::read_model;

/// Rows that are asked about, in runs as they stand in the table: how well a processor guesses depends on what comes before.
const QUESTIONS: usize = 20_000;
const RUN: usize = 50;

#[derive(Args)]
pub struct FormsArguments {
    /// Folder of the model; form.json is written into it.
    model: PathBuf,
    /// A table of rows, such as the one that the model was trained on.
    #[arg(long)]
    rows: PathBuf,
    /// Where both forms are compiled.
    #[arg(long, default_value = "target/forms")]
    folder: PathBuf,
}

pub fn forms(arguments: &FormsArguments) -> Result<()> {
    let model = read_model(&arguments.model.join("model.json"))?;
    let rows = Rows::read(&arguments.rows)?;
    let measured = measure(&model, &questions(&rows), &arguments.folder)?;
    for form in Form::ALL {
        let Cost { verdict_ns, code_bytes, constant_bytes } = measured.cost(form);
        let name = form.name();
        println!("{name:<5} {verdict_ns:>9.1} ns a verdict, {code_bytes} bytes of code, {constant_bytes} of constants");
    }
    let [fast, small] = [Aim::Speed, Aim::Small].map(|aim| measured.choice(aim).name());
    println!("the build takes {fast}, and {small} where it is to be small");
    let path = arguments.model.join(form::FILE);
    let text = serde_json::to_string_pretty(&measured)? + "\n";
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Runs of rows from all over the table.
fn questions(rows: &Rows) -> Vec<FeatureVector> {
    let runs: Vec<_> = rows.rows.chunks(RUN).collect();
    let step = runs.len().div_ceil(QUESTIONS / RUN).max(1);
    runs.iter().step_by(step).flat_map(|run| run.iter().map(|row| row.features)).collect()
}
