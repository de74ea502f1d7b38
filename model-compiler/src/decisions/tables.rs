//! Decisions summed up: by class and profile, by where captures are from, beside a single comparison, and by threshold.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{BALANCED, Decided, Decisions, PROFILES, Threshold};
use crate::bootstrap;
use crate::extract::BENIGN;
use crate::folds::{Grouping, corpus_of};
use crate::shares::{Share, of_time, quantile};

/// What was decided about the captures of one class in one profile.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The class of the model, or the label where the model knows it under no class.
    pub class: String,
    /// The profile.
    pub profile: &'static str,
    /// How many captures there are.
    pub captures: u64,
    /// In how many of them the attack was caught.
    pub caught: u64,
    /// The median of the time until then, in seconds from the beginning of the attack.
    pub median_caught_s: Option<f64>,
    /// The time that it took at most in nineteen of twenty that were caught.
    pub p95_caught_s: Option<f64>,
    /// The median of the packets until then.
    pub median_caught_packets: Option<f64>,
    /// How many packets it took at most in nineteen of twenty.
    pub p95_caught_packets: Option<f64>,
    /// The median of the flows that spoke for it.
    pub median_evidence_flows: Option<f64>,
    /// How many captures have a wrongful block.
    pub with_wrongful: u64,
    /// How many wrongful blocks there are.
    pub wrongful: u64,
    /// How many hours there was traffic in all the captures.
    pub hours: f64,
    /// How many flows all the captures have.
    pub flows: u64,
    /// How many of them were taken for attacks.
    pub accused_flows: u64,
    /// The share of these, with an interval by drawing sources again: flows of one source resemble each other. Where all are of one
    /// source, captures are drawn.
    pub accused: Option<Share>,
}

/// A line for each class and profile; `class_of` names the class of a label.
#[must_use]
pub fn summarise(decided: &[Decided], class_of: &dyn Fn(&str) -> String) -> Vec<Summary> {
    let mut groups: BTreeMap<(String, usize), Vec<&Decided>> = BTreeMap::new();
    for case in decided {
        let place = PROFILES.iter().position(|profile| *profile == case.profile).unwrap_or_default();
        groups.entry((class_of(&case.label), place)).or_default().push(case);
    }
    groups.into_iter().map(|((class, place), cases)| summary(class, PROFILES[place], &cases)).collect()
}

fn summary(class: String, profile: &'static str, cases: &[&Decided]) -> Summary {
    let sorted = |figure: &dyn Fn(&Decided) -> Option<f64>| {
        let mut values: Vec<f64> = cases.iter().filter_map(|case| figure(case)).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let times = sorted(&|case| case.caught_s);
    let packets = sorted(&|case| case.caught_packets.map(|packets| packets as f64));
    let flows = sorted(&|case| case.evidence_flows.map(|flows| flows as f64));
    Summary {
        class,
        profile,
        captures: cases.len() as u64,
        caught: times.len() as u64,
        median_caught_s: quantile(&times, 0.5),
        p95_caught_s: quantile(&times, 0.95),
        median_caught_packets: quantile(&packets, 0.5),
        p95_caught_packets: quantile(&packets, 0.95),
        median_evidence_flows: quantile(&flows, 0.5),
        with_wrongful: cases.iter().filter(|case| !case.wrongful.is_empty()).count() as u64,
        wrongful: cases.iter().map(|case| case.wrongful.len() as u64).sum(),
        hours: cases.iter().map(|case| case.traffic_s).sum::<f64>() / 3600.0,
        flows: cases.iter().map(|case| case.flows).sum(),
        accused_flows: cases.iter().map(|case| case.accused_flows).sum(),
        accused: accused(cases),
    }
}

/// The share of the flows that were taken for attacks.
fn accused(cases: &[&Decided]) -> Option<Share> {
    let clusters = |grouping: Grouping| {
        let mut clusters: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for case in cases {
            let (part, whole) = clusters.entry(grouping.of(&case.capture, &case.source)).or_default();
            (*part, *whole) = (*part + case.accused_flows, *whole + case.flows);
        }
        clusters.into_values().collect::<Vec<_>>()
    };
    let sources = clusters(Grouping::Source);
    bootstrap::share(&if sources.len() > 1 { sources } else { clusters(Grouping::Capture) })
}

/// Summaries as cells of a table, for the card and the report.
pub mod in_words {
    use super::{BENIGN, Share, Summary, of_time};

    /// The titles of [`cells`].
    pub const TITLES: [&str; 8] = [
        "captures",
        "caught, %",
        "time until then, median and 95 %, s",
        "packets until then, median and 95 %",
        "flows until then, median",
        "captures with a wrongful block, %",
        "wrongful blocks per hour with traffic",
        "flows taken for attacks, %",
    ];

    /// What was decided about one class in one profile; of shares with 95 % intervals: of captures Wilson's, of flows as [`Summary::accused`] says.
    #[must_use]
    pub fn cells(of: &Summary) -> [String; 8] {
        let number =
            |value: Option<f64>, digits| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"));
        let caught = Share::of(of.caught, of.captures).filter(|_| of.class != BENIGN);
        [
            of.captures.to_string(),
            in_words(caught),
            format!("{} and {}", number(of.median_caught_s, 1), number(of.p95_caught_s, 1)),
            format!("{} and {}", number(of.median_caught_packets, 0), number(of.p95_caught_packets, 0)),
            number(of.median_evidence_flows, 0),
            in_words(Share::of(of.with_wrongful, of.captures)),
            format!("{} in {:.1} h", of_time(of.wrongful, of.hours), of.hours),
            in_words(of.accused),
        ]
    }

    fn in_words(share: Option<Share>) -> String {
        share.map_or_else(|| "-".to_owned(), |share| share.to_string())
    }
}

/// A table of the summaries for the card, with 95 % intervals.
#[must_use]
pub fn table(summaries: &[Summary]) -> String {
    let titles = in_words::TITLES;
    let mut text = format!("| class | profile | {} |\n|---|---|{}\n", titles.join(" | "), "---|".repeat(titles.len()));
    for line in summaries {
        text.push_str(&format!("| {} | {} | {} |\n", line.class, line.profile, in_words::cells(line).join(" | ")));
    }
    text
}

/// A table of the captures of each corpus and class, and one of those of each source and class, in the profile balanced.
#[must_use]
pub fn by_place(decided: &[Decided], class_of: &dyn Fn(&str) -> String) -> String {
    let by_corpus = table_by("corpus", &|case| corpus_of(&case.capture), decided, class_of);
    let by_source = table_by("source", &|case| &case.source, decided, class_of);
    format!("{by_corpus}\n{by_source}")
}

/// A table of what the models decided beside what the single comparisons did and the rules alone, in the profile balanced.
#[must_use]
pub fn beside_others(decisions: &Decisions, class_of: &dyn Fn(&str) -> String) -> String {
    /// Places among the cells of a summary.
    const COMPARED: [usize; 3] = [1, 5, 7];
    let titles: Vec<String> = COMPARED
        .iter()
        .map(|place| format!("{}: model | comparison | majority class", in_words::TITLES[*place]))
        .collect();
    let mut text = format!("| class | captures | {} |\n|---|---|{}\n", titles.join(" | "), "---|".repeat(9));
    let all = [&decisions.model, &decisions.stump, &decisions.majority];
    let [model, stump, majority] = all.map(|decided| {
        let mut summaries = summarise(decided, class_of);
        summaries.retain(|of| of.profile == BALANCED);
        summaries
    });
    for ((model, stump), majority) in model.iter().zip(&stump).zip(&majority) {
        let cells = [model, stump, majority].map(in_words::cells);
        let compared = COMPARED.map(|place| cells.each_ref().map(|of| of[place].as_str()).join(" | "));
        text.push_str(&format!("| {} | {} | {} |\n", model.class, model.captures, compared.join(" | ")));
    }
    text
}

/// A table of what would be decided at other thresholds: a line for each, and a column for each class of attacks.
#[must_use]
pub fn by_threshold(thresholds: &[Threshold], class_of: &dyn Fn(&str) -> String) -> String {
    let lines: Vec<(f32, Vec<Summary>)> = thresholds
        .iter()
        .map(|threshold| (threshold.block_evidence, summarise(&threshold.decided, class_of)))
        .collect();
    let classes: BTreeSet<&str> = lines.iter().flat_map(|(_, line)| line).map(|of| of.class.as_str()).collect();
    let titles: Vec<&str> = classes.into_iter().filter(|class| *class != BENIGN).collect();
    let mut text = format!(
        "| evidence | {}, caught, % | harmless captures with a wrongful block | others with one |\n|---|{}---|---|\n",
        titles.join(", caught, % | "),
        "---|".repeat(titles.len())
    );
    for (evidence, line) in &lines {
        let of = |class: &str| line.iter().find(|of| of.class == class);
        let caught = |class: &&str| of(class).map_or_else(|| "-".to_owned(), |of| in_words::cells(of)[1].clone());
        let harmless = of(BENIGN).map_or(0, |of| of.with_wrongful);
        let others = line.iter().map(|of| of.with_wrongful).sum::<u64>() - harmless;
        let caught: Vec<String> = titles.iter().map(caught).collect();
        text.push_str(&format!("| {evidence} | {} | {harmless} | {others} |\n", caught.join(" | ")));
    }
    text
}

fn table_by(
    title: &str,
    place_of: &dyn Fn(&Decided) -> &str,
    decided: &[Decided],
    class_of: &dyn Fn(&str) -> String,
) -> String {
    let mut groups: BTreeMap<(&str, String), Vec<&Decided>> = BTreeMap::new();
    for case in decided.iter().filter(|case| case.profile == BALANCED) {
        groups.entry((place_of(case), class_of(&case.label))).or_default().push(case);
    }
    let line = |place: &str, class: &str, [captures, caught, _, _, _, wrongful, _, accused]: [String; 8]| {
        format!("| {place} | {class} | {captures} | {caught} | {wrongful} | {accused} |\n")
    };
    let mut text = line(title, "class", in_words::TITLES.map(str::to_owned)) + "|---|---|---|---|---|---|\n";
    for ((place, class), cases) in groups {
        text.push_str(&line(place, &class, in_words::cells(&summary(class.clone(), BALANCED, &cases))));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::decided;
    use super::super::tests::{block, capture, report};
    use super::*;
    use crate::corpus::LabelledCapture;

    #[test]
    fn summaries_count_captures_and_time() {
        let scan = capture("scan", &["203.0.113.9"], &[]);
        let caught = |t| decided(&scan, "strict", &report(vec![block(t, "203.0.113.9", "203.0.113.9", "deny")]));
        let passed = decided(&scan, "strict", &report(Vec::new()));
        let cases = [caught(1.0), caught(3.0), caught(40.0), passed].map(|case| Decided { traffic_s: 1800.0, ..case });
        let summaries = summarise(&cases, &|label| label.to_uppercase());
        assert_eq!(summaries.len(), 1);
        let Summary { class, captures, caught, median_caught_s, p95_caught_s, hours, .. } = &summaries[0];
        assert_eq!((class.as_str(), *captures, *caught, *hours), ("SCAN", 4, 3, 2.0));
        assert_eq!((*median_caught_s, *p95_caught_s), (Some(3.0), Some(40.0)));
        assert_eq!((summaries[0].flows, summaries[0].accused_flows), (40, 16));
        assert!(table(&summaries).contains("| SCAN | strict | 4 | 75.00 ["), "{}", table(&summaries));
    }

    #[test]
    fn the_share_of_flows_is_as_sure_as_sources_agree() {
        let of = |source: &str, capture: u64, accused_flows| {
            let case = decided(&capture_of(source, capture), BALANCED, &report(Vec::new()));
            Decided { flows: 100, accused_flows, ..case }
        };
        let mut cases: Vec<Decided> = (0..20).map(|at| of("busy", at, 50)).collect();
        cases.extend((0..20).map(|at| of("quiet", at, 0)));
        let accused = |cases: &[Decided]| summarise(cases, &str::to_owned)[0].accused.unwrap();
        assert_eq!(
            accused(&cases),
            Share { value: 0.25, low: 0.0, high: 0.5 },
            "two sources, and either may be all there is"
        );
        let one_source = Share { value: 0.5, low: 0.5, high: 0.5 };
        assert_eq!(accused(&cases[..20]), one_source, "its captures agree");
        assert_eq!(accused(&cases[..1]), Share { value: 0.5, low: 0.0, high: 1.0 });
    }

    fn capture_of(source: &str, number: u64) -> LabelledCapture {
        LabelledCapture { name: format!("a/{source}-{number}"), source: source.to_owned(), ..capture("scan", &[], &[]) }
    }

    #[test]
    fn captures_are_told_apart_by_corpus_and_by_source() {
        let of = |name: &str, source: &str, is_caught: bool| {
            let scan = LabelledCapture {
                name: name.to_owned(),
                source: source.to_owned(),
                ..capture("scan", &["203.0.113.9"], &[])
            };
            let blocks = if is_caught { vec![block(1.0, "203.0.113.9", "203.0.113.9", "deny")] } else { Vec::new() };
            decided(&scan, BALANCED, &report(blocks))
        };
        let cases = [of("a/1", "x", true), of("a/2", "y", false), of("b/1", "y", true)];
        let text = by_place(&cases, &str::to_owned);
        for line in [
            "| a | scan | 2 | 50.00 [",
            "| b | scan | 1 | 100.00 [",
            "| x | scan | 1 | 100.00 [",
            "| y | scan | 2 | 50.00 [",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn thresholds_have_a_line_each_and_attacks_a_column() {
        let scan = capture("scan", &["203.0.113.9"], &[]);
        let struck = |source| report(vec![block(1.0, source, source, "deny")]);
        let at = |block_evidence, in_benign, in_scan| {
            let of = |capture: &LabelledCapture, report| decided(capture, BALANCED, &report);
            let decided = vec![of(&capture(BENIGN, &[], &[]), in_benign), of(&scan, in_scan)];
            Threshold { block_evidence, decided }
        };
        let nobody = || report(Vec::new());
        let low = at(2.5, struck("198.51.100.7"), struck("203.0.113.9"));
        let thresholds = [low, at(5.0, nobody(), struck("198.51.100.7")), at(12.0, nobody(), nobody())];
        let text = by_threshold(&thresholds, &str::to_owned);
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split('|').map(|cell| cell.split('[').next().unwrap_or_default().trim()).collect())
            .collect();
        let expected = [
            ["", "evidence", "scan, caught, %", "harmless captures with a wrongful block", "others with one", ""],
            ["", "---", "---", "---", "---", ""],
            ["", "2.5", "100.00", "1", "0", ""],
            ["", "5", "0.00", "0", "1", ""],
            ["", "12", "0.00", "0", "0", ""],
        ];
        assert_eq!(lines, expected);
    }
}
