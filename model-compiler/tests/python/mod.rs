//! The libraries that tests hold our results against, asked by programs in Python.

mod environment;

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub use environment::run;

/// The Python that has the libraries of `tests/requirements.txt`. Where it cannot be made, because there is no Python or no
/// network, a line says that the test is skipped; with `CI=true` the test fails.
pub fn with_libraries() -> Option<&'static Path> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    PYTHON.get_or_init(find).as_deref()
}

fn find() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libraries");
    match environment::environment(&folder, concat!(env!("CARGO_MANIFEST_DIR"), "/tests/requirements.txt")) {
        Ok(python) => Some(python),
        Err(why) => {
            assert!(env::var("CI").as_deref() != Ok("true"), "no libraries to ask: {why}");
            println!("skipped: the libraries cannot be installed here: {why}");
            None
        }
    }
}
