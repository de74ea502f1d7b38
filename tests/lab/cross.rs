//! Programs for boards with another processor, built as `make cross` builds them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::process::{Finished, run_any};

/// The processor of 64-bit boards.
pub const AARCH64: &str = "aarch64-unknown-linux-musl";
/// The processor of older boards.
pub const ARMV7: &str = "armv7-unknown-linux-musleabihf";

/// How long one build may take on a busy machine.
const BUILD_LIMIT: Duration = Duration::from_secs(1_800);

/// What cargo tells programs that it runs and some build scripts look at: with it they would build everything anew.
const CARGO_SAYS: [&str; 4] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];

/// Runs `packaging/cross` for the target with a cargo command, behind whatever else runs; how it ended.
///
/// # Errors
/// It cannot be started.
pub fn cross(target: &str, words: &[&str]) -> Result<Finished> {
    let mut command = Command::new("nice");
    command.args(["-n", "19"]).arg(root().join("packaging/cross"));
    let said = |name: &str| CARGO_SAYS.iter().any(|start| name.starts_with(start));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(said)) {
        command.env_remove(name);
    }
    run_any(command.arg(target).args(words), BUILD_LIMIT)
}

/// Builds the release program for the target with more options; where it lies.
///
/// # Errors
/// It cannot be built; the error holds what was printed.
pub fn program_for(target: &str, options: &[&str]) -> Result<PathBuf> {
    let finished = cross(target, &[&["build", "--release", "--package", "sluice"], options].concat())?;
    ensure!(finished.success(), "{}{}", finished.stdout, finished.stderr);
    Ok(place_of(target))
}

/// Where the release program for the target lies once it is built.
#[must_use]
pub fn place_of(target: &str) -> PathBuf {
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    folder.join(target).join("release/sluice")
}

/// The folder of the project.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/"))
}
