//! `model-compiler evaluate`: how good a model is on captures that it has not seen.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use clap::error::ErrorKind;
use model_compiler::decisions::Decisions;
use model_compiler::decisions::provenance::{Files, Judges};
use model_compiler::evaluate::{Evaluation, as_it_is, cross_validate};
use model_compiler::folds::{Grouping, Parts, Split, split};
use model_compiler::model::Model;
use model_compiler::progress::Progress;
use model_compiler::recipe::Recipe;
use model_compiler::rows::Rows;
use model_compiler::train::{Labelled, steps, train};
use model_compiler::{card, json, report};

use crate::bars::Bars;
use crate::decide_command::{digest_of, models_beside, models_that_decided};
use crate::{chosen, read_model, read_rows, recipe};

/// What to measure, and where to write it.
#[derive(Args)]
pub struct EvaluateArguments {
    /// Folder of the model.
    model: PathBuf,
    /// The table of rows.
    #[arg(long)]
    rows: PathBuf,
    /// How many parts the captures are split into, from 2 to 50; or `each-source` or `each-corpus`, which leave out each in turn.
    #[arg(long, default_value = "5", value_name = "N|each-source|each-corpus")]
    folds: Parts,
    /// Test model.json as it is, on rows that it was not trained on.
    #[arg(long)]
    as_it_is: bool,
    /// What `decide` wrote, for the card and the report: one of them at least must be asked for. Where it decided by models of the same
    /// parts, and these still lie beside it, they are measured and not trained a second time.
    #[arg(long, value_name = "FILE")]
    decisions: Option<PathBuf>,
    /// Also write everything as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also write CARD.md into the folder of the model.
    #[arg(long)]
    card: bool,
    /// Also draw curves, errors, calibration and ranges: one HTML file that needs nothing else.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Measures, prints, and writes what was asked for.
///
/// # Errors
/// Something cannot be read, trained or written.
pub fn evaluate(arguments: &EvaluateArguments) -> Result<()> {
    if arguments.decisions.is_some() && !arguments.card && arguments.report.is_none() {
        let why = "--decisions are for the card and the report: give --card or --report FILE as well\n";
        clap::Error::raw(ErrorKind::MissingRequiredArgument, why).exit();
    }
    let folder = &arguments.model;
    let recipe = recipe(folder)?;
    // Before hours are spent on measuring.
    let decided = arguments.decisions.as_deref().map(|path| read_decisions(path, arguments)).transpose()?;
    let rows = read_rows(&arguments.rows, &recipe)?;
    let labelled = chosen(&rows, &recipe)?;
    if !arguments.as_it_is && (arguments.card || arguments.report.is_some()) {
        ensure_trained(arguments, &recipe, &rows, &labelled)?;
    }
    let mut evaluations = Vec::new();
    if arguments.as_it_is {
        evaluations.push(as_it_is(&read_model(&folder.join("model.json"))?, &rows, &labelled, &recipe)?);
    } else {
        let groupings = match arguments.folds {
            Parts::Count(_) => vec![Grouping::Capture, Grouping::Source],
            Parts::Each(grouping) => vec![grouping],
        };
        for grouping in groupings {
            let split = split(&rows, &labelled, recipe.class_count(), grouping, arguments.folds);
            let made = judges(arguments, decided.as_ref(), &split, &recipe)?;
            let bars = Bars::new();
            evaluations.push(cross_validate(&rows, &labelled, &recipe, grouping, arguments.folds, &made, &bars)?);
        }
    }
    for evaluation in &evaluations {
        println!("{evaluation}");
    }
    if let Some(path) = &arguments.json {
        fs::write(path, serde_json::to_string_pretty(&evaluations)?)?;
    }
    if let Some(path) = &arguments.report {
        let model = read_model(&folder.join("model.json"))?;
        let page = report::report(&model, &recipe, &labelled, &evaluations, decided.as_ref())?;
        fs::write(path, page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if arguments.card {
        write_card(folder, &recipe, &rows, &labelled, &evaluations, decided.as_ref())?;
    }
    Ok(())
}

fn write_card(
    folder: &Path,
    recipe: &Recipe,
    rows: &Rows,
    labelled: &[Labelled<'_>],
    evaluations: &[Evaluation],
    decided: Option<&Decisions>,
) -> Result<()> {
    let model = read_model(&folder.join("model.json"))?;
    let text = card::card(&model, recipe, rows, labelled, evaluations, decided, "make model")?;
    let target = folder.join("CARD.md");
    fs::write(&target, text).with_context(|| format!("cannot write {}", target.display()))
}

/// Card and report describe `model.json`; measured are trees that are trained anew, which must be its like.
fn ensure_trained(
    arguments: &EvaluateArguments,
    recipe: &Recipe,
    rows: &Rows,
    labelled: &[Labelled<'_>],
) -> Result<()> {
    let path = arguments.model.join("model.json");
    let found = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let bars = Bars::new();
    bars.begin("trees", steps(recipe));
    ensure!(
        json::write(&train(rows, labelled, recipe, &bars)?)? == found,
        "{} is not what `train` makes of {} by this recipe, so the card and the report would describe one model and measure \
         others: run `train` again, or give --as-it-is to measure model.json itself",
        path.display(),
        arguments.rows.display()
    );
    Ok(())
}

/// The models that made the decisions, if they are of these parts and still there.
fn judges(
    arguments: &EvaluateArguments,
    decided: Option<&Decisions>,
    split: &Split,
    recipe: &Recipe,
) -> Result<Vec<Model>> {
    let Some((path, decided)) = arguments.decisions.as_ref().zip(decided) else { return Ok(Vec::new()) };
    let who = Judges::Trained { rows: digest_of(&arguments.rows)?, unseen: split.grouping, parts: split.folds };
    if decided.provenance.judges == who && models_beside(path).is_dir() {
        models_that_decided(path, &recipe.name, split.folds)
    } else {
        Ok(Vec::new())
    }
}

/// What `decide` wrote, if it is about this model.
fn read_decisions(path: &Path, arguments: &EvaluateArguments) -> Result<Decisions> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let decisions: Decisions = serde_json::from_str(&text)
        .with_context(|| format!("{} holds no decisions: make them with `decide`", path.display()))?;
    let files = ["recipe.toml", "model.json"].map(|name| arguments.model.join(name));
    let files = Files { recipe: &files[0], model: &files[1], rows: &arguments.rows };
    if let Some(other) =
        decisions.provenance.differs(&files).context("cannot tell whether the decisions belong here")?
    {
        bail!("{} was made with another {}: run `decide` again", path.display(), other.display());
    }
    ensure!(
        !arguments.as_it_is || matches!(decisions.provenance.judges, Judges::AsItIs { .. }),
        "{} is about models that were trained anew, and --as-it-is about model.json: run `decide` with --as-it-is too",
        path.display()
    );
    Ok(decisions)
}
