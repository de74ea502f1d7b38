//! Compiles both forms of models, each as a crate of its own, and measures what a verdict of each takes and how large it is.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use traffic::features::{FEATURE_COUNT, FeatureVector, ThreatClass};

use crate::emit::{self, Form};
use crate::form::{Cost, Measured};
use crate::model::Model;

/// How often all rows are asked about in each form, in turn; the fastest round counts.
const ROUNDS: usize = 15;

/// The end of the manifest of a crate that belongs to no other workspace, in one unit, so that each part is one object file.
pub const ROOT: &str = "[workspace]\n[profile.release]\ncodegen-units = 1\n";

/// The program that asks both forms.
const PROGRAM: &str = include_str!("measure_forms/ask.rs.in");

/// What both forms of a model cost here, on these rows in their order. Crates are made in `folder`, and stay there.
///
/// # Errors
/// A file cannot be written, cargo or `size` (of binutils) fails, or the forms decide for other classes.
pub fn measure(model: &Model, rows: &[FeatureVector], folder: &Path) -> Result<Measured> {
    ensure!(!rows.is_empty(), "there is no row to ask about");
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let folder = &folder.canonicalize()?;
    let mut dependencies = String::new();
    let mut program = PROGRAM.replace("FEATURES", &FEATURE_COUNT.to_string());
    for form in Form::ALL {
        let part = write_form(model, form, folder)?;
        writeln!(dependencies, "{part} = {{ path = \"../{part}\" }}")?;
        program = program.replace(&format!("{}::", form.name().to_uppercase()), &format!("{part}::"));
    }
    write_crate(&folder.join("ask"), "ask", ("main.rs", &program), &(dependencies + ROOT))?;
    build(&folder.join("ask"))?;
    let questions = folder.join("questions");
    fs::write(&questions, rows.iter().flatten().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())?;
    let said = run(Command::new(folder.join("target/release/ask")).arg(&questions).arg(ROUNDS.to_string()))?;
    let [ifs, table] = fastest(&said)?;
    Ok(Measured {
        architecture: std::env::consts::ARCH.to_owned(),
        rows: rows.len(),
        ifs: cost(model, Form::Ifs, ifs, folder)?,
        table: cost(model, Form::Table, table, folder)?,
    })
}

/// The fastest round of each form, in ns.
fn fastest(said: &str) -> Result<[f64; 2]> {
    let mut best = [f64::INFINITY; 2];
    let mut first_sum = None;
    for line in said.lines() {
        let [form, ns, sum] = line.split(' ').collect::<Vec<_>>()[..] else { bail!("no line of the program: {line}") };
        let place = Form::ALL.iter().position(|known| known.name() == form).context("no form")?;
        ensure!(*first_sum.get_or_insert(sum) == sum, "the two forms decide for other classes");
        if let Some(best) = best.get_mut(place) {
            *best = best.min(ns.parse()?);
        }
    }
    Ok(best)
}

fn cost(model: &Model, form: Form, verdict_ns: f64, folder: &Path) -> Result<Cost> {
    let (code_bytes, constant_bytes) = size(model, form, folder)?;
    Ok(Cost { verdict_ns: (verdict_ns * 10.0).round() / 10.0, code_bytes, constant_bytes })
}

/// Writes the crate of a form, as the daemon includes it, and gives its name. Its function `place` gives the place of the class.
///
/// # Errors
/// A file cannot be written.
pub fn write_form(model: &Model, form: Form, folder: &Path) -> Result<String> {
    let name = crate_name(model, form);
    let classes: String = ThreatClass::ALL.iter().map(|class| format!("{class:?}, ")).collect();
    let library = format!(
        "#![no_std]\n#![forbid(unsafe_code)]\n#![allow(dead_code)]\n\
         pub mod forest;\n\
         pub type FeatureVector = [f32; {FEATURE_COUNT}];\n\
         #[derive(Clone, Copy)] pub struct Leaf {{ pub class: ThreatClass, pub confidence: f32 }}\n\
         #[derive(Clone, Copy, PartialEq)] pub enum ThreatClass {{ {classes} }}\n\
         pub fn place(features: &FeatureVector) -> usize {{\n    \
         let leaf = classify(features);\n    \
         CLASSES.iter().position(|class| *class == leaf.class).unwrap_or_default()\n}}\n{}",
        emit::rust(model, form),
    );
    write_crate(&folder.join(&name), &name, ("lib.rs", &library), "libm = \"0.2\"\n")?;
    fs::write(folder.join(&name).join("src/forest.rs"), include_str!("forest.rs"))?;
    Ok(name)
}

/// The name of the crate of a form: a model may be called `scan-2` or `2`.
#[must_use]
pub fn crate_name(model: &Model, form: Form) -> String {
    let letters = model.name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' });
    format!("model_{}_{}", letters.collect::<String>().to_lowercase(), form.name())
}

/// Writes a crate with that one source file. The manifest goes on after the line `[dependencies]` as told.
///
/// # Errors
/// A file cannot be written.
pub fn write_crate(folder: &Path, name: &str, (file, source): (&str, &str), dependencies: &str) -> Result<()> {
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("src").join(file), source)?;
    let manifest = format!("[package]\nname = {name:?}\nedition = \"2024\"\n[dependencies]\n{dependencies}");
    fs::write(folder.join("Cargo.toml"), manifest).with_context(|| format!("cannot write {}", folder.display()))
}

/// Builds the crate into `../target` of its folder.
///
/// # Errors
/// It does not compile.
pub fn build(folder: &Path) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Offline: libm is there, since this crate was built with it.
    let words = ["build", "--release", "--offline", "--quiet", "--target-dir", "../target"];
    run(Command::new(cargo).args(words).current_dir(folder)).map(drop)
}

/// Bytes of code and of constants of a form that was built, by `size` of its crate's object file.
///
/// # Errors
/// It was not built, or `size` fails.
pub fn size(model: &Model, form: Form, folder: &Path) -> Result<(u64, u64)> {
    let beginning = format!("lib{}-", crate_name(model, form));
    let mut built: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder.join("target/release/deps"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(&beginning) && name.ends_with(".rlib") {
            built.push(path);
        }
    }
    // Those of earlier versions of this crate may lie there as well.
    let newest = built.into_iter().max_by_key(|path| path.metadata().and_then(|data| data.modified()).ok());
    let listed = run(Command::new("size").args(["--format=sysv"]).arg(newest.context("it was not built")?))?;
    let total = |section: &str| -> u64 {
        let of_section = listed.lines().filter(|line| line.starts_with(section));
        of_section.filter_map(|line| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()).sum()
    };
    Ok((total(".text"), total(".rodata") + total(".data.rel.ro")))
}

fn run(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {program}"))?;
    ensure!(output.status.success(), "{program} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}
