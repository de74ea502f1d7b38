//! Compiles the active model into the daemon: `models/active` names it, `models/<name>/model.json` is it, `form.json` beside it
//! says what was measured of its two forms, and `$OUT_DIR/model.rs` is what `src/verdict/` includes.

use std::path::{Path, PathBuf};
use std::{env, fs, process};

use model_compiler::form::{self, Aim, Measured};

fn main() {
    if let Err(message) = compile_model() {
        // One line per `cargo::error`: cargo reads the output by lines.
        println!("cargo::error={}", message.replace('\n', " "));
        process::exit(1);
    }
}

fn compile_model() -> Result<(), String> {
    let models = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("../models");
    let active = models.join("active");
    let name = read(&active, "write the name of a folder of models/ into it")?;
    let folder = models.join(name.trim());
    let json = folder.join("model.json");
    let text = read(&json, "name another model in models/active, or make this one with `make model`")?;
    // As `packaging/small.toml` asks for it.
    let is_built_small = matches!(variable("OPT_LEVEL")?.as_str(), "s" | "z");
    let aim = if is_built_small { Aim::Small } else { Aim::Speed };
    let source = model_compiler::compile(&text, measured(&folder)?.as_ref(), aim)
        .map_err(|why| format!("{} cannot be used: {why}", json.display()))?;
    let output = Path::new(&variable("OUT_DIR")?).join("model.rs");
    fs::write(&output, source).map_err(|why| format!("cannot write {}: {why}", output.display()))
}

/// What was measured of both forms, if it was.
fn measured(folder: &Path) -> Result<Option<Measured>, String> {
    let path = folder.join(form::FILE);
    if !path.exists() {
        // It may come.
        println!("cargo::rerun-if-changed={}", folder.display());
        return Ok(None);
    }
    let remedy = "make it again with `model-compiler forms`, or remove it";
    let text = read(&path, remedy)?;
    Measured::read(&text).map(Some).map_err(|why| format!("{} cannot be used: {why}; {remedy}", path.display()))
}

/// The text of a file that the build depends on.
fn read(path: &Path, remedy: &str) -> Result<String, String> {
    println!("cargo::rerun-if-changed={}", path.display());
    fs::read_to_string(path).map_err(|why| format!("cannot read {}: {why}; {remedy}", path.display()))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|why| format!("cargo must set {name}: {why}"))
}
