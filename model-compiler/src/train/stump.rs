//! The best single comparison: what a model must be better than.
//!
//! It tells two things apart, since that is all that one comparison can: a threat and all else, or harmless traffic and any threat. The
//! weights are those of the recipe, so that a false alarm costs as much as it costs the model.

use super::{Labelled, Lesson, TrainError, curriculum, growth, leaf};
use crate::forest::Combination;
use crate::grow::{Growth, Sample, grow};
use crate::model::{Model, Node, Tree};
use crate::recipe::Recipe;

/// What is told from all else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The class at this place in the recipe, which is not the harmless one.
    Threat(usize),
    /// All classes but the harmless one.
    AnyThreat,
}

impl Target {
    const fn is(self, class: usize) -> bool {
        match self {
            Self::Threat(wanted) => class == wanted,
            Self::AnyThreat => class != 0,
        }
    }

    /// From what is probable of each class to what the comparison says: the target, or the harmless class for all else. Any threat goes
    /// by the name of the one that is most probable.
    fn told(self, mut values: Vec<f32>) -> Vec<f32> {
        let threats = (1..values.len()).filter(|class| self.is(*class));
        let named = threats.max_by(|a, b| values[*a].total_cmp(&values[*b])).unwrap_or_default();
        let sum = |is_target| {
            let classes = values.iter().enumerate().filter(|(class, _)| self.is(*class) == is_target);
            classes.map(|(_, value)| value).sum::<f32>()
        };
        let (rest, target) = (sum(false), sum(true));
        values.fill(0.0);
        values[0] += rest;
        values[named] += target;
        values
    }
}

/// Trains the best single comparison for the target, as a model of the recipe's classes.
///
/// # Errors
/// A class has no rows, or the recipe contradicts itself.
pub fn train_stump(labelled: &[Labelled<'_>], recipe: &Recipe, target: Target) -> Result<Model, TrainError> {
    let recipe = recipe.of_one_comparison();
    let rules = recipe.class_rules()?;
    let (lessons, ranges) = curriculum(labelled, &recipe, &rules)?;
    let growth = Growth { classes: 2, ..growth(&recipe, rules.len())? };
    let prior: Vec<f64> = rules.iter().map(|rule| rule.prior).collect();
    let sample = |lesson| {
        let Sample { features, class, weight } = Lesson::sample(lesson, 1.0);
        Sample { features, class: usize::from(target.is(class)), weight }
    };
    let samples: Vec<Sample<'_>> = lessons.iter().map(sample).collect();
    let once: Vec<(&Lesson, f64)> = lessons.iter().map(|lesson| (lesson, 1.0)).collect();
    let tell = |places: &[usize]| match leaf(&once, places, &prior, recipe.tree.smoothing) {
        Node::Leaf { rows, values } => Node::Leaf { rows, values: target.told(values) },
        split @ Node::Split { .. } => split,
    };
    let trees = vec![grow(&samples, &growth, &tell)?];
    let (classes, base) = (rules.iter().map(|rule| rule.class).collect(), vec![0.0; rules.len()]);
    let (combination, calibration) = (Combination::Mean, Vec::new());
    Ok(Model { name: recipe.name, classes, ranges, combination, base, trees, calibration })
}

/// What always says how frequent each class is, and so names the one that is most frequent: without any comparison.
///
/// # Errors
/// The recipe contradicts itself.
pub fn majority(stump: &Model, recipe: &Recipe) -> Result<Model, TrainError> {
    let values = recipe.class_rules()?.iter().map(|rule| rule.prior as f32).collect();
    let trees = vec![Tree { class: None, nodes: vec![Node::Leaf { rows: 0, values }] }];
    Ok(Model { name: "majority".to_owned(), trees, ..stump.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_says_how_probable_the_target_is_and_any_threat_has_the_name_of_the_first() {
        let told = |target: Target| target.told(vec![0.25, 0.125, 0.5, 0.125]);
        assert_eq!(told(Target::AnyThreat), [0.25, 0.0, 0.75, 0.0]);
        assert_eq!(told(Target::Threat(1)), [0.875, 0.125, 0.0, 0.0]);
        assert_eq!(Target::AnyThreat.told(vec![1.0]), [1.0], "where there is no threat");
    }
}
