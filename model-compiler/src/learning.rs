//! Trees on any table, by the same search as the daemon's models: to compare features, and to measure by published
//! protocols what this learner is worth where others were measured too.

use crate::datasets::table::Table;
use crate::grow::{GrowError, Growth, Impurity, Sample, grow_by};
use crate::model::{Node, Tree};
use crate::recipe::Use;

/// Rows of a table with their classes and weights.
#[derive(Clone, Debug)]
pub struct Examples<'a> {
    /// The rows.
    pub table: &'a Table,
    /// The names of the classes.
    pub classes: Vec<String>,
    /// The place of each row's class.
    pub class_of: Vec<usize>,
    /// How much a row of each class counts; above 0.
    pub class_weights: Vec<f64>,
}

impl<'a> Examples<'a> {
    /// All rows of a table, which count alike. `class_of` gives the place of a label's class.
    #[must_use]
    pub fn new(table: &'a Table, classes: &[&str], class_of: &dyn Fn(&str) -> usize) -> Self {
        let of_label: Vec<usize> = table.labels.iter().map(|label| class_of(label)).collect();
        Self {
            table,
            classes: classes.iter().map(|name| (*name).to_owned()).collect(),
            class_of: table.label_of.iter().map(|&label| of_label[label]).collect(),
            class_weights: vec![1.0; classes.len()],
        }
    }

    /// The same rows, weighed so that the classes that occur count alike, and the rows 1 in the mean.
    #[must_use]
    pub fn balanced(mut self) -> Self {
        let counts = self.counts();
        let present = counts.iter().filter(|count| **count > 0).count();
        let weight = |&count: &u64| self.class_of.len() as f64 / (present as f64 * count.max(1) as f64);
        self.class_weights = counts.iter().map(weight).collect();
        self
    }

    /// How many rows each class has.
    #[must_use]
    pub fn counts(&self) -> Vec<u64> {
        let mut counts = vec![0; self.classes.len()];
        self.class_of.iter().for_each(|&class| counts[class] += 1);
        counts
    }

    /// The weight of each class among rows.
    fn weights(&self, rows: &[usize]) -> Vec<f64> {
        let mut weights = vec![0.0; self.classes.len()];
        for &row in rows {
            weights[self.class_of[row]] += self.class_weights[self.class_of[row]];
        }
        weights
    }

    /// Grows a tree without any constraint but its depth. Its leaves hold the shares of the classes by weight.
    ///
    /// # Errors
    /// The table is empty.
    pub fn tree(&self, impurity: Impurity, max_depth: usize) -> Result<Tree, GrowError> {
        self.tree_with(impurity, max_depth, vec![Use::Free; self.table.columns.len()])
    }

    /// The best single comparison with one feature, by Gini impurity.
    ///
    /// # Errors
    /// The table is empty.
    pub fn stump_of(&self, feature: usize) -> Result<Tree, GrowError> {
        let rule = |column| if column == feature { Use::Free } else { Use::No };
        self.tree_with(Impurity::Gini, 1, (0..self.table.columns.len()).map(rule).collect())
    }

    fn tree_with(&self, impurity: Impurity, max_depth: usize, uses: Vec<Use>) -> Result<Tree, GrowError> {
        let rows = self.class_of.iter().enumerate();
        let samples: Vec<Sample<'_>> = rows
            .map(|(row, &class)| Sample { features: self.table.row(row), class, weight: self.class_weights[class] })
            .collect();
        let classes = self.classes.len();
        let growth = Growth {
            classes,
            uses,
            ask_first: Vec::new(),
            max_depth,
            min_leaf_share: 0.0,
            min_gain: 0.0,
            ccp_alpha: 0.0,
        };
        grow_by(impurity, &samples, &growth, &|rows| self.leaf(rows))
    }

    fn leaf(&self, rows: &[usize]) -> Node {
        let weights = self.weights(rows);
        let total: f64 = weights.iter().sum();
        let values = weights.iter().map(|weight| (weight / total) as f32).collect();
        Node::Leaf { rows: rows.len() as u64, values }
    }

    /// How much of the Gini impurity of these rows the comparisons of a tree take away, by feature, as a share of all
    /// that there is (Breiman's importance, not normalised to 1: what is missing to 1 is left in the leaves).
    #[must_use]
    pub fn importance(&self, tree: &Tree) -> Vec<f64> {
        let mut taken = vec![0.0; self.table.columns.len()];
        let all: Vec<usize> = (0..self.class_of.len()).collect();
        let impurity_of = |rows: &[usize]| Impurity::Gini.of(self.weights(rows).into_iter());
        let whole = impurity_of(&all);
        let mut open = vec![(0, all)];
        while let Some((at, rows)) = open.pop() {
            let Node::Split { feature, threshold, left, right } = tree.nodes[at] else { continue };
            let before = impurity_of(&rows);
            let (low, high): (Vec<usize>, Vec<usize>) =
                rows.into_iter().partition(|&row| self.table.row(row)[feature] <= threshold);
            taken[feature] += before - impurity_of(&low) - impurity_of(&high);
            open.extend([(left, low), (right, high)]);
        }
        if whole > 0.0 {
            taken.iter_mut().for_each(|taken| *taken /= whole);
        }
        taken
    }
}

/// The class that a tree gives a row: the most probable one in its leaf, of equals the first.
#[must_use]
pub fn class_of(tree: &Tree, row: &[f32]) -> usize {
    let probabilities = tree.leaf_of(row);
    let better = |best, at: usize| if probabilities[at] > probabilities[best] { at } else { best };
    (1..probabilities.len()).fold(0, better)
}
