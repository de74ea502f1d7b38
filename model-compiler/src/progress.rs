//! Who is told how far long work is: a person at a terminal, or nobody.

/// Hears of the work.
pub trait Progress: Sync {
    /// Something begins that takes so many steps; what began before is over.
    fn begin(&self, what: &str, steps: u64);

    /// A step is done.
    fn step(&self);

    /// Something worth a line.
    fn say(&self, line: &str);
}

/// Nobody is told.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: u64) {}

    fn step(&self) {}

    fn say(&self, _: &str) {}
}
