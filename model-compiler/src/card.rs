//! `CARD.md`: what a model was made from, how good it was found to be, and what it must not be trusted with.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use traffic::features::FEATURES;
use traffic::features::schema::schema_hash_text;

use crate::decisions::tables::{beside_others, by_place, by_threshold, summarise, table};
use crate::decisions::{BALANCED, Decided, Decisions, LONGEST_PAUSE_S};
use crate::evaluate::{Evaluation, faults};
use crate::extract::BENIGN;
use crate::measures::{OfSource, in_words};
use crate::model::Model;
use crate::recipe::{Recipe, RecipeError};
use crate::rows::Rows;
use crate::train::Labelled;

/// The most captures that the card names per measurement.
const NAMED_CAPTURES: usize = 40;

/// What the rows of one class come from.
#[derive(Default)]
struct Origin {
    sources: BTreeSet<usize>,
    captures: BTreeSet<usize>,
    flows: BTreeSet<(usize, u64)>,
    rows: usize,
}

/// The card.
///
/// # Errors
/// The recipe contradicts itself.
pub fn card(
    model: &Model,
    recipe: &Recipe,
    rows: &Rows,
    labelled: &[Labelled<'_>],
    evaluations: &[Evaluation],
    decisions: Option<&Decisions>,
    command: &str,
) -> Result<String, RecipeError> {
    let mut asked: Vec<&str> = model.asked().into_iter().map(|feature| FEATURES[feature].name).collect();
    asked.sort_unstable();
    let mut text = format!(
        "# Model `{}`\n\nWritten by `{command}`; changes by hand are lost.\n\n\
         {} with {} leaves, at most {} comparisons deep, for the feature schema `{}`. It uses {} of {} features: {}.\n\n",
        model.name,
        match model.trees.len() {
            1 => "A decision tree".to_owned(),
            trees => format!("A forest of {trees} decision trees"),
        },
        model.leaves(),
        model.depth(),
        schema_hash_text(),
        asked.len(),
        FEATURES.len(),
        asked.join(", "),
    );
    text.push_str(&data(recipe, rows, labelled)?);
    text.push_str(&choices(recipe));
    if let Some(decisions) = decisions {
        text.push_str(&decisions_of_the_appliance(recipe, decisions)?);
    }
    for evaluation in evaluations {
        text.push_str(&measured(evaluation));
    }
    text.push_str(include_str!("card_limits.md"));
    Ok(text)
}

/// What the appliance did with captures, and where it was wrong.
fn decisions_of_the_appliance(recipe: &Recipe, decisions: &Decisions) -> Result<String, RecipeError> {
    let decided = &decisions.model;
    let balanced = || decided.iter().filter(|case| case.profile == BALANCED);
    let mut text = format!(
        "## Decided: by the appliance, {}\n\n{} An attack is caught once its sender is blocked or what it floods is \
         limited; any other block is wrongful. Where the label names no sender, because they are forged or too many, only a \
         limit catches the attack, and a block of an address that does nothing in the capture but send the flood, \
         without completing a handshake, is neither; of these there are {} in {} captures in the profile balanced. Time \
         and packets count from the first packet of the first flow that the capture's label speaks of. Hours are those with \
         traffic: of each pause at most {LONGEST_PAUSE_S} s count. In brackets are 95 % intervals: of captures Wilson's and of hours \
         Byar's; of flows, which resemble one another within a source, by drawing sources again (percentile bootstrap), or captures \
         where all are of one source. A line with a label in the place of a class is about what the \
         model has no class for: rules catch it, or the model, where it takes it for something that it knows.\n\n{}\n",
        decisions.provenance.title(),
        decisions.provenance.method(),
        balanced().map(|case| case.neither.len()).sum::<usize>(),
        balanced().filter(|case| !case.neither.is_empty()).count(),
        table(&summarise(decided, &recipe.class_names()?))
    );
    if !decisions.stump.is_empty() {
        line(
            &mut text,
            "Beside it the same program with the same rules and something else in the place of the model, in the profile balanced: what \
             the model is worth. A single comparison, the best one to tell harmless flows from any threat, which gives the name of the \
             threat that is most probable on its side; and the majority class, which calls all flows harmless, so that what is caught is \
             caught by the rules alone.\n",
        );
        line(&mut text, &beside_others(decisions, &recipe.class_names()?));
    }
    if !decisions.thresholds.is_empty() {
        line(
            &mut text,
            "What the profiles are chosen by: the same at other thresholds. Evidence is a sum of log-odds, of which a flow adds 2.94 at \
             most. What rules block at once needs none.\n",
        );
        line(&mut text, &by_threshold(&decisions.thresholds, &recipe.class_names()?));
    }
    line(
        &mut text,
        "The same in the profile balanced, by where the captures are from. A tool of the laboratory is a source.\n",
    );
    line(&mut text, &by_place(decided, &recipe.class_names()?));
    let kind = |case: &Decided| case.capture.split("__").take(2).collect::<Vec<_>>().join("__");
    for (title, wanted) in [
        (
            "Captures with a wrongful block",
            &(|case: &&Decided| !case.wrongful.is_empty()) as &dyn Fn(&&Decided) -> bool,
        ),
        ("Attacks that passed", &|case| case.caught_s.is_none() && case.label != BENIGN),
    ] {
        let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
        balanced().filter(wanted).for_each(|case| *kinds.entry(kind(case)).or_default() += 1);
        let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("`{kind}` ({count})")).collect();
        let kinds = if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") };
        line(&mut text, &format!("{title} in the profile balanced, by kind: {kinds}.\n"));
    }
    Ok(text)
}

fn data(recipe: &Recipe, rows: &Rows, labelled: &[Labelled<'_>]) -> Result<String, RecipeError> {
    let mut sources = BTreeMap::new();
    let mut origins: BTreeMap<usize, Origin> = BTreeMap::new();
    for Labelled { row, class, .. } in labelled {
        let next = sources.len();
        let source = *sources.entry(&rows.captures[row.capture].source).or_insert(next);
        let origin = origins.entry(*class).or_default();
        origin.sources.insert(source);
        origin.captures.insert(row.capture);
        origin.flows.insert((row.capture, row.flow));
        origin.rows += 1;
    }
    let mut text = "## What it was made from\n\n\
        | class | labels | prior | sources | captures | flows | rows |\n|---|---|---|---|---|---|---|\n"
        .to_owned();
    for (class, rule) in recipe.class_rules()?.iter().enumerate() {
        let (name, labels, prior) = (rule.class.name(), rule.labels.join(", "), rule.prior);
        let empty = Origin::default();
        let Origin { sources, captures, flows, rows } = origins.get(&class).unwrap_or(&empty);
        let (sources, captures, flows) = (sources.len(), captures.len(), flows.len());
        line(&mut text, &format!("| {name} | {labels} | {prior:.4} | {sources} | {captures} | {flows} | {rows} |"));
    }
    line(
        &mut text,
        &format!(
            "\nA row is a flow at a checkpoint: after its 1st, 2nd, 4th, 8th … packet, a second after its first where nothing \
             was heard of it since, and at its end. At most {} rows of a class come from one capture; a capture with n of \
             them weighs n^{} within its class, and the classes weigh as their priors. What a leaf says is the probability of a class where flows come in these proportions, with {} \
             observations of the prior added.\n",
            recipe.rows.max_per_capture, recipe.rows.capture_exponent, recipe.tree.smoothing
        ),
    );
    Ok(text)
}

fn choices(recipe: &Recipe) -> String {
    let mut text = String::new();
    for exclusion in &recipe.exclude {
        let from = if exclusion.decided { "left out of training, and decided about" } else { "left out" };
        line(&mut text, &format!("- {from}: `{}…`: {}", exclusion.captures, exclusion.why));
    }
    for emphasis in &recipe.emphasize {
        line(&mut text, &format!("- counted {} times: `{}…`: {}", emphasis.times, emphasis.captures, emphasis.why));
    }
    text.push('\n');
    text
}

fn measured(evaluation: &Evaluation) -> String {
    let mut text = format!("## Measured: {}\n\n", evaluation.method);
    text.push_str(&with_intervals(evaluation));
    let model = &evaluation.model;
    let faults = faults(&model.captures);
    line(
        &mut text,
        &format!(
            "\nThe stump is the best single comparison for its line, by the weights of the recipe: of a threat the one that tells it from \
             all else, of harmless flows and any threat the one that tells these apart. A source is accused where its flows add up to what the balanced profile \
             blocks for, if evidence did not fade; a flood from forged addresses accuses nobody. Captures where the model was \
             wrong, harmless ones with an accused source and attacks that passed (nobody accused, most flows called harmless): \
             {} of {}.\n",
            faults.len(),
            model.captures.len()
        ),
    );
    for score in faults.iter().take(NAMED_CAPTURES) {
        let said: Vec<String> = score.said.iter().map(|(class, count)| format!("{count} {class}")).collect();
        line(
            &mut text,
            &format!("- `{}` ({}, {} flows): {}", score.capture, score.class, score.flows, said.join(", ")),
        );
    }
    if faults.len() > NAMED_CAPTURES {
        line(&mut text, &format!("- and {} more", faults.len() - NAMED_CAPTURES));
    }
    text.push('\n');
    text
}

/// Areas under curves and errors, by class and by source.
fn with_intervals(evaluation: &Evaluation) -> String {
    let mut text = format!(
        "By flow, one class against the rest. In brackets are 95 % intervals by drawing {drawn}s again (percentile bootstrap): those \
         of one {drawn} resemble each other. With one {drawn} there is nothing to draw. The majority class is the one with the largest \
         prior.\n\n",
        drawn = evaluation.drawn.name()
    );
    let titles = in_words::TITLES.join(" | ");
    let columns = "---|".repeat(in_words::TITLES.len());
    line(&mut text, &format!("| class | flows | by | {titles} |\n|---|---|---|{columns}"));
    for (place, score) in evaluation.model.flows.classes.iter().enumerate() {
        for (name, measures) in &evaluation.measures {
            let figures = in_words::cells(&measures[place]).join(" | ");
            line(&mut text, &format!("| {} | {} | {name} | {figures} |", score.class, score.count));
        }
    }
    text.push_str("\nBy source, any threat against harmless, with intervals by drawing captures again:\n\n");
    line(
        &mut text,
        &format!("| source | captures | harmless flows | flows of attacks | {titles} |\n|---|---|---|---|{columns}"),
    );
    for OfSource { source, captures, harmless, attacks, measures } in &evaluation.sources {
        let figures = in_words::cells(measures).join(" | ");
        line(&mut text, &format!("| {source} | {captures} | {harmless} | {attacks} | {figures} |"));
    }
    text
}

fn line(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let written = writeln!(text, "{line}");
    debug_assert!(written.is_ok());
}
