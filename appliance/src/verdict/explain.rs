//! Why a verdict came out as it did, in words with values.

use std::fmt::Write;

use model_compiler::forest::{Forest, Root};
use traffic::features::{FeatureVector, Index, ThreatClass};

use super::in_words::{Deeds, compared};
use super::{Basis, Model, Verdict};

/// The most features that a reason names.
const NAMED_FEATURES: usize = 4;

/// What the model made of one feature.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Part {
    /// Its place in the schema.
    pub feature: usize,
    /// By how much the comparisons of it made the class more probable, or raised its score; see [`parts`].
    pub contribution: f64,
    /// The tightest comparison that it was above.
    pub above: Option<f32>,
    /// The tightest comparison that it was not above.
    pub at_most: Option<f32>,
}

/// The reason for a verdict on that vector: what the source did, and the rule with its conditions or what the model made of it.
#[must_use]
pub fn explain(verdict: Verdict, basis: Basis, features: &FeatureVector) -> String {
    match basis {
        Basis::Model(model) => explain_model(model, verdict, features),
        Basis::Rule(rule) => {
            let happened =
                if rule.is_about_the_flow() { of_the_flow(features) } else { headline(verdict.class, features) };
            format!("{happened} ({})", rule.explain(features))
        }
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

/// First what the source did, then what the model compared, the features that counted most first.
fn explain_model(model: &Model, verdict: Verdict, features: &FeatureVector) -> String {
    let mut text = headline(verdict.class, features);
    let _ = write!(text, " (model {}, {} {}:", model.name, verdict.class.name(), round(verdict.confidence));
    let parts = parts_of(model, verdict.class, features);
    let told = parts.iter().take(NAMED_FEATURES).filter_map(|part| {
        let above = part.above.map(|bound| (">", bound));
        let at_most = part.at_most.map(|bound| ("≤", bound));
        let bounds: Vec<(&str, f32)> = above.into_iter().chain(at_most).collect();
        Some(compared(part.feature, *features.get(part.feature)?, &bounds))
    });
    let _ = write!(text, " {}", told.collect::<Vec<_>>().join("; "));
    if let Some(more @ 1..) = parts.len().checked_sub(NAMED_FEATURES) {
        let _ = write!(text, "; and {more} of less weight");
    }
    text.push(')');
    text
}

/// What the model made of each feature that it compared, those first that spoke most for the class.
#[must_use]
pub fn parts_of(model: &Model, class: ThreatClass, features: &FeatureVector) -> Vec<Part> {
    let class = model.classes.iter().position(|known| *known == class).unwrap_or_default();
    parts(model.forest, class, features)
}

/// The features that were compared, those first that spoke most for the class.
///
/// What a comparison contributes is the difference that it made to what one would expect of the class from the training
/// rows below: Saabas, "Interpreting random forests" (2014). That is what the trees say; a calibration of the model corrects the
/// confidence as a whole afterwards, and neither the class nor the order of the features.
fn parts(forest: &Forest<'_>, class: usize, features: &FeatureVector) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for (place, root) in forest.trees.iter().enumerate().filter(|(_, root)| speaks_of(root, class)) {
        let end = forest.trees.get(place + 1).map_or(forest.nodes.len(), |next| next.at as usize);
        let expected = expected(forest, root, end, class);
        let of = |at: usize| expected.get(at - root.at as usize).map_or(0.0, |(value, _)| *value);
        let mut at = root.at as usize;
        while let Some(node) = forest.nodes.get(at).filter(|node| !node.is_leaf()) {
            let next = forest.next(at, features);
            let part = part_of(&mut parts, node.feature());
            part.contribution += of(next) - of(at);
            if next == node.left() {
                part.at_most = Some(part.at_most.map_or(node.threshold, |tightest| tightest.min(node.threshold)));
            } else {
                part.above = Some(part.above.map_or(node.threshold, |tightest| tightest.max(node.threshold)));
            }
            at = next;
        }
    }
    parts.sort_by(|a, b| b.contribution.total_cmp(&a.contribution));
    parts
}

fn speaks_of(root: &Root, class: usize) -> bool {
    root.class.is_none_or(|of| usize::from(of) == class)
}

fn part_of(parts: &mut Vec<Part>, feature: usize) -> &mut Part {
    let known = parts.iter().position(|part| part.feature == feature);
    let place = known.unwrap_or_else(|| {
        parts.push(Part { feature, ..Part::default() });
        parts.len() - 1
    });
    &mut parts[place]
}

/// What a training row that comes to each node of a tree can expect of the class, and how many rows come there.
fn expected(forest: &Forest<'_>, root: &Root, end: usize, class: usize) -> Vec<(f64, f64)> {
    let first = root.at as usize;
    let mut expected = vec![(0.0, 0.0); end.saturating_sub(first)];
    let place = if root.class.is_some() { 0 } else { class };
    // Children stand behind their parents.
    for at in (first..end).rev() {
        let Some(node) = forest.nodes.get(at) else { continue };
        let here = if node.is_leaf() {
            let value = forest.ends.get(at).and_then(|from| forest.values.get(*from as usize + place));
            // A leaf of which nobody counted the rows counts as one.
            let rows = forest.rows.get(at).copied().unwrap_or_default().max(1);
            (f64::from(value.copied().unwrap_or_default()), f64::from(rows))
        } else {
            let child = |at: usize| expected.get(at - first).copied().unwrap_or_default();
            let ((low, low_rows), (high, high_rows)) = (child(node.left()), child(node.left() + 1));
            let rows = low_rows + high_rows;
            ((low * low_rows + high * high_rows) / rows, rows)
        };
        if let Some(slot) = expected.get_mut(at - first) {
            *slot = here;
        }
    }
    expected
}

/// What the flow itself was.
fn of_the_flow(features: &FeatureVector) -> String {
    let deeds = Deeds(features);
    let (sent, came_back) = (deeds.things(Index::FwdPackets, "packet"), deeds.count(Index::BwdPackets));
    format!("{sent} and {came_back} in return within {} s", round(deeds.value(Index::DurationS)))
}

/// What happened, for a person who does not know the model.
fn headline(class: ThreatClass, features: &FeatureVector) -> String {
    let deeds = Deeds(features);
    let is_some = |index: Index| features.get(index as usize).is_some_and(|value| *value > 0.0);
    match class {
        ThreatClass::Scan => format!(
            "{} on {} tried in 60 s, {} unanswered, {} refused",
            deeds.things(Index::SrcPorts60s, "port"),
            deeds.things(Index::SrcHosts60s, "host"),
            deeds.percent(Index::SrcUnanswered60s),
            deeds.percent(Index::SrcRefused60s),
        ),
        ThreatClass::Flood => {
            let held = deeds.things(Index::PairOpen60s, "connection");
            let holds_some = is_some(Index::PairOpen60s);
            format!(
                "the destination received {} in 2 s, {} of them from this source, whose connections were never completed at {}{}",
                deeds.things(Index::DstFlows2s, "flow"),
                deeds.count(Index::SrcFlows2s),
                deeds.percent(Index::SrcUnfinished2s),
                if holds_some { format!(", and which holds {held} open there") } else { String::new() },
            )
        }
        ThreatClass::BruteForce if is_some(Index::PairRefusedLogins60s) && !is_some(Index::SrcLogins60s) => {
            format!("{} refused by this host in 60 s", deeds.things(Index::PairRefusedLogins60s, "log-in"))
        }
        ThreatClass::BruteForce => format!(
            "{} connections to services with passwords in 60 s, {} of them over within 30 s, {} with little said in return, and {} refused",
            deeds.count(Index::SrcLogins60s),
            deeds.count(Index::SrcShortLogins60s),
            deeds.count(Index::SrcMeagreLogins60s),
            deeds.things(Index::PairRefusedLogins60s, "log-in"),
        ),
        ThreatClass::WebAttack if is_some(Index::PairMissing60s) => {
            format!("{} in 60 s for what this host has not", deeds.things(Index::PairMissing60s, "request"))
        }
        ThreatClass::Tunnel if is_some(Index::SrcLongNames60s) => format!(
            "the records of {} below one domain asked for in 60 s, as programs do that carry data in names",
            deeds.things(Index::SrcLongNames60s, "long name")
        ),
        ThreatClass::Tunnel if is_some(Index::PairResizedPings60s) => format!(
            "{} in 60 s to this host, each of another size than the one before, as programs send that carry data in them",
            deeds.things(Index::PairResizedPings60s, "ping")
        ),
        ThreatClass::Benign | ThreatClass::Botnet | ThreatClass::WebAttack | ThreatClass::Tunnel => {
            format!(
                "{} in 60 s to {}",
                deeds.things(Index::SrcFlows60s, "flow"),
                deeds.things(Index::SrcHosts60s, "host")
            )
        }
    }
}

/// What the source did lately, and what was done to the destination where that matters, one fact a line: what leads people, not
/// the model, to the class.
#[must_use]
pub fn behaviour(class: ThreatClass, features: &FeatureVector) -> Vec<String> {
    let deeds = Deeds(features);
    let tried = |window: &str, [ports, hosts, unanswered, refused]: [Index; 4]| {
        format!(
            "the source tried {} on {} in {window}, {} unanswered, {} refused",
            deeds.things(ports, "distinct port"),
            deeds.things(hosts, "host"),
            deeds.percent(unanswered),
            deeds.percent(refused),
        )
    };
    let source_2s = tried("2 s", [Index::SrcPorts2s, Index::SrcHosts2s, Index::SrcUnanswered2s, Index::SrcRefused2s]);
    let source_60s =
        tried("60 s", [Index::SrcPorts60s, Index::SrcHosts60s, Index::SrcUnanswered60s, Index::SrcRefused60s]);
    let flows = format!(
        "the source began {} in 2 s and {} in 60 s",
        deeds.things(Index::SrcFlows2s, "flow"),
        deeds.things(Index::SrcFlows60s, "flow"),
    );
    let port = format!(
        "the destination port received {} in 2 s, whose handshakes were not completed at {}",
        deeds.things(Index::DstServiceFlows2s, "flow"),
        deeds.percent(Index::DstServiceUnfinished2s),
    );
    let logins = format!(
        "at this host the source began {} to services with passwords or of the web in 60 s, {} ended soon, {} of these with little said \
         in return, in {} a log-in was seen to fail, and the host refused {}",
        deeds.things(Index::PairFlows60s, "connection"),
        deeds.count(Index::PairShortLogins60s),
        deeds.count(Index::PairMeagreLogins60s),
        deeds.count(Index::PairFailedLogins60s),
        deeds.things(Index::PairRefusedLogins60s, "log-in"),
    );
    let headline = headline(class, features);
    match class {
        ThreatClass::Scan => vec![source_2s, source_60s, flows],
        ThreatClass::Flood => vec![headline, port, flows],
        ThreatClass::BruteForce => vec![headline, logins],
        ThreatClass::Benign | ThreatClass::Botnet | ThreatClass::WebAttack | ThreatClass::Tunnel => {
            vec![headline, source_60s]
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
    use super::super::BUILT_IN;
    use super::*;
    use model_compiler::forest::Combination;
    use proptest::prelude::*;
    use traffic::features::FEATURE_COUNT;

    proptest! {
        #[test]
        fn the_parts_add_up_to_the_verdict_and_their_bounds_hold(
            values in proptest::collection::vec(prop_oneof![Just(0.0_f32), 0.0_f32..2.0, 0.0_f32..3000.0], FEATURE_COUNT)
        ) {
            let features: FeatureVector = values.try_into().expect("as many as features");
            let forest = BUILT_IN.forest;
            prop_assert!(forest.combination == Combination::Mean, "scores are no probabilities: adapt this test");
            for class in 0..BUILT_IN.classes.len() {
                let parts = parts(forest, class, &features);
                let roots = forest.trees.iter().enumerate().map(|(place, root)| {
                    let end = forest.trees.get(place + 1).map_or(forest.nodes.len(), |next| next.at as usize);
                    expected(forest, root, end, class)[0].0
                });
                let sum = roots.sum::<f64>() + parts.iter().map(|part| part.contribution).sum::<f64>();
                let probability = forest.distribution(&features)[class] * forest.trees.len() as f64;
                prop_assert!((sum - probability).abs() < 1e-6, "{sum} {probability}");
                for part in parts {
                    prop_assert!(part.above.is_none_or(|bound| features[part.feature] > bound));
                    prop_assert!(part.at_most.is_none_or(|bound| features[part.feature] <= bound));
                }
            }
        }
    }

    #[test]
    fn what_somebody_did_is_told_by_class_with_the_numbers_of_the_features() {
        let mut features = [0.0; FEATURE_COUNT];
        for (index, value) in [
            (Index::SrcPorts2s, 47.2),
            (Index::SrcHosts2s, 1.0),
            (Index::SrcUnanswered2s, 0.958),
            (Index::SrcRefused2s, 0.042),
            (Index::DstServiceFlows2s, 900.0),
            (Index::DstServiceUnfinished2s, 1.0),
            (Index::PairFlows60s, 31.0),
            (Index::PairShortLogins60s, 29.0),
            (Index::PairMeagreLogins60s, 28.0),
            (Index::PairFailedLogins60s, 27.0),
            (Index::PairRefusedLogins60s, 54.0),
        ] {
            features[index as usize] = value;
        }
        let told = |class| behaviour(class, &features).join("\n");
        let scan = "the source tried 47 distinct ports on 1 host in 2 s, 96 % unanswered, 4 % refused";
        assert!(told(ThreatClass::Scan).starts_with(scan), "{}", told(ThreatClass::Scan));
        let flood = "received 900 flows in 2 s, whose handshakes were not completed at 100 %";
        assert!(told(ThreatClass::Flood).contains(flood));
        let guesses =
            "began 31 connections to services with passwords or of the web in 60 s, 29 ended soon, 28 of these with";
        assert!(told(ThreatClass::BruteForce).contains(guesses));
        assert!(
            told(ThreatClass::BruteForce).ends_with("in 27 a log-in was seen to fail, and the host refused 54 log-ins")
        );
    }

    #[test]
    fn what_a_service_said_is_told_where_nothing_else_was_seen() {
        let mut features = [0.0; FEATURE_COUNT];
        features[Index::PairRefusedLogins60s as usize] = 61.0;
        features[Index::PairMissing60s as usize] = 215.0;
        features[Index::PairResizedPings60s as usize] = 36.0;
        let told = |class| behaviour(class, &features);
        assert_eq!(told(ThreatClass::BruteForce)[0], "61 log-ins refused by this host in 60 s");
        assert_eq!(told(ThreatClass::WebAttack)[0], "215 requests in 60 s for what this host has not");
        assert!(told(ThreatClass::Tunnel)[0].starts_with("36 pings in 60 s to this host"));
        features[Index::SrcLongNames60s as usize] = 41.05;
        let told = behaviour(ThreatClass::Tunnel, &features);
        assert!(told[0].starts_with("the records of 41 long names below one domain"));
    }

    #[test]
    fn numbers_read_well() {
        for (value, text) in [(412.0, "412"), (18.5, "18.5"), (0.984_375, "0.984"), (0.0, "0"), (123.7, "124")] {
            assert_eq!(round(value), text);
        }
    }
}
