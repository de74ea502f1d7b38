//! Progress as a bar on standard error; where that is no terminal, lines alone.

use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};
use model_compiler::progress::Progress;

/// A bar for what is being done, and a line for what is worth one.
pub struct Bars(Mutex<ProgressBar>);

impl Bars {
    /// Nothing is being done yet.
    pub fn new() -> Self {
        Self(Mutex::new(ProgressBar::hidden()))
    }

    fn bar(&self) -> ProgressBar {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Progress for Bars {
    fn begin(&self, what: &str, steps: u64) {
        // Hidden by indicatif where standard error is no terminal.
        let bar = ProgressBar::new(steps).with_message(what.to_owned());
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {elapsed} (left: {eta})") {
            bar.set_style(style);
        }
        let before = std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), bar);
        before.finish_and_clear();
    }

    fn step(&self) {
        self.bar().inc(1);
    }

    fn say(&self, line: &str) {
        self.bar().suspend(|| eprintln!("{line}"));
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.bar().finish_and_clear();
    }
}
