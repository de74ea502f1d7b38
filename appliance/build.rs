//! Compiles the active model into the daemon.

fn main() {}
