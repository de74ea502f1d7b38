//! `[[rules]]`: thresholds on features, written by a person, beside the model.

use std::fmt::Display;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use traffic::features::{FEATURES, ThreatClass};

use super::mistake::nearest;
use crate::DOCUMENTS;
use crate::verdict::Verdict;
use crate::verdict::rules::{
    Comparison, Condition, LONGEST_NAME_BYTES, MOST_CONDITIONS, MOST_RULES, NoCondition, Rule,
};

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(deserialize_with = "name")]
    name: String,
    #[serde(deserialize_with = "conditions")]
    when: Vec<WrittenCondition>,
    #[serde(deserialize_with = "verdict_class")]
    class: ThreatClass,
    #[serde(default, deserialize_with = "some_confidence")]
    confidence: Option<f32>,
    #[serde(default)]
    at_once: bool,
    #[serde(default = "yes")]
    enabled: bool,
}

/// A condition as it is written: a feature, a sign, a number.
struct WrittenCondition(Condition);

/// The configuration as it is shipped.
const SHIPPED: &str = include_str!("../../../overlay/etc/sluice/sluice.toml");

/// What is judged where the configuration names no rules: those of the shipped one, which says why each of them is there.
pub(super) fn default_rules() -> Vec<Rule> {
    #[derive(Deserialize)]
    struct Shipped {
        #[serde(deserialize_with = "rules")]
        rules: Vec<Rule>,
    }
    // It is a part of the program, and a test reads it: that it cannot be read does not happen.
    toml::from_str(SHIPPED).map(|shipped: Shipped| shipped.rules).unwrap_or_default()
}

/// The rules that are switched on.
pub(super) fn rules<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Rule>, D::Error> {
    let written = Vec::<Written>::deserialize(deserializer)?;
    let in_force = written.iter().filter(|rule| rule.enabled).map(|rule| rule.rule().map_err(D::Error::custom));
    let in_force = in_force.collect::<Result<Vec<Rule>, _>>()?;
    if in_force.len() > MOST_RULES {
        let count = in_force.len();
        return Err(D::Error::custom(format!("there are {count} rules; switch on {MOST_RULES} at most")));
    }
    Ok(in_force)
}

impl Written {
    fn rule(&self) -> Result<Rule, String> {
        let conditions: Vec<Condition> = self.when.iter().map(|written| written.0).collect();
        let name = &self.name;
        match (self.class, self.confidence) {
            (ThreatClass::Benign, None) if !self.at_once => Ok(Rule::excuse(name, &conditions)),
            (ThreatClass::Benign, _) => {
                Err(format!("the rule `{name}` accuses nobody: take its `confidence` and `at_once` out"))
            }
            (_, None) => Err(format!("the rule `{name}` lacks its `confidence`, above 0.5 and up to 1")),
            (class, Some(confidence)) => {
                let mut rule = Rule::new(name, Verdict { class, confidence }, &conditions);
                rule.at_once = self.at_once;
                Ok(rule)
            }
        }
    }
}

impl<'de> Deserialize<'de> for WrittenCondition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        condition(&text).map(Self).map_err(D::Error::custom)
    }
}

/// `src_ports_60s > 20`
fn condition(text: &str) -> Result<Condition, String> {
    text.parse().map_err(|why| match why {
        NoCondition::Form => {
            let signs = Comparison::ALL.map(|(sign, _)| sign).join(" ");
            format!(
                "`{text}` is no condition; write a feature, one of {signs}, and a number, such as `src_ports_60s > 20`"
            )
        }
        NoCondition::Number(threshold) => format!("`{threshold}` in `{text}` is no number"),
        NoCondition::Feature(feature) => {
            let known: Vec<&str> = FEATURES.iter().map(|feature| feature.name).collect();
            let meant = meant(&feature, &known);
            format!("there is no feature `{feature}`{meant} (all are in {DOCUMENTS}/features.md)")
        }
    })
}

/// What was probably meant, in words that go on after the mistake.
fn meant(unknown: &str, known: &[&str]) -> String {
    nearest(unknown, known).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// A name that fits into an alert.
pub(super) fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    checked(deserializer, |text: &String| {
        let fits = (1..=LONGEST_NAME_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
        if fits { Ok(()) } else { Err(format!("give a name of 1 to {LONGEST_NAME_BYTES} bytes in one line")) }
    })
}

fn conditions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<WrittenCondition>, D::Error> {
    checked(deserializer, |conditions: &Vec<WrittenCondition>| {
        let fits = (1..=MOST_CONDITIONS).contains(&conditions.len());
        if fits { Ok(()) } else { Err(format!("give 1 to {MOST_CONDITIONS} conditions; all of them must hold")) }
    })
}

/// How sure an accusation is. Evidence is the logarithm of the odds, and half is none.
pub(super) fn confidence<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    checked(deserializer, |confidence: &f32| {
        let fits = *confidence > 0.5 && *confidence <= 1.0;
        if fits { Ok(()) } else { Err("give a number above 0.5, which would say nothing, and up to 1") }
    })
}

fn some_confidence<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f32>, D::Error> {
    confidence(deserializer).map(Some)
}

/// What a rule takes a flow for.
fn verdict_class<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ThreatClass, D::Error> {
    class(deserializer, &ThreatClass::ALL, "class")
}

/// A class that somebody can be accused of.
pub(super) fn accusation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ThreatClass, D::Error> {
    class(deserializer, &ThreatClass::attacks().collect::<Vec<_>>(), "attack")
}

/// One of these classes, by its name.
fn class<'de, D: Deserializer<'de>>(
    deserializer: D,
    known: &[ThreatClass],
    what: &str,
) -> Result<ThreatClass, D::Error> {
    let text = String::deserialize(deserializer)?;
    known.iter().copied().find(|class| class.name() == text).ok_or_else(|| {
        let known: Vec<&str> = known.iter().map(|class| class.name()).collect();
        let meant = meant(&text, &known);
        D::Error::custom(format!("`{text}` is no {what}{meant} (known: {})", known.join(", ")))
    })
}

pub(super) fn checked<'de, D: Deserializer<'de>, T: Deserialize<'de>, E: Display>(
    deserializer: D,
    check: impl Fn(&T) -> Result<(), E>,
) -> Result<T, D::Error> {
    let value = T::deserialize(deserializer)?;
    check(&value).map(|()| value).map_err(D::Error::custom)
}

const fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use std::path::Path;
    use traffic::features::{FEATURE_COUNT, Index};

    fn parsed(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("sluice.toml")).map_err(|error| error.to_string())
    }

    /// A rule with these lines in the place of its own of the same keys.
    fn rule(changed: &str) -> String {
        let lines = ["name = \"n\"", "when = [\"src_ports_60s > 20\"]", "class = \"scan\"", "confidence = 0.8"];
        let key = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
        let kept = lines.iter().filter(|line| !changed.starts_with(&key(line)));
        kept.fold(format!("[[rules]]\n{changed}\n"), |text, line| text + line + "\n")
    }

    #[test]
    fn a_rule_is_taken_as_it_is_written() {
        let when = "when = [\n  \"src_ports_60s > 20\", # many\n  \"bwd_share<=.5\",\n]";
        let config = parsed(&rule(when)).expect("valid");
        let [rule] = config.rules.as_slice() else { panic!("{:?}", config.rules) };
        assert_eq!((rule.name.as_str(), rule.verdict.class, rule.verdict.confidence), ("n", ThreatClass::Scan, 0.8));
        let held = |ports, share| {
            let mut features = [0.0; FEATURE_COUNT];
            (features[Index::SrcPorts60s as usize], features[Index::BwdShare as usize]) = (ports, share);
            rule.holds(&features)
        };
        assert!(held(21.0, 0.5) && !held(20.0, 0.5) && !held(21.0, 0.6));
        assert!(!rule.at_once && parsed(&self::rule("at_once = true")).expect("valid").rules[0].at_once);
    }

    #[test]
    fn rules_take_the_place_of_the_default_ones_and_can_be_switched_off() {
        let shipped = parsed(SHIPPED).expect("valid").rules;
        assert!(shipped.len() > 10 && shipped.iter().any(|rule| rule.excuses()), "{shipped:?}");
        assert_eq!(parsed("").expect("valid").rules, shipped);
        assert_eq!(parsed("rules = []\n").expect("valid").rules, []);
        assert_eq!(parsed(&rule("enabled = false")).expect("valid").rules, []);
        let too_many = parsed(&rule("").repeat(MOST_RULES + 1)).expect_err("refused");
        assert!(too_many.ends_with("there are 65 rules; switch on 64 at most"), "{too_many}");
        assert!(parsed(&rule("").repeat(MOST_RULES)).is_ok());
    }

    #[test]
    fn a_mistake_in_a_rule_is_told_with_line_key_and_what_was_meant() {
        for (changed, expected) in [
            ("nmae = 1", "sluice.toml:2: unknown key `nmae`; did you mean `name`? (known here: name, when, class,"),
            ("name = \"\"", "sluice.toml:2: name: give a name of 1 to 40 bytes in one line"),
            ("name = \"a\\nb\"", "sluice.toml:2: name: give a name of 1 to 40 bytes in one line"),
            (
                "class = \"scna\"",
                "sluice.toml:2: class: `scna` is no class; did you mean `scan`? (known: benign, scan, flood,",
            ),
            ("confidence = 80", "sluice.toml:2: confidence: give a number above 0.5"),
            ("confidence = 0.5", "sluice.toml:2: confidence: give a number above 0.5"),
            ("confidence = nan", "sluice.toml:2: confidence: give a number above 0.5"),
            ("when = []", "sluice.toml:2: when: give 1 to 8 conditions; all of them must hold"),
            ("when = \"src_ports_60s > 20\"", "sluice.toml:2: when: invalid type: string"),
            ("when = [\"src_ports_60s\"]", "sluice.toml:2: when: `src_ports_60s` is no condition; write a feature"),
            ("when = [\"src_ports_60s > x\"]", "sluice.toml:2: when: `x` in `src_ports_60s > x` is no number"),
            ("when = [\"src_ports_60s > inf\"]", "sluice.toml:2: when: `inf` in `src_ports_60s > inf` is no number"),
            (
                "when = [\n  \"bwd_share > 0\",\n  \"src_port_60s > 20\",\n]",
                "sluice.toml:2: when: there is no feature `src_port_60s`; did you mean `src_ports_60s`?",
            ),
        ] {
            let told = parsed(&rule(changed)).expect_err(changed);
            assert!(told.starts_with(expected), "{told}\n  instead of\n{expected}");
        }
        let told = parsed("[[rules]]\nname = \"n\"\n").expect_err("refused");
        assert!(told.starts_with("sluice.toml:1: missing field `when`"), "{told}");
        let told = parsed(&rule("class = \"benign\"")).expect_err("refused");
        assert!(told.ends_with("the rule `n` accuses nobody: take its `confidence` and `at_once` out"), "{told}");
        let told =
            parsed("[[rules]]\nname = \"n\"\nwhen = [\"bwd_share > 0\"]\nclass = \"scan\"\n").expect_err("refused");
        assert!(told.ends_with("the rule `n` lacks its `confidence`, above 0.5 and up to 1"), "{told}");
    }

    #[test]
    fn a_rule_may_excuse() {
        let config =
            parsed("[[rules]]\nname = \"n\"\nwhen = [\"bwd_share > 0\"]\nclass = \"benign\"\n").expect("valid");
        assert_eq!(config.rules[0].verdict.class, ThreatClass::Benign);
    }
}
