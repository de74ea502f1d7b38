//! Compiles the active model into the daemon: `models/active` names it, `models/<name>/model.json` is it, and
//! `$OUT_DIR/model.rs` is what `src/verdict/` includes.

use std::path::{Path, PathBuf};
use std::{env, fs, process};

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
    let json = models.join(name.trim()).join("model.json");
    let text = read(&json, "name another model in models/active, or make this one with `make model`")?;
    let source = model_compiler::compile(&text).map_err(|why| format!("{} cannot be used: {why}", json.display()))?;
    let output = Path::new(&variable("OUT_DIR")?).join("model.rs");
    fs::write(&output, source).map_err(|why| format!("cannot write {}: {why}", output.display()))
}

/// The text of a file that the build depends on.
fn read(path: &Path, remedy: &str) -> Result<String, String> {
    println!("cargo::rerun-if-changed={}", path.display());
    fs::read_to_string(path).map_err(|why| format!("cannot read {}: {why}; {remedy}", path.display()))
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|why| format!("cargo must set {name}: {why}"))
}
