//! `make bench-model`: ns per verdict of a tree of depth 6, one of depth 12 and a forest of 100 trees, in both forms that this
//! crate compiles, beside the C of m2cgen and tl2cgen at -O3 and scikit-learn itself; and how large each form is.
//!
//! scikit-learn trains all of them on synthetic rows of our schema, and they come here through `import`. The questions come
//! as traffic does: some kind of flow, a few or many of it, then another kind. All programs get the same rows, one call for
//! each, in turn, round by round, so that a busy moment of the machine meets all of them; the fastest round counts. All
//! must decide for the same classes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Error, Result, ensure};
use model_compiler::emit::Form;
use model_compiler::import::{Said, import, ranges};
use model_compiler::measure_forms::{ROOT, build, crate_name, size, write_crate, write_form};
use model_compiler::model::Model;
use model_compiler::random::Random;
use model_compiler::rows::{Capture, Row, Rows};
use traffic::features::{FEATURE_COUNT, FEATURES, FeatureVector, ThreatClass};

#[path = "../../tests/python/environment.rs"]
mod environment;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/models");
const MODELS: [&str; 3] = ["depth_6", "depth_12", "forest"];
/// They write C.
const RIVALS: [&str; 2] = ["m2cgen", "tl2cgen"];
const LESSONS: usize = 20_000;
const QUESTIONS: usize = 20_000;
/// How often each program is started, and how often it goes through all rows each time.
const ROUNDS: usize = 5;
const TIMES: usize = 3;
/// The most flows of one kind that follow one another.
const LONGEST_RUN: usize = 60;

fn main() -> Result<()> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-model");
    fs::create_dir_all(&directory)?;
    let requirements = format!("{SOURCE}/requirements.txt");
    let python = environment::environment(&directory.join("python"), &requirements).map_err(Error::msg)?;
    let numbers = &mut Random::new(1);
    let kinds = kinds(numbers);
    let lessons = lessons(&kinds, numbers);
    lessons.write(&directory.join("rows.csv"))?;
    let questions: Vec<u8> = flows(&kinds, QUESTIONS, numbers)
        .iter()
        .flat_map(|(_, row)| row)
        .flat_map(|value| value.to_le_bytes())
        .collect();
    fs::write(directory.join("questions"), questions)?;
    run(Command::new(&python).arg(format!("{SOURCE}/rivals.py")).arg("train").arg(&directory))?;
    let models = MODELS.iter().map(|name| imported(name, &lessons, &directory)).collect::<Result<Vec<_>>>()?;
    compile_ours(&models, &directory)?;
    for model in &models {
        RIVALS.iter().try_for_each(|rival| compile_rival(rival, &model.name, &directory))?;
    }
    show(&measure(&models, &python, &directory)?, &models, &directory)
}

/// A kind of flow: its class, and about what each feature is.
struct Kind {
    class: ThreatClass,
    middle: FeatureVector,
}

/// Three of ten kinds are attacks of some class; what they have in common with others is up to chance.
fn kinds(numbers: &mut Random) -> Vec<Kind> {
    let kind = |at: usize| Kind {
        class: if at % 10 < 7 { ThreatClass::Benign } else { ThreatClass::ALL[1 + at % 4] },
        middle: std::array::from_fn(|feature| middle(feature, numbers)),
    };
    (0..40).map(kind).collect()
}

fn middle(feature: usize, numbers: &mut Random) -> f32 {
    match FEATURES[feature].unit {
        "flag" => numbers.below(2) as f32,
        "share" => numbers.share() as f32,
        "packets" | "count" => numbers.below(12) as f32,
        _ => 10.0_f32.powf(numbers.share() as f32 * 8.0 - 4.0),
    }
}

/// A flow of that kind. Every fourth value is anything.
fn flow(kind: &Kind, numbers: &mut Random) -> FeatureVector {
    std::array::from_fn(|feature| {
        if numbers.below(4) == 0 {
            return middle(feature, numbers);
        }
        match FEATURES[feature].unit {
            "flag" => kind.middle[feature],
            "packets" | "count" => kind.middle[feature] + numbers.below(5) as f32,
            _ => kind.middle[feature] * (0.5 + numbers.share() as f32),
        }
    })
}

/// Flows in runs of one kind. One in thirty is called something else than it is.
fn flows(kinds: &[Kind], count: usize, numbers: &mut Random) -> Vec<(ThreatClass, FeatureVector)> {
    let mut flows = Vec::with_capacity(count);
    while flows.len() < count {
        let kind = &kinds[numbers.below(kinds.len() as u64) as usize];
        let longest = if kind.class == ThreatClass::Benign { 4 } else { LONGEST_RUN };
        for _ in 0..=numbers.below(longest as u64) {
            let class = if numbers.below(30) == 0 {
                kinds[numbers.below(kinds.len() as u64) as usize].class
            } else {
                kind.class
            };
            flows.push((class, flow(kind, numbers)));
        }
    }
    flows.truncate(count);
    flows
}

fn lessons(kinds: &[Kind], numbers: &mut Random) -> Rows {
    let mut rows = Rows::default();
    rows.captures.push(Capture { name: "synthetic".to_owned(), source: "synthetic".to_owned() });
    for (at, (class, features)) in flows(kinds, LESSONS, numbers).into_iter().enumerate() {
        let label = rows.label(class.name());
        rows.rows.push(Row { capture: 0, label, initiator: 0, flow: at as u64, packets: 1, features });
    }
    rows
}

fn run(command: &mut Command) -> Result<String> {
    environment::run(command).map_err(Error::msg)
}

fn imported(name: &str, lessons: &Rows, directory: &Path) -> Result<Model> {
    let bytes = fs::read(directory.join(format!("{name}.model")))?;
    let said = Said { name: name.to_owned(), ..Said::default() };
    Ok(import(&bytes, &said, ranges(lessons)?)?)
}

/// A crate for each model and form, and the library through which C asks them.
fn compile_ours(models: &[Model], directory: &Path) -> Result<()> {
    let mut dependencies = String::new();
    let mut program = "//! All models and forms, to be called from C.\n".to_owned();
    for (model, form) in each_form(models) {
        let part = write_form(model, form, directory)?;
        dependencies.push_str(&format!("{part} = {{ path = \"../{part}\" }}\n"));
        program.push_str(&format!(
            "#[unsafe(no_mangle)]\npub extern \"C\" fn ask_{part}(features: &[f32; {FEATURE_COUNT}]) -> usize {{\n    \
             {part}::place(features)\n}}\n"
        ));
    }
    let folder = directory.join("program");
    dependencies.push_str(&format!("[lib]\ncrate-type = [\"cdylib\"]\n{ROOT}"));
    write_crate(&folder, "program", ("lib.rs", &program), &dependencies)?;
    build(&folder)?;
    for (model, form) in each_form(models) {
        let define = format!("-DOURS=ask_{}", crate_name(model, form));
        let program = directory.join(format!("ask_{}_{}", form.name(), model.name));
        compile_caller(&define, &directory.join("target/release/libprogram.so"), &program)?;
    }
    Ok(())
}

fn each_form(models: &[Model]) -> impl Iterator<Item = (&Model, Form)> {
    models.iter().flat_map(|model| Form::ALL.map(|form| (model, form)))
}

fn compile_rival(rival: &str, name: &str, directory: &Path) -> Result<()> {
    let sources = files_in(&directory.join(format!("{rival}_{name}")), "c")?;
    let library = directory.join(format!("lib{rival}_{name}.so"));
    run(Command::new("cc").args(["-O3", "-fPIC", "-shared", "-o"]).arg(&library).args(sources).arg("-lm"))?;
    let define = if rival == "tl2cgen" { "-DTL2CGEN" } else { "-DM2CGEN" };
    compile_caller(define, &library, &directory.join(format!("ask_{rival}_{name}")))
}

/// The program that calls a model in that library, row by row.
fn compile_caller(define: &str, library: &Path, program: &Path) -> Result<()> {
    let mut command = Command::new("cc");
    command.args(["-O3", define, "-o"]).arg(program).arg(format!("{SOURCE}/caller.c")).arg(library).arg("-lm");
    run(&mut command).map(drop)
}

fn files_in(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(files.into_iter().filter(|path| path.extension().is_some_and(|of_file| of_file == extension)).collect())
}

/// The fastest round of each model and form, in ns per verdict.
type Figures = BTreeMap<(String, String), f64>;

fn measure(models: &[Model], python: &Path, directory: &Path) -> Result<Figures> {
    let mut figures = Figures::new();
    let mut chosen = BTreeMap::new();
    let questions = directory.join("questions");
    for _ in 0..ROUNDS {
        let mut lines = String::new();
        for model in models {
            for form in Form::ALL.map(Form::name).iter().chain(&RIVALS) {
                let mut command = Command::new(directory.join(format!("ask_{form}_{}", model.name)));
                command.args([model.name.as_str(), form]).arg(&questions);
                command.args([FEATURE_COUNT, model.classes.len(), TIMES].map(|number| number.to_string()));
                lines.push_str(&run(&mut command)?);
            }
        }
        let mut library = Command::new(python);
        library.arg(format!("{SOURCE}/rivals.py")).arg("predict").arg(directory).arg(TIMES.to_string());
        lines.push_str(&run(&mut library)?);
        for line in lines.lines() {
            note(line, &mut figures, &mut chosen).with_context(|| line.to_owned())?;
        }
    }
    Ok(figures)
}

/// Takes a line: model, form in one word or two, ns, sum of the places of the classes.
fn note(line: &str, figures: &mut Figures, chosen: &mut BTreeMap<String, u64>) -> Result<()> {
    let (rest, sum) = line.rsplit_once(' ').context("no sum")?;
    let (rest, ns) = rest.rsplit_once(' ').context("no time")?;
    let (model, form) = rest.split_once(' ').context("no form")?;
    let (sum, ns) = (sum.parse()?, ns.parse()?);
    let first = *chosen.entry(model.to_owned()).or_insert(sum);
    ensure!(first == sum, "decides for other classes than the first: {sum} instead of {first}");
    let best = figures.entry((model.to_owned(), form.to_owned())).or_insert(f64::INFINITY);
    *best = best.min(ns);
    Ok(())
}

fn show(figures: &Figures, models: &[Model], directory: &Path) -> Result<()> {
    for model in models {
        let nodes: usize = model.trees.iter().map(|tree| tree.nodes.len()).sum();
        let most: usize = model.trees.iter().map(|tree| tree.depth()).sum();
        println!("{}: {} trees, {nodes} nodes, at most {most} comparisons", model.name, model.trees.len());
        let of = |form: &str| figures.get(&(model.name.clone(), form.to_owned())).copied();
        let ours = Form::ALL.iter().filter_map(|form| of(form.name())).fold(f64::INFINITY, f64::min);
        let line = |form: &str, size: &str| {
            let ns = of(form).unwrap_or(f64::NAN);
            println!("  {form:<21} {ns:>10.1} ns  {:>8.2} of our faster form{size}", ns / ours);
        };
        for form in Form::ALL {
            let (code, constants) = size(model, form, directory)?;
            line(form.name(), &format!("  {code} bytes of code, {constants} of constants"));
        }
        RIVALS.iter().chain(&["scikit-learn predict"]).for_each(|rival| line(rival, ""));
    }
    Ok(())
}
