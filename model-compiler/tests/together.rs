//! The tests of the trainer and the compiler, in one program: it is linked once, and who asks Python waits beside the others.

mod areas;
mod cards;
mod compiled_equals_walked;
mod datasets;
mod features;
mod imports;
mod imports_refused;
mod linfa;
mod loader;
mod published_tables;
#[cfg(feature = "train")]
mod python;
mod report;
mod retrain;
mod scikit_learn;
mod sealed;
#[cfg(feature = "train")]
mod small;
mod training;
