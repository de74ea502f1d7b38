//! An alert in plain words, and as JSON: who did what to whom, what led to the verdict, what was done, and how to undo it.
//! The answer to `GET /api/alerts/NUMBER` and to `GET /api/alerts?of=WHOM`; the page and `sluice explain` show the same words.

use core::time::Duration;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use traffic::features::schema::schema_hash_text;
use traffic::features::{FEATURES, FeatureVector, ThreatClass};
use traffic::protocols::{SCTP, TCP, UDP};
use traffic::time::Timestamp;

use super::api::{AlertRow, BlockRow};
use super::words;
use crate::control::Snapshot;
use crate::policy::{Accuser, Action, Alert, BlockRecord, BlockState, EVIDENCE_LASTS, Grounds, Subject, Vector};
use crate::store::KnownBlock;
use crate::store::date::iso;
use crate::verdict::rules::Condition;
use crate::verdict::{Model, Models, behaviour, bound_in_words, in_words, parts_of};

/// The most features that the words name; the JSON has all that were compared.
pub(super) const NAMED_FEATURES: usize = 6;

/// An alert explained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The alert as the state lists it.
    #[serde(flatten)]
    pub alert: AlertRow,
    /// Whom something would be done about: the source, or the device that it is.
    pub offender: String,
    /// `tcp`, `udp`, or the number of the protocol; missing where it is not known.
    pub protocol: Option<String>,
    /// The source's address was proven by a completed handshake.
    pub proven: Option<bool>,
    /// How many packets the flow had by then.
    pub flow_packets: Option<u64>,
    /// What spoke against it: `model`, `rule`, `list` or `domain`.
    pub accuser: Option<String>,
    /// Its name: of the model, the rule or the list.
    pub accuser_name: Option<String>,
    /// What the source did lately, one fact each.
    pub did: Vec<String>,
    /// What decided, in sentences.
    pub decided: Vec<String>,
    /// What the model compared, those first that counted most; empty where no model decided, or it is not there any more.
    pub parts: Vec<PartRow>,
    /// The conditions of the rule, where one decided.
    pub conditions: Vec<ConditionRow>,
    /// All features by their names in the schema; missing where there are none, or another schema computed them.
    pub features: Option<BTreeMap<String, f32>>,
    /// What was done about it, and why so much, in sentences; then what is done about the same ones for another reason.
    pub done: Vec<String>,
    /// The blocks that stand, wait or would be made because of it.
    pub blocks: Vec<BlockRow>,
    /// The blocks that stand, wait or would be made about the same ones, for whatever reason.
    pub standing: Vec<BlockRow>,
    /// What can be done now.
    pub remedies: Vec<Remedy>,
}

/// What the model made of one feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartRow {
    /// Its name in the schema.
    pub feature: String,
    /// Its value.
    pub value: f32,
    /// The same in words.
    pub words: String,
    /// Its part in all that spoke for the class, 0 to 1; below 0 where it spoke against it.
    pub share: f64,
    /// The tightest comparison that it was above.
    pub above: Option<f32>,
    /// The tightest comparison that it was not above.
    pub at_most: Option<f32>,
    /// Both comparisons in words; empty for flags, whose value says it.
    pub bounds: String,
}

/// One condition of the rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConditionRow {
    /// As it is written in the configuration: `src_ports_60s > 20`.
    pub condition: String,
    /// What the feature was.
    pub value: f32,
    /// The same in words.
    pub words: String,
    /// What the rule asks for, in words.
    pub bounds: String,
}

/// Something that a person can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// The command.
    pub command: String,
    /// What it does.
    pub effect: String,
}

/// What is known of somebody: the answer to `GET /api/alerts?of=WHOM`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Who, as it is shown: of an IPv6 address its /64.
    pub who: String,
    /// What was done about it.
    pub done: Vec<String>,
    /// The newest alerts, the newest first.
    pub alerts: Vec<Explanation>,
}

/// What is known around an alert when it is explained.
pub(super) struct Around<'a> {
    /// The state of the box.
    pub(super) snapshot: &'a Snapshot,
    /// Blocks of whom or what it concerns, those that stand and those that are remembered.
    pub(super) blocks: Vec<KnownBlock>,
    /// Now.
    pub(super) now: Timestamp,
}

impl Explanation {
    pub(super) fn of(alert: &Alert, around: &Around<'_>) -> Self {
        let grounds = alert.grounds.as_deref();
        let features = grounds.and_then(|grounds| grounds.vector.features());
        let decided = Decided::of(alert, &around.snapshot.models.in_force);
        let (accuser, accuser_name) = grounds.map(|grounds| accuser_names(&grounds.accuser)).unzip();
        let offender = alert.offender();
        Self {
            alert: AlertRow::of(alert, around.now),
            offender: offender.to_string(),
            protocol: grounds.map(|grounds| protocol(grounds.protocol)),
            proven: grounds.map(|grounds| grounds.proven),
            flow_packets: grounds.map(|grounds| grounds.flow_packets),
            accuser,
            accuser_name,
            did: features.map(|features| behaviour(alert.class, features)).unwrap_or_default(),
            decided: decided.sentences,
            parts: decided.parts,
            conditions: decided.conditions,
            features: features.map(by_name),
            done: done(alert, &around.blocks, around.now),
            blocks: standing(&around.blocks, around.now)
                .filter(|known| follows(known, alert))
                .map(|known| BlockRow::of(&known.record, around.snapshot, around.now))
                .collect(),
            standing: standing(&around.blocks, around.now)
                .map(|known| BlockRow::of(&known.record, around.snapshot, around.now))
                .collect(),
            remedies: remedies(alert, offender, around),
        }
    }
}

impl About {
    pub(super) fn of(subject: Subject, alerts: Vec<Explanation>, around: &Around<'_>) -> Self {
        let done = around.blocks.iter().flat_map(|known| measure(known, None, around.now)).collect();
        Self { who: subject.to_string(), done, alerts }
    }
}

/// What decided, in words and in numbers.
#[derive(Default)]
struct Decided {
    sentences: Vec<String>,
    parts: Vec<PartRow>,
    conditions: Vec<ConditionRow>,
}

impl Decided {
    fn of(alert: &Alert, models: &Models) -> Self {
        let Some(grounds) = &alert.grounds else {
            return Self::as_written("A version of Sluice before this one wrote the alert down", alert);
        };
        match (&grounds.accuser, &grounds.vector) {
            (Accuser::List { name, began: true }, _) => {
                Self::said(format!("It is on the list {name:?} of the configuration, and began a flow."))
            }
            (Accuser::List { name, began: false }, _) => Self::said(format!(
                "It is on the list {name:?} of the configuration, and {} began a flow to it: look whether that device is infected.",
                alert.destination
            )),
            (Accuser::Domain { list, asked }, _) => Self::said(format!(
                "It asked for the name {asked}, which is on the list {list:?} of the configuration or below a name that is: \
                 look whether that device is infected."
            )),
            (_, Vector::Features(features)) => Self::by_features(alert, grounds, features, models),
            (_, Vector::OfOtherSchema(schema)) => Self::as_written(
                &format!(
                    "It was decided from features of another schema ({schema:016x}; this program's is {})",
                    schema_hash_text()
                ),
                alert,
            ),
            (_, Vector::Missing) => Self::as_written("Its features were not kept", alert),
        }
    }

    fn by_features(alert: &Alert, grounds: &Grounds, features: &FeatureVector, models: &Models) -> Self {
        let (class, in_force) = (alert.class.name(), models.active.name);
        match &grounds.accuser {
            Accuser::Rule { name, conditions } => match conditions_of(conditions, features) {
                Some(rows) => Self {
                    sentences: vec![format!(
                        "The rule {name:?} of the configuration took it for {class}: all that it asks for held."
                    )],
                    conditions: rows,
                    ..Self::default()
                },
                None => Self::as_written(&format!("The rule {name:?} of the configuration took it for {class}"), alert),
            },
            Accuser::Model(name) => match models.named(name).filter(|model| says_the_same(model, alert, features)) {
                Some(model) => {
                    let mut said = format!("The model {name} took it for {class}.");
                    if name != in_force {
                        said += &format!(" Another model is in force now: {in_force}.");
                    }
                    Self { sentences: vec![said], parts: part_rows(model, alert.class, features), ..Self::default() }
                }
                None if name == in_force => Self::as_written(
                    &format!("The model {name} took it for {class}, and has been replaced by another one of that name"),
                    alert,
                ),
                None => Self::as_written(
                    &format!("The model {name} took it for {class}, and another one is in force now, {in_force}"),
                    alert,
                ),
            },
            Accuser::List { .. } | Accuser::Domain { .. } => Self::default(),
        }
    }

    fn said(sentence: String) -> Self {
        Self { sentences: vec![sentence], ..Self::default() }
    }

    fn as_written(why: &str, alert: &Alert) -> Self {
        Self::said(format!("{why}. What was written down then: {}", alert.because))
    }
}

/// It is still the model that decided: it answers as it did then, to the bit.
fn says_the_same(model: &Model, alert: &Alert, features: &FeatureVector) -> bool {
    let verdict = model.judge(features);
    verdict.class == alert.class && verdict.confidence.to_bits() == alert.confidence.to_bits()
}

fn part_rows(model: &Model, class: ThreatClass, features: &FeatureVector) -> Vec<PartRow> {
    let parts = parts_of(model, class, features);
    let for_it: f64 = parts.iter().map(|part| part.contribution.max(0.0)).sum();
    let row = |part: &crate::verdict::Part| {
        let (described, value) = FEATURES.get(part.feature).zip(features.get(part.feature))?;
        Some(PartRow {
            feature: described.name.to_owned(),
            value: *value,
            words: in_words(part.feature, *value),
            share: if for_it > 0.0 { part.contribution / for_it } else { 0.0 },
            above: part.above,
            at_most: part.at_most,
            bounds: bounds(part.feature, part.above, part.at_most),
        })
    };
    parts.iter().filter_map(row).collect()
}

fn bounds(feature: usize, above: Option<f32>, at_most: Option<f32>) -> String {
    if FEATURES.get(feature).is_none_or(|feature| feature.unit == "flag") {
        return String::new();
    }
    let above = above.map(|bound| format!("more than {}", bound_in_words(feature, bound)));
    let at_most = at_most.map(|bound| format!("at most {}", bound_in_words(feature, bound)));
    above.into_iter().chain(at_most).collect::<Vec<_>>().join(", ")
}

/// `None` where a condition is of a feature that this program does not know.
fn conditions_of(written: &str, features: &FeatureVector) -> Option<Vec<ConditionRow>> {
    let row = |text: &str| {
        let condition: Condition = text.parse().ok()?;
        let place = usize::from(condition.feature);
        let value = *features.get(place)?;
        let bound = bound_in_words(place, condition.threshold);
        Some(ConditionRow {
            condition: text.to_owned(),
            value,
            words: in_words(place, value),
            bounds: format!("{} {bound}", condition.comparison.words()),
        })
    };
    written.split("; ").map(row).collect()
}

fn by_name(features: &FeatureVector) -> BTreeMap<String, f32> {
    let named = FEATURES.iter().zip(features).filter(|(_, value)| value.is_finite());
    named.map(|(feature, value)| (feature.name.to_owned(), *value)).collect()
}

fn accuser_names(accuser: &Accuser) -> (String, String) {
    let (kind, name) = match accuser {
        Accuser::Model(name) => ("model", name),
        Accuser::Rule { name, .. } => ("rule", name),
        Accuser::List { name, .. } => ("list", name),
        Accuser::Domain { list, .. } => ("domain", list),
    };
    (kind.to_owned(), name.clone())
}

fn protocol(number: u8) -> String {
    match number {
        TCP => String::from("tcp"),
        UDP => String::from("udp"),
        SCTP => String::from("sctp"),
        other => other.to_string(),
    }
}

/// Blocks that are done, wait, or would be made now.
fn standing(blocks: &[KnownBlock], now: Timestamp) -> impl Iterator<Item = &KnownBlock> {
    blocks.iter().filter(move |known| known.ended_early.is_none() && now < known.record.until)
}

/// The block is one for what the alert tells of: for that class, while evidence from then still spoke against somebody, or the alert
/// was raised while it stood.
fn follows(known: &KnownBlock, alert: &Alert) -> bool {
    let KnownBlock { record, ended_early } = known;
    let ended = ended_early.as_ref().map_or(record.until, |(ended, _)| *ended);
    record.class == Some(alert.class) && record.since <= alert.time.plus(EVIDENCE_LASTS) && alert.time <= ended
}

/// What was done about an alert, and what is done about the same ones for another reason.
fn done(alert: &Alert, blocks: &[KnownBlock], now: Timestamp) -> Vec<String> {
    let proven = alert.grounds.as_ref().map(|grounds| grounds.proven);
    let following = blocks.iter().filter(|known| follows(known, alert));
    let mut told: Vec<String> = following.flat_map(|known| measure(known, proven, now)).collect();
    if told.is_empty() {
        // Of each only the last block is remembered.
        let nobody =
            if blocks.is_empty() { "Nobody was blocked for it" } else { "No block is known that was made for it" };
        told.push(format!(
            "{nobody}: an alert takes less evidence than a block, for which several connections must agree, and whoever is \
             protected is never blocked."
        ));
    }
    let others = standing(blocks, now).filter(|known| !follows(known, alert));
    told.extend(others.flat_map(|known| measure(known, None, now)).map(|line| format!("For another reason: {line}")));
    told
}

/// A block in sentences: what, since and until when, and why in that strength.
fn measure(known: &KnownBlock, proven: Option<bool>, now: Timestamp) -> Vec<String> {
    let BlockRecord { subject, action, state, since, until, actor, because, class, .. } = &known.record;
    let (has_ended, since, end, name) = (*until <= now, iso(*since), iso(*until), words::blocked_part(*action));
    if *state == BlockState::Observed && (has_ended || known.ended_early.is_some()) {
        return vec![
            format!(
                "{subject} would have been blocked ({name}) in mode enforce from {since} until {end}; the box only observed, and \
                 nothing was done."
            ),
            format!("Its reason: {because}."),
        ];
    }
    if let Some((ended, by)) = &known.ended_early {
        return vec![format!("{subject} was blocked ({name}) at {since}, which {by} ended at {}.", iso(*ended))];
    }
    if has_ended {
        return vec![format!("{subject} was blocked ({name}) at {since}, until {end}.")];
    }
    let left = words::duration(until.since(now));
    let what = match state {
        BlockState::Enforced => {
            format!("{subject} is blocked ({name}) since {since} by {actor}, until {end} (in {left}).")
        }
        BlockState::Proposed => {
            format!("{subject} would be blocked ({name}), and waits until {end} for somebody who approves that.")
        }
        BlockState::Observed => format!("{subject} would be blocked ({name}) in mode enforce; nothing is done."),
    };
    let mut told = vec![what, strength(*subject, *action, *class, proven).to_owned()];
    told.push(format!("Its reason: {because}."));
    told
}

/// Why so much is done, and no more.
const fn strength(subject: Subject, action: Action, class: Option<ThreatClass>, proven: Option<bool>) -> &'static str {
    match (action, class, proven) {
        (Action::Quarantine, None, _) => {
            "It can look up names, get an address and open this page, nothing else: somebody said so by hand."
        }
        (Action::Limit, None, _) if subject.hears_who_asks_twice() => {
            "Above the limit only who was asked, or asks twice, gets through: somebody said so by hand."
        }
        (Action::Limit, None, _) => "What comes above the limit is lost: somebody said so by hand.",
        (Action::Deny, None, _) => "Everything from and to it is dropped: somebody said so by hand.",
        (Action::DenyNew, None, _) => {
            "What opens a connection is dropped, as somebody said by hand, and its answers still pass: this house needs them."
        }
        (Action::Quarantine, ..) => {
            "It can look up names, get an address and open this page, nothing else: it is a device of this house, known by its \
             network card, which nobody outside can forge."
        }
        (Action::Limit, ..) if subject.hears_who_asks_twice() => {
            "Above the limit only who was asked, or asks twice, gets through: the flood comes from too many addresses to block \
             them one by one."
        }
        (Action::Limit, ..) => {
            "What comes above the limit is lost: the flood comes from too many addresses to block them one by one."
        }
        (Action::Deny, ..) => {
            "Everything from and to it is dropped: completed handshakes prove that the attacks come from this address."
        }
        (Action::DenyNew, _, Some(true)) => {
            "What opens a connection is dropped, and its answers still pass: too little of the evidence was proven by completed \
             handshakes for more, or this house needs its answers."
        }
        (Action::DenyNew, ..) => {
            "What opens a connection is dropped, and its answers still pass: without a completed handshake somebody else could \
             have forged its address."
        }
    }
}

fn remedies(alert: &Alert, offender: Subject, around: &Around<'_>) -> Vec<Remedy> {
    let remedy = |command: String, effect: &str| Remedy { command, effect: effect.to_owned() };
    let mut remedies = Vec::new();
    for KnownBlock { record: block, .. } in standing(&around.blocks, around.now) {
        let subject = block.subject;
        match block.state {
            BlockState::Enforced => remedies
                .push(remedy(format!("sluice unblock {subject}"), "ends the block; it is left alone for a while")),
            BlockState::Proposed => {
                remedies.push(remedy(format!("sluice approve {subject}"), "blocks it"));
                remedies
                    .push(remedy(format!("sluice unblock {subject}"), "dismisses that; it is left alone for a while"));
            }
            BlockState::Observed => remedies.push(remedy(
                format!("sluice mode enforce --class {}", block.class.unwrap_or(alert.class).name()),
                "blocks who does such a thing from then on",
            )),
        }
    }
    if !matches!(offender, Subject::Service(_)) {
        remedies.push(remedy(
            format!("sluice allow {offender} --for 1d"),
            "never blocks it for a day; for good without --for",
        ));
    }
    let (number, class) = (alert.number, alert.class.name());
    match &alert.label {
        Some(_) => remedies.push(remedy(format!("sluice label {number} none"), "takes the label back")),
        None => {
            remedies.push(remedy(format!("sluice label {number} {class}"), "says that the alert was right"));
            remedies.push(remedy(format!("sluice label {number} benign"), "says that it was wrong"));
        }
    }
    remedies
}

impl Explanation {
    /// Who did what to whom, and when, in one sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let AlertRow { time, age_s, source, destination, port, deed, class, .. } = &self.alert;
        let who = if self.offender == *source { source.clone() } else { format!("{source} ({})", self.offender) };
        let port = port.map(|port| format!(" port {port}")).unwrap_or_default();
        let protocol = match self.protocol.as_deref() {
            Some("tcp") => String::from(" over TCP"),
            Some("udp") => String::from(" over UDP"),
            Some("sctp") => String::from(" over SCTP"),
            Some("1" | "58") => String::from(" over ICMP"),
            Some(number) => format!(" over protocol {number}"),
            None => String::new(),
        };
        let ago = words::duration(Duration::from_secs(*age_s));
        let sure = self.confidence();
        format!("{time} ({ago} ago): {who} to {destination}{port}{protocol}: {deed} ({class}), {sure} sure.")
    }

    /// How sure, in words. Never "100 %": a tree is not that sure.
    #[must_use]
    pub fn confidence(&self) -> String {
        words::sureness(self.alert.confidence)
    }

    /// What counted most, or the conditions of the rule, one line each.
    #[must_use]
    pub fn counted(&self) -> Vec<String> {
        let bounded = |words: &str, bounds: &str| match bounds {
            "" => words.to_owned(),
            bounds => format!("{words} ({bounds})"),
        };
        let conditions = self.conditions.iter().map(|row| bounded(&row.words, &row.bounds));
        let for_it: Vec<&PartRow> = self.parts.iter().filter(|part| part.share > 0.0).collect();
        let named = for_it.iter().take(NAMED_FEATURES);
        let parts = named.map(|part| format!("{:.0} %: {}", part.share * 100.0, bounded(&part.words, &part.bounds)));
        let more = for_it.len().saturating_sub(NAMED_FEATURES);
        let rest = (more > 0).then(|| format!("and {more} of less weight"));
        conditions.chain(parts).chain(rest).collect()
    }

    /// What a person said that it was.
    #[must_use]
    pub fn labelled(&self) -> Option<String> {
        let (label, by) = (self.alert.label.as_ref()?, self.alert.labelled_by.as_deref().unwrap_or_default());
        Some(format!("{by} says that it was {label}."))
    }
}

#[cfg(test)]
#[path = "explanation_tests.rs"]
mod tests;
