//! The trainer's command line: `extract`, `train`, `evaluate`, `decide`, `drift`, `search`, `retrain`, `import`, `forms`, `compile`;
//! for model files `keygen` and `seal`; for tables of flows `features` and `protocol`.
//!
//! Exit codes: 0 fine, 1 an error at run time, 2 bad usage. Progress goes to standard error.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Parser;
use model_compiler::corpus::Corpus;
use model_compiler::form::{self, Aim, Measured};
use model_compiler::model::Model;
use model_compiler::progress::Progress;
use model_compiler::recipe::Recipe;
use model_compiler::rows::Rows;
use model_compiler::save::save;
use model_compiler::train::{Labelled, labelled, steps, train_and_assess};
use model_compiler::{calibration, corpus, drift, emit, extract, import, json};

use bars::Bars;
use dataset_commands::{FeaturesArguments, ProtocolArguments};
use decide_command::DecideArguments;
use evaluate_command::EvaluateArguments;
use forms_command::FormsArguments;
use retrain_command::RetrainArguments;
use seal_command::{KeygenArguments, SealArguments};
use search_command::SearchArguments;

mod bars;
mod dataset_commands;
mod decide_command;
mod evaluate_command;
mod forms_command;
mod retrain_command;
mod seal_command;
mod search_command;
#[cfg(test)]
#[path = "../tests/small/mod.rs"]
mod small;

/// Makes, measures and compiles Sluice's models.
#[derive(Parser)]
#[command(name = "model-compiler", version)]
enum Command {
    /// From labelled captures to a table of rows.
    Extract {
        /// Folder of the model: its recipe.toml says how each corpus is read.
        model: PathBuf,
        /// A corpus, a folder with labels.csv and pcap/, by its name in the recipe. May be given several times.
        #[arg(long = "corpus", value_name = "NAME=DIR", required = true, value_parser = named_directory)]
        corpora: Vec<(String, PathBuf)>,
        /// The table to write.
        #[arg(long)]
        rows: PathBuf,
    },
    /// From rows to model.json, as recipe.toml says.
    Train {
        /// Folder of the model.
        model: PathBuf,
        /// The table of rows.
        #[arg(long)]
        rows: PathBuf,
    },
    /// How good such a model is on captures that it has not seen, by capture and by source.
    Evaluate(EvaluateArguments),
    /// Makes a model anew, with what people said about the alerts of their appliances.
    Retrain(RetrainArguments),
    /// From the model of another library to model.json.
    Import(import::Arguments),
    /// Measures both forms of a compiled model, nested ifs and tables, and writes down which the build takes: form.json.
    Forms(FormsArguments),
    /// Checks a model.json, and shows the Rust that the build makes of it.
    Compile {
        /// The model.json.
        model: PathBuf,
        /// Print the Rust.
        #[arg(long)]
        print: bool,
    },
    /// What the appliance decides about captures of sources that the model has not seen: whom it blocks, and when.
    Decide(DecideArguments),
    /// Which settings of the recipe do best on sources that they have not seen.
    Search(SearchArguments),
    /// How far harmless traffic of sources that the model has not seen lies from its training data.
    ///
    /// By the bins and the index of the box. It counts all harmless flows at their ends; the box counts those that it did not take
    /// for an attack, up to 32 in a second.
    Drift {
        /// Folder of the model.
        model: PathBuf,
        /// The table of rows.
        #[arg(long)]
        rows: PathBuf,
        /// Sources with fewer flows say nothing.
        #[arg(long, default_value_t = 2000)]
        least_flows: usize,
    },
    /// Makes a key that model files are signed with, and prints the public one that belongs to it.
    Keygen(KeygenArguments),
    /// From model.json to a signed file that `sluice model load` takes.
    Seal(SealArguments),
    /// What each feature says about the class, and which say the same.
    Features(FeaturesArguments),
    /// How good the learner is by the protocol of a published set, beside the best single comparison.
    Protocol(ProtocolArguments),
}

fn named_directory(argument: &str) -> Result<(String, PathBuf), String> {
    let (name, directory) = argument.split_once('=').ok_or("it must be NAME=DIR")?;
    Ok((name.to_owned(), directory.into()))
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Extract { model, corpora, rows } => extract_rows(&recipe(&model)?, &corpora, &rows),
        Command::Train { model, rows } => train_model(&model, &rows),
        Command::Evaluate(arguments) => evaluate_command::evaluate(&arguments),
        Command::Retrain(arguments) => retrain_command::retrain(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Forms(arguments) => forms_command::forms(&arguments),
        Command::Compile { model, print } => compile_model(&model, print),
        Command::Decide(arguments) => decide_command::decide(&arguments),
        Command::Search(arguments) => search_command::run(&arguments),
        Command::Drift { model, rows, least_flows } => drift_of(&model, &rows, least_flows),
        Command::Keygen(arguments) => seal_command::keygen(&arguments),
        Command::Seal(arguments) => seal_command::seal_model(&arguments),
        Command::Features(arguments) => dataset_commands::features(&arguments),
        Command::Protocol(arguments) => dataset_commands::protocol(&arguments),
    }
}

fn recipe(model: &Path) -> Result<Recipe> {
    Ok(Recipe::read(&model.join("recipe.toml"))?)
}

fn extract_rows(recipe: &Recipe, corpora: &[(String, PathBuf)], path: &Path) -> Result<()> {
    let mut rows = Rows::default();
    let bars = Bars::new();
    for (name, directory) in corpora {
        let corpus = read_corpus(recipe, name, directory)?;
        bars.say(&format!("{name}: {} captures, {} skipped", corpus.captures.len(), corpus.skipped.len()));
        for (capture, why) in &corpus.skipped {
            bars.say(&format!("  skipped {capture}: {why}"));
        }
        bars.begin(name, corpus.captures.len() as u64);
        for capture in &corpus.captures {
            if let Some(complaint) = extract::extract(capture, &mut rows)? {
                bars.say(&format!("  {}: {complaint}", capture.name));
            }
            bars.step();
        }
    }
    drop(bars);
    rows.write(path)?;
    eprintln!("{} rows of {} captures in {}", rows.rows.len(), rows.captures.len(), path.display());
    Ok(())
}

/// A corpus, as the recipe says that it is to be read. Sources are as published.
fn read_corpus(recipe: &Recipe, name: &str, directory: &Path) -> Result<Corpus> {
    let Some(rules) = recipe.corpora.get(name) else { bail!("the recipe has no [corpora.{name}]") };
    Ok(corpus::read(name, directory, rules.background)?)
}

/// A table of rows, whose sources are those of the recipe: in the file they are as published.
fn read_rows(path: &Path, recipe: &Recipe) -> Result<Rows> {
    let mut rows = Rows::read(path)?;
    for capture in &mut rows.captures {
        capture.source = recipe.source(&capture.source).to_owned();
    }
    Ok(rows)
}

fn train_model(folder: &Path, path: &Path) -> Result<()> {
    let recipe = recipe(folder)?;
    let rows = read_rows(path, &recipe)?;
    let labelled = chosen(&rows, &recipe)?;
    let bars = Bars::new();
    bars.begin("trees", steps(&recipe));
    let (model, reliability) = train_and_assess(&rows, &labelled, &recipe, &bars)?;
    drop(bars);
    if !reliability.is_empty() {
        print!("{}", calibration::table(&reliability));
    }
    let path = save(&model, folder)?;
    eprintln!("{}: {} leaves, depth {}", path.display(), model.leaves(), model.depth());
    Ok(())
}

fn drift_of(folder: &Path, path: &Path, least_flows: usize) -> Result<()> {
    let (recipe, model) = (recipe(folder)?, read_model(&folder.join("model.json"))?);
    let rows = read_rows(path, &recipe)?;
    for drift in drift::by_source(&rows, &chosen(&rows, &recipe)?, &recipe, &model, least_flows)? {
        println!("{drift}");
    }
    Ok(())
}

fn chosen<'a>(rows: &'a Rows, recipe: &Recipe) -> Result<Vec<Labelled<'a>>> {
    let labelled = labelled(rows, recipe)?;
    eprintln!("{} of {} rows have a class of the recipe", labelled.len(), rows.rows.len());
    Ok(labelled)
}

fn read_model(path: &Path) -> Result<Model> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    json::read(&text).with_context(|| format!("cannot use {}", path.display()))
}

fn compile_model(path: &Path, print: bool) -> Result<()> {
    let model = read_model(path)?;
    let tables = model.tables();
    let form = form::of(&model, read_measured(&path.with_file_name(form::FILE))?.as_ref(), Aim::Speed);
    eprintln!(
        "{}: trees {}, leaves {}, at most {} comparisons deep and {} for a verdict; {} bytes as tables; compiled as {}",
        path.display(),
        model.trees.len(),
        model.leaves(),
        model.depth(),
        tables.most_comparisons(),
        tables.bytes(),
        form.name(),
    );
    if print {
        print!("{}", emit::rust(&model, form));
    }
    Ok(())
}

/// What was measured of both forms, if it was.
fn read_measured(path: &Path) -> Result<Option<Measured>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Measured::read(&text)
        .map(Some)
        .with_context(|| format!("cannot use {}: make it again with `forms`", path.display()))
}
