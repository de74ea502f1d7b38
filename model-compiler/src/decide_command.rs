//! `model-compiler decide`: the appliance's own decisions about captures of sources that the model has not seen.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use model_compiler::corpus::{self, LabelledCapture};
use model_compiler::decisions::{Appliance, summarise, table};
use model_compiler::extract::BENIGN;
use model_compiler::folds::{Grouping, Parts, Split, split};
use model_compiler::json;
use model_compiler::model::Model;
use model_compiler::progress::Progress;
use model_compiler::recipe::Recipe;
use model_compiler::rows::Rows;
use model_compiler::train::{Labelled, labelled, steps, train};

use crate::bars::Bars;
use crate::named_directory;

/// What to decide about, and with what.
#[derive(Args)]
pub struct DecideArguments {
    /// Folder of the model.
    model: PathBuf,
    /// A corpus, as for `extract`.
    #[arg(long = "corpus", value_name = "NAME=DIR", required = true, value_parser = named_directory)]
    corpora: Vec<(String, PathBuf)>,
    /// The table of rows that was extracted from these corpora.
    #[arg(long)]
    rows: PathBuf,
    /// The `sluice` program.
    #[arg(long)]
    sluice: PathBuf,
    /// A configuration whose rules stand beside the model, in the place of the default ones.
    #[arg(long)]
    config: Option<PathBuf>,
    /// How many parts the sources are split into, from 2 to 50; each is decided about by a model of the others. With
    /// `each-source` each source is one.
    #[arg(long, default_value = "5", value_name = "N|each-source")]
    folds: Parts,
    /// Decide by model.json as it is.
    #[arg(long)]
    as_it_is: bool,
    /// Where to write each decision, as JSON: `evaluate --decisions` takes it into the card.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Trains, replays, prints the summary and writes the decisions.
///
/// # Errors
/// Something cannot be read, written or run.
pub fn decide(arguments: &DecideArguments) -> Result<()> {
    let recipe = Recipe::read(&arguments.model.join("recipe.toml"))?;
    let rows = Rows::read(&arguments.rows)?;
    let labelled = labelled(&rows, &recipe)?;
    let captures = captures(arguments, &recipe)?;
    let appliance = Appliance {
        program: arguments.sluice.clone(),
        scratch: arguments.out.with_extension("models"),
        config: arguments.config.clone(),
    };
    let mut all = Vec::new();
    let bars = Bars::new();
    // Of what belongs to no class none of the models has learnt anything: the first one is asked.
    let mut of_no_class = of_no_class(&captures, &recipe)?;
    for (model, unseen) in models(arguments, &recipe, &rows, &labelled, &bars)? {
        let mut unseen: Vec<&LabelledCapture> = unseen.iter().filter_map(|name| captures.get(*name)).collect();
        unseen.append(&mut of_no_class);
        bars.say(&format!("{}: {} leaves, {} captures", model.name, model.leaves(), unseen.len()));
        all.extend(appliance.decide(&model, &unseen, &bars)?);
    }
    drop(bars);
    println!("{}", table(&summarise(&all, &recipe.class_names()?)));
    for case in all.iter().filter(|case| case.profile == "balanced") {
        let passed = case.caught_s.is_none() && case.label != BENIGN;
        if passed || !case.wrongful.is_empty() {
            println!("{}{} {:?}", if passed { "passed: " } else { "" }, case.capture, case.wrongful);
        }
    }
    let text = serde_json::to_string_pretty(&all)?;
    fs::write(&arguments.out, text).with_context(|| format!("cannot write {}", arguments.out.display()))
}

/// The captures of all corpora, by name.
fn captures(arguments: &DecideArguments, recipe: &Recipe) -> Result<BTreeMap<String, LabelledCapture>> {
    let mut captures = BTreeMap::new();
    for (name, directory) in &arguments.corpora {
        let Some(rules) = recipe.corpora.get(name) else { bail!("the recipe has no [corpora.{name}]") };
        let corpus = corpus::read(name, directory, rules.background)?;
        captures.extend(corpus.captures.into_iter().map(|capture| (capture.name.clone(), capture)));
    }
    Ok(captures)
}

/// The captures whose labels are those of no class.
fn of_no_class<'a>(
    captures: &'a BTreeMap<String, LabelledCapture>,
    recipe: &Recipe,
) -> Result<Vec<&'a LabelledCapture>> {
    let rules = recipe.class_rules()?;
    let is_known = |label: &String| rules.iter().any(|rule| rule.labels.contains(label));
    Ok(captures.values().filter(|capture| !is_known(&capture.label)).collect())
}

/// Models, each with the names of the captures that it is to decide about.
fn models<'a>(
    arguments: &DecideArguments,
    recipe: &Recipe,
    rows: &'a Rows,
    labelled: &[Labelled<'_>],
    bars: &Bars,
) -> Result<Vec<(Model, Vec<&'a str>)>> {
    let mut has_rows = vec![false; rows.captures.len()];
    labelled.iter().for_each(|case| has_rows[case.row.capture] = true);
    let names = |wanted: &dyn Fn(usize) -> bool| -> Vec<&'a str> {
        let all = rows.captures.iter().enumerate();
        all.filter(|(at, _)| has_rows[*at] && wanted(*at)).map(|(_, capture)| capture.name.as_str()).collect()
    };
    if arguments.as_it_is {
        let path = arguments.model.join("model.json");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        return Ok(vec![(json::read(&text)?, names(&|_| true))]);
    }
    let classes = recipe.class_rules()?.len();
    let Split { fold_of, folds } = split(rows, labelled, classes, Grouping::Source, arguments.folds);
    let mut models = Vec::new();
    bars.begin("trees", steps(recipe) * folds as u64);
    for fold in 0..folds {
        let learnt: Vec<Labelled<'_>> =
            labelled.iter().filter(|case| fold_of[case.row.capture] != fold).copied().collect();
        let mut model = train(rows, &learnt, recipe, bars)?;
        model.name = format!("{}-without-{fold}", model.name);
        models.push((model, names(&|at| fold_of[at] == fold)));
    }
    Ok(models)
}
