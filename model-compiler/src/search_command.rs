//! `model-compiler search`: which settings of a recipe do best on sources that they have not seen.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use model_compiler::search::{TITLES, search};

use crate::bars::Bars;
use crate::{chosen, read_rows, recipe};

/// What to try, and whether to keep it.
#[derive(Args)]
pub struct SearchArguments {
    /// Folder of the model: `[search]` of its recipe.toml is the grid.
    model: PathBuf,
    /// The table of rows.
    #[arg(long)]
    rows: PathBuf,
    /// Write the setting with the least log loss into recipe.toml.
    #[arg(long)]
    write: bool,
}

/// Tries all settings and prints them, the best first.
///
/// # Errors
/// The recipe has no grid, or something cannot be read, trained or written.
pub fn run(arguments: &SearchArguments) -> Result<()> {
    let recipe = recipe(&arguments.model)?;
    let Some(grid) = &recipe.search else { bail!("the recipe has no [search] that says what to try") };
    let rows = read_rows(&arguments.rows, &recipe)?;
    let labelled = chosen(&rows, &recipe)?;
    let trials = search(&rows, &labelled, &recipe, grid, &Bars::new())?;
    println!("{TITLES}");
    for trial in &trials {
        println!("{trial}");
    }
    if let (true, Some(best)) = (arguments.write, trials.first()) {
        let path = arguments.model.join("recipe.toml");
        let text = best.setting.applied(&recipe).rewrite(&path)?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
