//! The report: what was measured of a model, drawn, as one HTML file that needs nothing else.
//!
//! No scripts and nothing that is fetched, so that it can be mailed, archived and opened anywhere; dark where the reader's
//! system is.

mod plot;
mod ranges;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use traffic::features::FEATURES;

use crate::decisions::Decisions;
use crate::decisions::tables::{Summary, in_words, summarise};
use crate::evaluate::{Evaluation, OfClass};
use crate::measures::{self, Curves, Measures};
use crate::model::Model;
use crate::recipe::{Recipe, RecipeError};
use crate::scores::Table;
use crate::train::Labelled;
use plot::{Curve, boxes};

const STYLE: &str = include_str!("style.css");

/// The page, of the measurement that is the last: the one by sources, where there are several.
///
/// # Errors
/// The recipe contradicts itself.
pub fn report(
    model: &Model,
    recipe: &Recipe,
    labelled: &[Labelled<'_>],
    evaluations: &[Evaluation],
    decisions: Option<&Decisions>,
) -> Result<String, RecipeError> {
    let class_of = recipe.class_names()?;
    let decided = decisions.map(|decisions| (decisions, summarise(&decisions.model, &class_of)));
    let rules = recipe.class_rules()?;
    let classes: Vec<&str> = rules.iter().map(|rule| rule.class.name()).collect();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Model " (model.name) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Model " (model.name) }
                p {
                    (model.trees.len()) " trees with " (model.leaves()) " leaves, at most " (model.depth()) " comparisons deep. "
                    "The model's CARD.md says what it was made from and what it must not be trusted with."
                }
                @if let Some((decisions, summaries)) = &decided { (decided_by_the_appliance(decisions, summaries)) }
                @if let Some(evaluation) = evaluations.last() { (measured(evaluation, &classes)) }
                (feature_ranges(model, &classes, labelled))
            }
        }
    };
    Ok(page.into_string())
}

fn decided_by_the_appliance(decisions: &Decisions, summaries: &[Summary]) -> Markup {
    html! {
        h2 { "Decided by the appliance, " (decisions.provenance.title()) }
        p { (decisions.provenance.method().replace('`', "")) }
        div.wide { table {
            tr { th { "class" } th.word { "profile" } @for title in in_words::TITLES { th { (title) } } }
            @for summary in summaries {
                tr {
                    td { (summary.class) } td.word { (summary.profile) }
                    @for cell in in_words::cells(summary) { td { (cell) } }
                }
            }
        } }
    }
}

/// The classes are those of the recipe, in its order.
fn measured(evaluation: &Evaluation, classes: &[&str]) -> Markup {
    let drawn = evaluation.drawn.name();
    html! {
        h2 { "Measured: " (evaluation.method) }
        p {
            "Flows, each by its strongest alarm, of one class against the rest. In brackets are 95 % intervals, by drawing "
            (drawn) "s again (percentile bootstrap): rows of one " (drawn) " resemble each other. By source they are by drawing captures."
        }
        (by_class(evaluation))
        h2 { "Receiver operating characteristic" }
        div.plots { @for curves in &evaluation.curves { (roc(curves)) } }
        h2 { "Precision and recall" }
        div.plots { @for curves in &evaluation.curves { (precision_recall(curves)) } }
        h2 { "What was taken for what" }
        p { "Flows; the shade is the share of the row." }
        (confusion(&evaluation.model.flows, classes))
        h2 { "Calibration" }
        p {
            "How often alarms were right, over how probable the model said their class was, with the weights of the recipe. On the "
            "dashed line a confidence is what it says; below it the model is too sure."
        }
        div.plots { @for class in &evaluation.reliability { (reliability(class)) } }
        h2 { "By source: any threat against harmless" }
        (sources(evaluation))
    }
}

fn by_class(evaluation: &Evaluation) -> Markup {
    let row = |name: &str, of: &Measures| {
        html! { tr { td { (of.class) } td.word { (name) } @for cell in measures::in_words::cells(of) { td { (cell) } } } }
    };
    html! {
        div.wide { table {
            tr { th { "class" } th.word { "by" } @for title in measures::in_words::TITLES { th { (title) } } }
            @for class in 0..evaluation.measures[0].1.len() {
                @for (name, of) in &evaluation.measures { (row(name, &of[class])) }
            }
        } }
    }
}

fn figure(title: &str, curve: &Curve<'_>) -> Markup {
    html! { figure { figcaption { h3 { (title) } } (curve.draw()) } }
}

fn roc(curves: &Curves) -> Markup {
    let points = curves.points.iter().map(|point| (point.false_positive_rate, point.recall));
    let points: Vec<(f64, f64)> = [(0.0, 0.0)].into_iter().chain(points).collect();
    let reference = [(0.0, 0.0), (1.0, 1.0)];
    let (across, up) = ("false positives", "recall");
    figure(&curves.class, &Curve { across, up, points: &points, reference, is_dotted: false })
}

fn precision_recall(curves: &Curves) -> Markup {
    let points: Vec<(f64, f64)> = curves.points.iter().map(|point| (point.recall, point.precision)).collect();
    let reference = [(0.0, curves.share), (1.0, curves.share)];
    figure(&curves.class, &Curve { across: "recall", up: "precision", points: &points, reference, is_dotted: false })
}

fn reliability(class: &OfClass) -> Markup {
    let points: Vec<(f64, f64)> = class.bins.iter().map(|bin| (bin.confidence, bin.frequency)).collect();
    let reference = [(0.0, 0.0), (1.0, 1.0)];
    let curve = Curve { across: "confidence", up: "was right", points: &points, reference, is_dotted: true };
    html! {
        div {
            (figure(&class.class, &curve))
            p { "calibration error " (format!("{:.4}", class.quality.calibration_error)) ", log loss " (format!("{:.4}", class.quality.log_loss)) }
        }
    }
}

fn confusion(table: &Table, classes: &[&str]) -> Markup {
    html! {
        div.wide { table {
            tr { th { "is, called" } @for class in classes { th { (class) } } }
            @for (class, said) in classes.iter().zip(&table.confusion) {
                @let total = said.iter().sum::<u64>().max(1);
                tr {
                    td { (class) }
                    @for count in said {
                        td.cell style=(format!("--share: {:.0}%", 60.0 * *count as f64 / total as f64)) { (count) }
                    }
                }
            }
        } }
    }
}

fn sources(evaluation: &Evaluation) -> Markup {
    html! {
        div.wide { table {
            tr { th { "source" } th { "captures" } th { "harmless flows" } th { "flows of attacks" } @for title in measures::in_words::TITLES { th { (title) } } }
            @for of in &evaluation.sources {
                tr {
                    td { (of.source) } td { (of.captures) } td { (of.harmless) } td { (of.attacks) }
                    @for cell in measures::in_words::cells(&of.measures) { td { (cell) } }
                }
            }
        } }
    }
}

fn feature_ranges(model: &Model, classes: &[&str], labelled: &[Labelled<'_>]) -> Markup {
    let samples = ranges::samples(labelled, classes.len());
    let rows = |feature: usize| -> Vec<plot::Quantiles> {
        let classes = classes.iter().zip(&samples);
        classes.filter_map(|(class, rows)| Some(((*class).to_owned(), ranges::quantiles(rows, feature)?))).collect()
    };
    html! {
        h2 { "Ranges of the features that are compared" }
        p {
            "5 to 95 % of the rows of a class (line), 25 to 75 % (bar) and the median (dot), between the smallest and the largest "
            "value in training, on a logarithmic scale away from 0. Of a capture 200 rows of a class count at most."
        }
        div.plots {
            @for place in model.asked() {
                @let (feature, range) = (&FEATURES[place], model.ranges[place]);
                figure {
                    figcaption { h3 { (feature.name) } (range.min) " to " (range.max) " " (feature.unit) }
                    (boxes(&rows(place), range.min, range.max))
                }
            }
        }
    }
}
