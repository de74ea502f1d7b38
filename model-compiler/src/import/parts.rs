//! What the importers share: exact numbers, thresholds as `f32`, and trees whose nodes stand in the order of a walk.

use std::str::FromStr;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::ImportError;
use crate::check::TreeFault;
use crate::model::{Node, Tree};

/// A finite number read straight into its own type: readers of JSON take a shorter way, which may miss the last bit, and
/// that bit can decide a comparison.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exact<T>(pub T);

impl<'de, T: FromStr + Copy + Into<f64>> Deserialize<'de> for Exact<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        finite(text).map(Self).ok_or_else(|| serde::de::Error::custom(format!("{text} is not a finite number")))
    }
}

/// The number that the text is, if it is finite.
pub(super) fn finite<T: FromStr + Copy + Into<f64>>(text: &str) -> Option<T> {
    text.parse().ok().filter(|number: &T| (*number).into().is_finite())
}

/// The largest `f32` that is not above the number: no `f32` lies between the two, so `value <= number` says the same of
/// both. Far below all of them it is minus infinity, with which [`crate::check`] refuses a tree.
pub(super) fn at_most(number: f64) -> f32 {
    let nearest = number as f32;
    if f64::from(nearest) > number { nearest.next_down() } else { nearest }
}

/// The largest `f32` below the number: `value <= that` says the same as `value < number`.
pub(crate) fn below(number: f64) -> f32 {
    let nearest = number as f32;
    if f64::from(nearest) >= number { nearest.next_down() } else { nearest }
}

/// A tree of these nodes, its root at place 0, written anew in the order of a walk that goes left first. All but `unused`
/// nodes must be reached.
pub(super) fn planted(
    tree: usize,
    class: Option<usize>,
    mut nodes: Vec<Node>,
    unused: usize,
) -> Result<Tree, ImportError> {
    let fault = |fault| ImportError::Tree { tree, fault };
    let mut places: Vec<Option<usize>> = vec![None; nodes.len()];
    let mut order = Vec::with_capacity(nodes.len());
    let mut open = vec![(0, 0)];
    while let Some((node, parent)) = open.pop() {
        match places.get_mut(node) {
            None => return Err(fault(TreeFault::NoSuchChild { node: parent, child: node, nodes: nodes.len() })),
            Some(Some(_)) => return Err(fault(TreeFault::ReachedTwice(node))),
            Some(place) => *place = Some(order.len()),
        }
        order.push(node);
        if let Some(Node::Split { left, right, .. }) = nodes.get(node) {
            open.extend([(*right, node), (*left, node)]);
        }
    }
    if order.len().checked_add(unused) != Some(nodes.len()) {
        let lost = places.iter().position(Option::is_none).unwrap_or_default();
        return Err(fault(TreeFault::Unreached(lost)));
    }
    let place = |node: usize| places.get(node).copied().flatten().unwrap_or_default();
    let taken = order.into_iter().filter_map(|node| nodes.get_mut(node).map(|node| moved(node, place)));
    Ok(Tree { class, nodes: taken.collect() })
}

/// The node with its children's places changed.
fn moved(node: &mut Node, place: impl Fn(usize) -> usize) -> Node {
    match node {
        Node::Leaf { rows, values } => Node::Leaf { rows: *rows, values: std::mem::take(values) },
        Node::Split { feature, threshold, left, right } => {
            Node::Split { feature: *feature, threshold: *threshold, left: place(*left), right: place(*right) }
        }
    }
}

/// The same columns of a table, one element each at the same place.
pub(super) fn cell<T: Copy>(column: &[T], at: usize, tree: usize, name: &'static str) -> Result<T, ImportError> {
    column.get(at).copied().ok_or(ImportError::Short { tree, column: name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_become_the_f32_that_decides_alike() {
        let between = f64::from(0.1_f32) + 1e-12;
        let values = [0.1_f64, 0.3, 1.0, 0.0, -0.0, -0.7, between, 1e-35, 1e-46, -1e-46, 1e39, 16_777_217.0];
        for number in values {
            let nearest = number as f32;
            for value in [nearest, nearest.next_up(), nearest.next_down(), 0.0, -0.0, f32::MAX, f32::MIN] {
                if value.is_finite() {
                    assert_eq!(value <= at_most(number), f64::from(value) <= number, "{value:?} <= {number:?}");
                    assert_eq!(value <= below(number), f64::from(value) < number, "{value:?} < {number:?}");
                }
            }
        }
    }

    #[test]
    fn nodes_that_are_no_tree_are_refused() {
        let leaf = || Node::Leaf { rows: 0, values: vec![1.0] };
        let split = |left, right| Node::Split { feature: 0, threshold: 0.5, left, right };
        let refusal = |nodes, unused| planted(3, None, nodes, unused).unwrap_err().to_string();
        assert!(planted(3, None, vec![split(2, 1), leaf(), leaf()], 0).is_ok());
        assert!(planted(3, None, vec![split(3, 1), leaf(), leaf(), leaf()], 1).is_ok());
        assert!(refusal(vec![split(0, 1), leaf()], 0).contains("tree 3: node 0 is reached in two ways"));
        assert!(refusal(vec![split(1, 9), leaf()], 0).contains("child 9"));
        assert!(refusal(vec![split(1, 2), leaf(), leaf(), leaf()], 0).contains("node 3 is not reached"));
        assert!(refusal(Vec::new(), 0).contains("tree 3"));
    }
}
