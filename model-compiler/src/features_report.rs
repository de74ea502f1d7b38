//! Which features say something about the class, and which say the same as another: to choose a small schema.
//!
//! For each feature:
//! - **mutual information** with the class in bits, `Σ p(b,c) log₂(p(b,c) / (p(b) p(c)))` (Cover, Thomas 1991): what it
//!   says by itself, in whatever way. Features with many values are cut into at most [`BINS`] bins of about equal weight,
//!   equal values always in one; that can only lower the figure.
//! - **single split**: the share of the Gini impurity that the best comparison with it alone takes away.
//! - **importance**: the share that its comparisons take away in one tree of all features. Of two features that say the
//!   same, one gets it all.
//!
//! For each pair of features Spearman's rank correlation (Pearson's of the ranks, equal values with their mean rank). And
//! a proposal: features by mutual information, without those that are correlated with one already chosen. It is a
//! beginning for a choice and no more: it sees no features that only say something together, and the figures are of the
//! rows that they were computed from.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use crate::grow::{GrowError, Impurity};
use crate::learning::Examples;

/// The most bins of a feature.
const BINS: usize = 64;

/// The least mutual information, in bits, of a feature that is proposed.
const LEAST_BITS: f64 = 0.001;

/// All that was found out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FeatureReport {
    /// How many rows there were of each class.
    pub classes: Vec<(String, u64)>,
    /// The features, those with the most mutual information first.
    pub features: Vec<FeatureScore>,
    /// From which correlation on pairs are named.
    pub level: f64,
    /// The pairs with at least that correlation, the strongest first.
    pub pairs: Vec<Pair>,
    /// Features by mutual information without those correlated with an earlier one.
    pub proposal: Vec<String>,
}

/// What a feature says about the class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FeatureScore {
    /// The feature.
    pub feature: String,
    /// In bits.
    pub mutual_information: f64,
    /// Share of the Gini impurity that its best comparison takes away.
    pub single_split: f64,
    /// Share of the Gini impurity that its comparisons take away in a tree.
    pub importance: f64,
}

/// Two features that rise and fall together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// One.
    pub a: String,
    /// The other.
    pub b: String,
    /// Spearman's correlation, from -1 to 1.
    pub spearman: f64,
}

/// Computes the report. `level` is the least correlation, without its sign, of a pair that is named; `max_depth` is that
/// of the tree.
///
/// # Errors
/// The table is empty.
pub fn report(examples: &Examples<'_>, level: f64, max_depth: usize) -> Result<FeatureReport, GrowError> {
    let names: Vec<&str> = examples.table.columns.iter().map(|column| column.name.as_str()).collect();
    let importance = examples.importance(&examples.tree(Impurity::Gini, max_depth)?);
    let mut features = Vec::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        features.push(FeatureScore {
            feature: (*name).to_owned(),
            mutual_information: mutual_information(examples, at),
            single_split: examples.importance(&examples.stump_of(at)?)[at],
            importance: importance[at],
        });
    }
    features.sort_by(|a, b| b.mutual_information.total_cmp(&a.mutual_information));
    let pairs = pairs(examples, level);
    let proposal = proposal(&features, &pairs);
    let classes = examples.classes.iter().cloned().zip(examples.counts()).collect();
    Ok(FeatureReport { classes, features, level, pairs, proposal })
}

/// In bits, of a column with the class.
fn mutual_information(examples: &Examples<'_>, column: usize) -> f64 {
    let bins = bins(examples, column);
    let classes = examples.classes.len();
    let of_class: Vec<f64> = (0..classes).map(|class| bins.iter().map(|bin| bin[class]).sum()).collect();
    let total: f64 = of_class.iter().sum();
    let mut bits = 0.0;
    for bin in &bins {
        let of_bin: f64 = bin.iter().sum();
        for (both, of_class) in bin.iter().zip(&of_class).filter(|(both, _)| **both > 0.0) {
            bits += both / total * (both * total / (of_bin * of_class)).log2();
        }
    }
    bits
}

/// The weights of the classes in each bin of a column.
fn bins(examples: &Examples<'_>, column: usize) -> Vec<Vec<f64>> {
    let mut sorted: Vec<(f32, usize)> = examples.table.column(column).map(|value| value + 0.0).zip(0..).collect();
    sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let groups: Vec<_> = sorted.chunk_by(|a, b| a.0 == b.0).collect();
    let weight_of = |row: usize| examples.class_weights[examples.class_of[row]];
    let total: f64 = (0..examples.class_of.len()).map(weight_of).sum();
    let full = if groups.len() > BINS { total / BINS as f64 } else { 0.0 };
    let mut bins: Vec<Vec<f64>> = Vec::new();
    let mut is_full = true;
    for group in groups {
        if is_full {
            bins.push(vec![0.0; examples.classes.len()]);
        }
        let Some(bin) = bins.last_mut() else { continue };
        for &(_, row) in group {
            bin[examples.class_of[row]] += weight_of(row);
        }
        is_full = bin.iter().sum::<f64>() >= full;
    }
    bins
}

fn pairs(examples: &Examples<'_>, level: f64) -> Vec<Pair> {
    let columns = &examples.table.columns;
    let ranks: Vec<Option<Vec<f64>>> =
        (0..columns.len()).map(|at| standardised_ranks(&examples.table.column(at).collect::<Vec<_>>())).collect();
    let mut pairs = Vec::new();
    for (a, of_a) in ranks.iter().enumerate() {
        for (b, of_b) in ranks.iter().enumerate().skip(a + 1) {
            let (Some(of_a), Some(of_b)) = (of_a, of_b) else { continue };
            let spearman: f64 = of_a.iter().zip(of_b).map(|(a, b)| a * b).sum();
            if spearman.abs() >= level {
                pairs.push(Pair { a: columns[a].name.clone(), b: columns[b].name.clone(), spearman });
            }
        }
    }
    pairs.sort_by(|a, b| b.spearman.abs().total_cmp(&a.spearman.abs()));
    pairs
}

/// The ranks of values, moved and scaled so that their sum is 0 and the sum of their squares 1: the product of two such
/// lists is their correlation. None of a constant.
fn standardised_ranks(values: &[f32]) -> Option<Vec<f64>> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| (values[a] + 0.0).total_cmp(&(values[b] + 0.0)));
    let mean = (values.len() as f64 - 1.0) / 2.0;
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for group in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = before as f64 + (group.len() as f64 - 1.0) / 2.0;
        group.iter().for_each(|&at| ranks[at] = rank - mean);
        before += group.len();
    }
    let length = ranks.iter().map(|rank| rank * rank).sum::<f64>().sqrt();
    (length > 0.0).then(|| ranks.iter().map(|rank| rank / length).collect())
}

fn proposal(features: &[FeatureScore], pairs: &[Pair]) -> Vec<String> {
    let mut chosen: Vec<String> = Vec::new();
    for FeatureScore { feature, .. } in features.iter().filter(|score| score.mutual_information >= LEAST_BITS) {
        let is_pair = |pair: &Pair, other: &String| {
            (&pair.a == feature && &pair.b == other) || (&pair.b == feature && &pair.a == other)
        };
        if !chosen.iter().any(|other| pairs.iter().any(|pair| is_pair(pair, other))) {
            chosen.push(feature.clone());
        }
    }
    chosen
}

impl Display for FeatureReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let classes: Vec<String> = self.classes.iter().map(|(name, count)| format!("{name} {count}")).collect();
        writeln!(f, "rows: {}", classes.join(", "))?;
        writeln!(f, "\n{:<36}  {:>9}  {:>12}  {:>10}", "feature", "MI, bits", "single split", "importance")?;
        for FeatureScore { feature, mutual_information, single_split, importance } in &self.features {
            writeln!(f, "{feature:<36}  {mutual_information:>9.4}  {single_split:>12.4}  {importance:>10.4}")?;
        }
        writeln!(f, "\npairs with |Spearman| >= {}: {}", self.level, self.pairs.len())?;
        for Pair { a, b, spearman } in &self.pairs {
            writeln!(f, "  {spearman:>6.3}  {a}  {b}")?;
        }
        writeln!(
            f,
            "\n{} of {} features by mutual information, without those that an earlier one stands for:\n  {}",
            self.proposal.len(),
            self.features.len(),
            self.proposal.join(", ")
        )
    }
}
