//! Areas under curves are those that scikit-learn computes of the same scores, ties and weights among them.
#![cfg(feature = "train")]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use model_compiler::random::Random;
use model_compiler::ranking::Ranking;

use crate::python;

const FLOWS: usize = 20_000;
const GROUPS: u64 = 50;

/// A score that says something, how many of its digits are kept, and how rare positives are.
struct Case {
    digits: f32,
    positives: f64,
}

/// A score, a group, and whether it is positive.
type Flow = (f32, usize, bool);

fn flows(case: &Case, random: &mut Random) -> Vec<Flow> {
    let flow = |_| {
        let is_positive = random.share() < case.positives;
        let score = random.share() as f32 + if is_positive { 0.3 } else { -0.2 };
        ((score * case.digits).round() / case.digits, random.below(GROUPS) as usize, is_positive)
    };
    (0..FLOWS).map(flow).collect()
}

#[test]
fn areas_are_those_of_scikit_learn() {
    let Some(python) = python::with_libraries() else { return };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("areas");
    fs::create_dir_all(&folder).unwrap();
    let mut random = Random::new(1);
    for case in [
        Case { digits: 1e6, positives: 0.5 },
        Case { digits: 20.0, positives: 0.1 },
        Case { digits: 1.0, positives: 0.001 },
    ] {
        let flows = flows(&case, &mut random);
        let weights: Vec<f64> = (0..GROUPS).map(|_| random.below(4) as f64).collect();
        let bytes = |of: &dyn Fn(&Flow) -> Vec<u8>| flows.iter().flat_map(of).collect::<Vec<u8>>();
        fs::write(folder.join("scores"), bytes(&|flow| flow.0.to_le_bytes().to_vec())).unwrap();
        fs::write(folder.join("positive"), bytes(&|flow| vec![u8::from(flow.2)])).unwrap();
        fs::write(folder.join("weight"), bytes(&|flow| weights[flow.1].to_le_bytes().to_vec())).unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/areas.py");
        let said = python::run(Command::new(python).arg(script).arg(&folder)).unwrap();
        let theirs: Vec<f64> = said.lines().map(|line| line.parse().unwrap()).collect();

        let areas = Ranking::new(flows.into_iter()).areas(&|group| weights[group]);

        for (ours, theirs) in [areas.roc, areas.precision_recall].into_iter().zip(theirs) {
            assert!((ours.unwrap() - theirs).abs() < 1e-9, "{areas:?} {said}");
        }
    }
}
