//! model-compiler: see --help.
fn main() {}
