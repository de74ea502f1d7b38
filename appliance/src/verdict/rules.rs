//! Rules: thresholds on features that a person wrote, judged beside the model.
//!
//! They come from the configuration and are of fixed size, so that judging compares numbers and nothing else. A rule goes by
//! value with what follows from it: its reason is told by another thread, perhaps when the configuration has changed.

use core::fmt;
use core::str::FromStr;

use traffic::features::schema::index_of;
use traffic::features::{FEATURES, FeatureVector, Index, ThreatClass};

use super::Verdict;
use super::explain::round;
use super::in_words::compared;

/// Most rules in force at once: each is tried at every checkpoint. The default ones are about half of them.
pub const MOST_RULES: usize = 64;

/// Most conditions of a rule.
pub const MOST_CONDITIONS: usize = 8;

/// Longest name, in bytes.
pub const LONGEST_NAME_BYTES: usize = 40;

/// A name of limited length, held in place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name {
    bytes: [u8; LONGEST_NAME_BYTES],
    len: u8,
}

/// How a feature is compared with a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `=`, for flags and whole numbers.
    Equal,
}

/// One comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Condition {
    /// Place of the feature in the vector.
    pub feature: u16,
    /// How.
    pub comparison: Comparison,
    /// With what, in the unit of the feature.
    pub threshold: f32,
}

/// What holds of a flow that the rule accuses, and of what; or excuses, where that is [`ThreatClass::Benign`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// What a person called it.
    pub name: Name,
    /// What a flow is taken for where all conditions hold.
    pub verdict: Verdict,
    /// One such flow is enough for a block.
    pub at_once: bool,
    conditions: [Option<Condition>; MOST_CONDITIONS],
}

/// The first of the features that are about what else the source and the destination did.
const FIRST_OF_PEERS: u16 = Index::SrcFlows2s as u16;

impl Name {
    /// The text, as far as there is room for it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let kept = text.get(..text.floor_char_boundary(LONGEST_NAME_BYTES)).unwrap_or_default().as_bytes();
        let mut bytes = [0; LONGEST_NAME_BYTES];
        for (place, byte) in bytes.iter_mut().zip(kept) {
            *place = *byte;
        }
        Self { bytes, len: kept.len() as u8 }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let kept = self.bytes.get(..self.len.into()).unwrap_or_default();
        // It was cut between two letters, so it is always text.
        core::str::from_utf8(kept).unwrap_or_default()
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl Comparison {
    /// All comparisons as they are written, a longer sign before its beginning.
    pub const ALL: [(&str, Self); 5] =
        [(">=", Self::AtLeast), ("<=", Self::AtMost), (">", Self::Above), ("<", Self::Below), ("=", Self::Equal)];

    /// The sign as a person reads it.
    const fn sign(self) -> &'static str {
        match self {
            Self::Above => ">",
            Self::AtLeast => "≥",
            Self::Below => "<",
            Self::AtMost => "≤",
            Self::Equal => "=",
        }
    }

    /// The same in words that a number follows.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Above => "more than",
            Self::AtLeast => "at least",
            Self::Below => "less than",
            Self::AtMost => "at most",
            Self::Equal => "exactly",
        }
    }
}

/// What keeps a text from being a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoCondition {
    /// It is not a feature, a sign and a number.
    Form,
    /// There is no such feature.
    Feature(String),
    /// That is no finite number.
    Number(String),
}

impl fmt::Display for Condition {
    /// As it is written in the configuration: `src_ports_60s > 20`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = FEATURES.get(usize::from(self.feature)).map_or("?", |feature| feature.name);
        let sign = Comparison::ALL.into_iter().find(|(_, comparison)| *comparison == self.comparison);
        write!(f, "{name} {} {}", sign.map_or("?", |(sign, _)| sign), self.threshold)
    }
}

impl FromStr for Condition {
    type Err = NoCondition;

    fn from_str(text: &str) -> Result<Self, NoCondition> {
        let halves = Comparison::ALL.into_iter().find_map(|(sign, comparison)| {
            let (feature, threshold) = text.split_once(sign)?;
            Some((feature.trim(), comparison, threshold.trim()))
        });
        let (feature, comparison, threshold) = halves.ok_or(NoCondition::Form)?;
        let number = threshold.parse().ok().filter(|number: &f32| number.is_finite());
        let number = number.ok_or_else(|| NoCondition::Number(threshold.to_owned()))?;
        let place = index_of(feature).and_then(|place| u16::try_from(place).ok());
        let place = place.ok_or_else(|| NoCondition::Feature(feature.to_owned()))?;
        Ok(Self { feature: place, comparison, threshold: number })
    }
}

impl Condition {
    fn holds(&self, features: &FeatureVector) -> bool {
        features.get(usize::from(self.feature)).is_some_and(|value| match self.comparison {
            Comparison::Above => *value > self.threshold,
            Comparison::AtLeast => *value >= self.threshold,
            Comparison::Below => *value < self.threshold,
            Comparison::AtMost => *value <= self.threshold,
            Comparison::Equal => *value == self.threshold,
        })
    }
}

impl Rule {
    /// A rule of at most [`MOST_CONDITIONS`]; more are not looked at.
    #[must_use]
    pub fn new(name: &str, verdict: Verdict, conditions: &[Condition]) -> Self {
        let mut rule = Self { name: Name::new(name), verdict, at_once: false, conditions: [None; MOST_CONDITIONS] };
        for (place, condition) in rule.conditions.iter_mut().zip(conditions) {
            *place = Some(*condition);
        }
        rule
    }

    /// A rule that excuses: a flow of which its conditions hold is no scan and no flood to the model.
    #[must_use]
    pub fn excuse(name: &str, conditions: &[Condition]) -> Self {
        Self::new(name, Verdict { class: ThreatClass::Benign, confidence: 0.0 }, conditions)
    }

    /// It excuses.
    #[must_use]
    pub fn excuses(&self) -> bool {
        self.verdict.class == ThreatClass::Benign
    }

    /// All conditions hold. A rule without any would accuse everybody; it accuses nobody.
    #[must_use]
    pub fn holds(&self, features: &FeatureVector) -> bool {
        let [first, ..] = self.conditions;
        first.is_some() && self.conditions.iter().flatten().all(|condition| condition.holds(features))
    }

    /// It asks for nothing but what the flow itself is.
    #[must_use]
    pub fn is_about_the_flow(&self) -> bool {
        self.conditions.iter().flatten().all(|condition| condition.feature < FIRST_OF_PEERS)
    }

    /// The conditions as they are written in the configuration, with `; ` between them.
    #[must_use]
    pub fn written(&self) -> String {
        let conditions: Vec<String> = self.conditions.iter().flatten().map(ToString::to_string).collect();
        conditions.join("; ")
    }

    /// The conditions, in words with the values that they were held against.
    pub(super) fn explain(&self, features: &FeatureVector) -> String {
        let told = self.conditions.iter().flatten().filter_map(|condition| {
            let place = usize::from(condition.feature);
            let value = *features.get(place)?;
            Some(compared(place, value, &[(condition.comparison.sign(), condition.threshold)]))
        });
        let told: Vec<String> = told.collect();
        let Verdict { class, confidence } = self.verdict;
        format!("rule {:?}: {}: {} {}", self.name, told.join("; "), class.name(), round(confidence))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BUILT_IN, Basis, Rulebook};
    use super::*;
    use traffic::features::{FEATURE_COUNT, Index, ThreatClass};

    fn rule(name: &str, confidence: f32, conditions: &[(Index, Comparison, f32)]) -> Rule {
        let condition = |&(index, comparison, threshold): &(Index, Comparison, f32)| Condition {
            feature: index as u16,
            comparison,
            threshold,
        };
        let conditions: Vec<Condition> = conditions.iter().map(condition).collect();
        Rule::new(name, Verdict { class: ThreatClass::Botnet, confidence }, &conditions)
    }

    fn features(values: &[(Index, f32)]) -> FeatureVector {
        let mut features = [0.0; FEATURE_COUNT];
        for (index, value) in values {
            features[*index as usize] = *value;
        }
        features
    }

    #[test]
    fn each_comparison_is_what_its_sign_says() {
        for (sign, comparison) in Comparison::ALL {
            let rule = rule("one", 0.8, &[(Index::SrcPorts60s, comparison, 20.0)]);
            let held = [19.0, 20.0, 21.0, f32::NAN].map(|ports| rule.holds(&features(&[(Index::SrcPorts60s, ports)])));
            let expected = match sign {
                ">" => [false, false, true, false],
                ">=" => [false, true, true, false],
                "<" => [true, false, false, false],
                "<=" => [true, true, false, false],
                "=" => [false, true, false, false],
                _ => panic!("{sign} has no case"),
            };
            assert_eq!(held, expected, "{sign}");
        }
    }

    #[test]
    fn all_conditions_must_hold_and_none_accuse_nobody() {
        let both = rule(
            "both",
            0.8,
            &[(Index::SrcPorts60s, Comparison::Above, 20.0), (Index::SrcHosts60s, Comparison::Below, 5.0)],
        );
        assert!(both.holds(&features(&[(Index::SrcPorts60s, 21.0), (Index::SrcHosts60s, 1.0)])));
        assert!(!both.holds(&features(&[(Index::SrcPorts60s, 21.0), (Index::SrcHosts60s, 9.0)])));
        assert!(!both.holds(&features(&[(Index::SrcHosts60s, 1.0)])));
        assert!(!rule("none", 0.8, &[]).holds(&features(&[])));
    }

    /// What the built-in model and these rules say together.
    fn judge(rules: &[Rule], seen: &FeatureVector) -> (Verdict, Basis) {
        let rulebook = Rulebook { rules: rules.to_vec(), ..Rulebook::default() };
        super::super::judge(&BUILT_IN, rulebook.accusing(seen, |_| true), seen, |_| true)
    }

    #[test]
    fn the_most_confident_accusation_wins_and_a_tie_goes_to_the_first() {
        let seen = features(&[(Index::OddFlags, 3.0)]);
        assert_eq!(BUILT_IN.judge(&seen).class, ThreatClass::Benign, "the model alone says nothing");
        let odd = |name, confidence| rule(name, confidence, &[(Index::OddFlags, Comparison::Above, 0.0)]);
        let not = rule("not", 1.0, &[(Index::OddFlags, Comparison::Equal, 0.0)]);
        let rules = [odd("weak", 0.6), odd("first", 0.9), odd("second", 0.9), not];
        let (verdict, basis) = judge(&rules, &seen);
        assert_eq!((verdict.class, verdict.confidence), (ThreatClass::Botnet, 0.9));
        assert_eq!(basis, Basis::Rule(rules[1]));
        assert_eq!(judge(&rules, &features(&[])).1, Basis::Rule(not));
        assert_eq!(judge(&[], &seen), (BUILT_IN.judge(&seen), Basis::Model(&BUILT_IN)));
    }

    #[test]
    fn a_rule_for_which_one_flow_is_enough_goes_before_surer_ones() {
        let odd = |name, confidence| rule(name, confidence, &[(Index::OddFlags, Comparison::Above, 0.0)]);
        let at_once = |name, confidence| Rule { at_once: true, ..odd(name, confidence) };
        let (first, surer, last) = (at_once("first", 0.6), odd("surer", 1.0), at_once("last", 0.6));
        for rules in [vec![first, surer, last], vec![surer, first, last]] {
            assert_eq!(judge(&rules, &features(&[(Index::OddFlags, 3.0)])).1, Basis::Rule(first));
        }
    }

    #[test]
    fn what_is_not_heard_yet_hides_nothing_that_is() {
        let odd = |name, confidence| rule(name, confidence, &[(Index::OddFlags, Comparison::Above, 0.0)]);
        let mut guessing = odd("guessing", 0.9);
        guessing.verdict.class = ThreatClass::BruteForce;
        let (seen, scan) = (features(&[(Index::OddFlags, 3.0)]), odd("other", 0.8));
        let rulebook = Rulebook { rules: vec![guessing, scan], ..Rulebook::default() };
        let until_the_end = |class| class != ThreatClass::BruteForce;
        assert_eq!(rulebook.accusing(&seen, until_the_end), Some(&scan));
        assert_eq!(rulebook.accusing(&seen, |_| true), Some(&guessing));
        let (verdict, _) = super::super::judge(&BUILT_IN, None, &seen, |_| false);
        assert_eq!(verdict.class, ThreatClass::Benign);
    }

    #[test]
    fn what_is_excused_is_heard_of_rules_only() {
        let odd = rule("odd", 0.8, &[(Index::OddFlags, Comparison::Above, 0.0)]);
        let condition = Condition { feature: Index::IsTcp as u16, comparison: Comparison::Equal, threshold: 1.0 };
        let rulebook = Rulebook { rules: vec![Rule::excuse("tcp", &[condition]), odd], ..Rulebook::default() };
        let seen = features(&[(Index::IsTcp, 1.0), (Index::OddFlags, 3.0)]);
        assert!(rulebook.excuses(&seen) && !rulebook.excuses(&features(&[(Index::OddFlags, 3.0)])));
        assert_eq!(rulebook.accusing(&seen, |_| true), Some(&odd));
        assert_eq!(rulebook.accusing(&features(&[(Index::IsTcp, 1.0)]), |_| true), None, "an excuse accuses nobody");
    }

    #[test]
    fn the_reason_names_the_rule_and_the_values() {
        let rule = rule(
            "many \"ports\"",
            0.8,
            &[(Index::SrcPorts60s, Comparison::Above, 20.0), (Index::SrcUnanswered60s, Comparison::AtLeast, 0.5)],
        );
        let seen = features(&[(Index::SrcPorts60s, 31.0), (Index::SrcUnanswered60s, 0.968_75)]);
        assert_eq!(
            rule.explain(&seen),
            "rule \"many \\\"ports\\\"\": 31 distinct ports tried by the source in 60 s (> 20); 97 % of the source's flows in 60 s that \
             nobody answered in time (≥ 50 %): botnet 0.8"
        );
    }

    #[test]
    fn conditions_are_read_as_they_are_written() {
        let wanted = [
            (Index::SrcPorts60s, Comparison::AtLeast, 20.5),
            (Index::IsUdp, Comparison::Equal, 0.0),
            (Index::BwdShare, Comparison::Below, 0.01),
        ];
        let rule = rule("written", 0.8, &wanted);
        let written = rule.written();
        assert_eq!(written, "src_ports_60s >= 20.5; is_udp = 0; bwd_share < 0.01");
        let read: Vec<Condition> = written.split("; ").map(|text| text.parse().unwrap()).collect();
        assert_eq!(read, rule.conditions.into_iter().flatten().collect::<Vec<_>>());
        assert_eq!("ttl > 3".parse::<Condition>(), Err(NoCondition::Feature("ttl".to_owned())));
        assert_eq!("is_udp = inf".parse::<Condition>(), Err(NoCondition::Number("inf".to_owned())));
    }

    #[test]
    fn a_name_that_is_too_long_ends_between_two_letters() {
        let name = Name::new(&"ä€".repeat(20));
        assert_eq!(name.as_str(), "ä€".repeat(8));
        assert_eq!(Name::new("").as_str(), "");
    }
}
