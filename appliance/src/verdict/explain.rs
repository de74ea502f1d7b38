//! Why a verdict came out as it did, in words with values.

use std::fmt::Write;

use traffic::features::{FEATURES, FeatureVector, Index, ThreatClass};

use super::{Basis, MODEL_NAME, Node, Verdict, model};

/// What the way through the tree said of one feature: more than, and at most.
#[derive(Clone, Copy, Debug, Default)]
struct Bounds {
    above: Option<f32>,
    at_most: Option<f32>,
}

/// The reason for a verdict on that vector: the rule with its conditions, or what the source did and what the model made of it.
#[must_use]
pub fn explain(verdict: Verdict, basis: Basis, features: &FeatureVector) -> String {
    match basis {
        Basis::Model => explain_model(verdict, features),
        Basis::Rule(rule) => rule.explain(features),
        Basis::List { name, began: true } => format!("on the list {name:?}, and began a flow"),
        Basis::List { name, began: false } => {
            format!(
                "on the list {name:?}, and the destination began a flow to it: look whether that device is infected"
            )
        }
        Basis::Domain { list, asked } if asked.is_listed_itself() => {
            format!("asked for the name {asked}, which is on the list {list:?}: look whether that device is infected")
        }
        Basis::Domain { list, asked } => {
            let domain = asked.listed();
            format!(
                "asked for the name {asked}, and {domain} is on the list {list:?}: look whether that device is infected"
            )
        }
    }
}

/// First what the source did, then the comparisons of the model that led to the verdict, in the order of the way, with
/// several comparisons of one feature drawn together.
fn explain_model(verdict: Verdict, features: &FeatureVector) -> String {
    let mut text = headline(verdict.class, features);
    let _ = write!(text, " (model {MODEL_NAME}:");
    let mut separator = " ";
    let (way, leaf) = way(features);
    for (feature, bounds) in way {
        let Some((described, value)) = FEATURES.get(feature).zip(features.get(feature)) else { continue };
        let _ = write!(text, "{separator}{} {}", described.name, round(*value));
        if let Some(above) = bounds.above {
            let _ = write!(text, " > {}", round(above));
        }
        if let Some(at_most) = bounds.at_most {
            let _ = write!(text, " ≤ {}", round(at_most));
        }
        separator = "; ";
    }
    if let Some(leaf) = leaf {
        let _ = write!(text, ": {} {})", leaf.class.name(), round(leaf.confidence));
    }
    text
}

/// The features that were compared, in the order of the way from the root, and the answer at its end.
fn way(features: &FeatureVector) -> (Vec<(usize, Bounds)>, Option<Verdict>) {
    let mut way: Vec<(usize, Bounds)> = Vec::new();
    let mut at = 0;
    // Children stand behind their parents in the table, so the walk ends.
    loop {
        let (feature, threshold, left, right) = match model::NODES.get(at).copied() {
            Some(Node::Split { feature, threshold, left, right }) => (usize::from(feature), threshold, left, right),
            Some(Node::Leaf(leaf)) => return (way, Some(leaf)),
            None => return (way, None),
        };
        let goes_left = features.get(feature).is_some_and(|value| *value <= threshold);
        let known = way.iter().position(|(other, _)| *other == feature);
        let place = known.unwrap_or_else(|| {
            way.push((feature, Bounds::default()));
            way.len() - 1
        });
        if let Some((_, bounds)) = way.get_mut(place) {
            // A later comparison of the same feature is always the tighter one.
            if goes_left { bounds.at_most = Some(threshold) } else { bounds.above = Some(threshold) }
        }
        at = if goes_left { left } else { right } as usize;
    }
}

/// What happened, for a person who does not know the model.
fn headline(class: ThreatClass, features: &FeatureVector) -> String {
    let value = |index: Index| features.get(index as usize).copied().unwrap_or_default();
    let count = |index| value(index).round();
    let things = |index, thing: &str| match count(index) {
        1.0 => format!("1 {thing}"),
        several => format!("{several} {thing}s"),
    };
    let percent = |index| (value(index) * 100.0).round();
    match class {
        ThreatClass::Scan => format!(
            "{} on {} tried in 60 s, {} % unanswered, {} % refused",
            things(Index::SrcPorts60s, "port"),
            things(Index::SrcHosts60s, "host"),
            percent(Index::SrcUnanswered60s),
            percent(Index::SrcRefused60s),
        ),
        ThreatClass::Flood => format!(
            "the destination received {} in 2 s, {} of them from this source, whose connections were never completed at {} %",
            things(Index::DstFlows2s, "flow"),
            count(Index::SrcFlows2s),
            percent(Index::SrcUnfinished2s),
        ),
        ThreatClass::BruteForce => format!(
            "{} connections to services with passwords in 60 s, {} of them over within 30 s",
            count(Index::SrcLogins60s),
            count(Index::SrcShortLogins60s),
        ),
        ThreatClass::Benign | ThreatClass::Botnet | ThreatClass::WebAttack | ThreatClass::Tunnel => {
            format!("{} in 60 s to {}", things(Index::SrcFlows60s, "flow"), things(Index::SrcHosts60s, "host"))
        }
    }
}

/// A number for reading: whole where it is large, else three decimals at most.
pub(super) fn round(value: f32) -> String {
    if value.abs() >= 100.0 || value.fract() == 0.0 {
        return format!("{value:.0}");
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::judge;
    use super::*;
    use proptest::prelude::*;
    use traffic::features::FEATURE_COUNT;

    proptest! {
        #[test]
        fn the_explained_way_ends_in_the_verdict(
            values in proptest::collection::vec(prop_oneof![Just(0.0_f32), 0.0_f32..2.0, 0.0_f32..3000.0], FEATURE_COUNT)
        ) {
            let features: FeatureVector = values.try_into().expect("as many as features");
            let (way, leaf) = way(&features);
            prop_assert_eq!(leaf, Some(judge(&features)));
            for (feature, bounds) in way {
                prop_assert!(bounds.above.is_none_or(|bound| features[feature] > bound));
                prop_assert!(bounds.at_most.is_none_or(|bound| features[feature] <= bound));
            }
        }
    }

    #[test]
    fn numbers_read_well() {
        for (value, text) in [(412.0, "412"), (18.5, "18.5"), (0.984_375, "0.984"), (0.0, "0"), (123.7, "124")] {
            assert_eq!(round(value), text);
        }
    }
}
