//! `model-compiler retrain`: a new model folder from an old one and the labelled alerts of appliances.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use model_compiler::check::check_name;
use model_compiler::recipe::Recipe;
use model_compiler::retrain::{Lessons, Retrained};
use model_compiler::save::save;

use crate::bars::Bars;
use crate::{read_model, read_rows, recipe};

/// What to train anew, and with what.
#[derive(Debug, Args)]
pub struct RetrainArguments {
    /// Folder of the model: its recipe is followed again, and its model.json is compared with.
    model: PathBuf,
    /// The table of rows that the model was trained on.
    #[arg(long)]
    rows: PathBuf,
    /// A table of labelled alerts, from `sluice export-rows`. May be given several times.
    #[arg(long, value_name = "FILE", required = true)]
    labelled: Vec<PathBuf>,
    /// How many captures each labelled alert stands for.
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = weight)]
    weight: f64,
    /// Folder of the new model, whose name it gives; where it is not given, that of the old one with the next free number.
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
}

fn weight(text: &str) -> Result<f64, String> {
    let weight = text.parse().ok().filter(|weight: &f64| weight.is_finite() && *weight > 0.0);
    weight.ok_or_else(|| format!("{text:?} is no number above 0"))
}

pub fn retrain(arguments: &RetrainArguments) -> Result<()> {
    let recipe = recipe(&arguments.model)?;
    let old = read_model(&arguments.model.join("model.json"))?;
    let folder = arguments.into.clone().map_or_else(|| next_folder(&arguments.model), Ok)?;
    ensure!(!folder.join("model.json").exists(), "{} holds a model already: give another --into", folder.display());
    let name = folder.file_name().and_then(|name| name.to_str()).context("--into has no name that a model can have")?;
    check_name(name).with_context(|| format!("{} is no folder of a model: give another --into", folder.display()))?;
    let recipe_text = recipe_text(arguments, &recipe, name)?;
    let lessons = Lessons::new(read_rows(&arguments.rows, &recipe)?, &arguments.labelled, &recipe)?;
    let Retrained { mut model, comparison } = lessons.retrain(&recipe, &old, arguments.weight, &Bars::new())?;
    model.name = name.to_owned();
    let path = save(&model, &folder)?;
    let recipe_path = folder.join("recipe.toml");
    fs::write(&recipe_path, recipe_text).with_context(|| format!("cannot write {}", recipe_path.display()))?;
    println!("{comparison}");
    println!("{}: {} leaves, depth {}", path.display(), model.leaves(), model.depth());
    Ok(())
}

/// `forest-2` beside `forest`, or the first number behind it that is free.
fn next_folder(model: &Path) -> Result<PathBuf> {
    let name = model.file_name().and_then(|name| name.to_str());
    let Some(name) = name else { bail!("{} has no name to number: give --into", model.display()) };
    let numbered = (2..1_000).map(|number| model.with_file_name(format!("{name}-{number}")));
    numbered.into_iter().find(|folder| !folder.exists()).context("no number is free: give --into")
}

/// The recipe under the new name, with what was done beside following it.
fn recipe_text(arguments: &RetrainArguments, recipe: &Recipe, name: &str) -> Result<String> {
    let mut renamed = recipe.clone();
    name.clone_into(&mut renamed.name);
    let renamed = renamed.rewrite(&arguments.model.join("recipe.toml"))?;
    let tables: Vec<String> = arguments.labelled.iter().map(|table| table.display().to_string()).collect();
    Ok(format!(
        "# Made by `model-compiler retrain` from the model {}, with the labelled alerts in {} at the weight {}:\n\
         # `train` alone makes of this recipe the model without them.\n{renamed}",
        recipe.name,
        tables.join(", "),
        arguments.weight
    ))
}
