//! The commands of the trainer that work on tables of flows: `features` and `protocol`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use model_compiler::datasets::faults::{OnFault, Remedy};
use model_compiler::datasets::table::Table;
use model_compiler::datasets::{self, Form};
use model_compiler::features_report::report;
use model_compiler::learning::Examples;
use model_compiler::protocols;
use model_compiler::recipe::Recipe;
use model_compiler::rows::Rows;
use serde::Serialize;

/// What `features` is asked for.
#[derive(Args)]
pub struct FeaturesArguments {
    /// The table of rows that `extract` wrote, or another table of the form given.
    table: PathBuf,
    /// The form of another table.
    #[arg(long)]
    form: Option<Form>,
    /// Which column of a table of the form `mapped` is what.
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// Folder of a model, whose recipe says which labels of our rows make up which class.
    #[arg(long, value_name = "DIR", conflicts_with = "form")]
    recipe: Option<PathBuf>,
    /// Two classes only: this one, and all others taken together.
    #[arg(long, value_name = "CLASS")]
    against: Option<String>,
    /// Let the classes count alike, however many rows they have.
    #[arg(long)]
    balanced: bool,
    /// Name pairs of features with at least this rank correlation.
    #[arg(long, default_value_t = 0.9)]
    level: f64,
    /// Depth of the tree that the importance is taken from.
    #[arg(long, default_value_t = 10)]
    max_depth: usize,
    #[command(flatten)]
    on_fault: FaultArguments,
    /// Also write everything as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What happens to rows with faulty values: `leave-out`, `refuse`, or a number to be put in their place.
#[derive(Args)]
struct FaultArguments {
    /// Rows with a value missing: leave-out, refuse, or the number to take instead.
    #[arg(long, value_name = "WHAT", default_value = "leave-out", allow_hyphen_values = true)]
    on_missing: Remedy,
    /// Rows with an infinite value, likewise.
    #[arg(long, value_name = "WHAT", default_value = "leave-out", allow_hyphen_values = true)]
    on_infinite: Remedy,
    /// Rows with a value that is no number, likewise.
    #[arg(long, value_name = "WHAT", default_value = "leave-out", allow_hyphen_values = true)]
    on_malformed: Remedy,
}

/// What `protocol` is asked for.
#[derive(Args)]
pub struct ProtocolArguments {
    /// The set.
    set: Set,
    /// The folder with its files, under the names that they were published with.
    folder: PathBuf,
    /// Also write everything as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The sets with a protocol.
#[derive(Clone, Copy, ValueEnum)]
enum Set {
    /// NSL-KDD.
    NslKdd,
    /// UNSW-NB15.
    UnswNb15,
}

/// Says what the features of a table are worth.
pub fn features(arguments: &FeaturesArguments) -> Result<()> {
    let table = table(arguments)?;
    eprintln!("{}: {}", arguments.table.display(), table.faults);
    if table.is_empty() {
        bail!("{} has no row to learn from", arguments.table.display());
    }
    let examples = examples(&table, arguments.against.as_deref())?;
    let examples = if arguments.balanced { examples.balanced() } else { examples };
    let report = report(&examples, arguments.level, arguments.max_depth)?;
    print!("{report}");
    write_json(arguments.json.as_deref(), &report)
}

fn table(arguments: &FeaturesArguments) -> Result<Table> {
    let FaultArguments { on_missing: missing, on_infinite: infinite, on_malformed: malformed } = arguments.on_fault;
    let on_fault = OnFault { missing, infinite, malformed };
    if let Some(form) = arguments.form {
        return Ok(datasets::read(form, &arguments.table, arguments.mapping.as_deref(), on_fault, None)?);
    }
    let rows = Rows::read(&arguments.table)?;
    let Some(folder) = &arguments.recipe else {
        return Ok(Table::of_rows(&rows, &|label| Some(label.to_owned())));
    };
    let rules = Recipe::read(&folder.join("recipe.toml"))?.class_rules()?;
    let class = |label: &str| {
        let rule = rules.iter().find(|rule| rule.labels.iter().any(|known| known == label));
        rule.map(|rule| rule.class.name().to_owned())
    };
    Ok(Table::of_rows(&rows, &class))
}

fn examples<'a>(table: &'a Table, against: Option<&str>) -> Result<Examples<'a>> {
    let place = |label: &str| table.labels.iter().position(|known| known == label);
    match against {
        None => {
            let names: Vec<&str> = table.labels.iter().map(String::as_str).collect();
            Ok(Examples::new(table, &names, &|label| place(label).unwrap_or_default()))
        }
        Some(one) if place(one).is_some() => {
            Ok(Examples::new(table, &[one, "others"], &|label| usize::from(label != one)))
        }
        Some(one) => bail!("there is no class {one:?} among {}", table.labels.join(", ")),
    }
}

/// Measures by the protocol of a published set.
pub fn protocol(arguments: &ProtocolArguments) -> Result<()> {
    let measured = match arguments.set {
        Set::NslKdd => protocols::nsl_kdd(&arguments.folder)?,
        Set::UnswNb15 => protocols::unsw_nb15(&arguments.folder)?,
    };
    print!("{measured}");
    write_json(arguments.json.as_deref(), &measured)
}

fn write_json(path: Option<&Path>, value: &impl Serialize) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let text = serde_json::to_string_pretty(value)? + "\n";
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
