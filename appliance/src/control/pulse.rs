//! Whether a thread lives, told from the count that it keeps raising.

use core::time::Duration;

use crate::clock::Stopwatch;

/// How long a thread may be busy with something else, or a busy board with another program.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was felt last.
#[derive(Debug)]
pub struct Pulse {
    beats: u64,
    since: Stopwatch,
    patience: Duration,
}

impl Default for Pulse {
    /// The thread is taken to live for as long as it may be silent.
    fn default() -> Self {
        Self::with_patience(PATIENCE)
    }
}

impl Pulse {
    /// Of a thread that may be silent for so long.
    #[must_use]
    pub fn with_patience(patience: Duration) -> Self {
        Self { beats: 0, since: Stopwatch::start(), patience }
    }

    /// Whether the count has grown within that time.
    pub fn is_felt(&mut self, beats: u64) -> bool {
        if beats != self.beats {
            *self = Self { beats, since: Stopwatch::start(), ..*self };
        }
        self.since.elapsed() < self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_lives_while_its_count_grows_and_no_longer() {
        let mut patient = Pulse { patience: Duration::MAX, ..Pulse::default() };
        assert!(patient.is_felt(0) && patient.is_felt(0), "it may take its time");
        let mut impatient = Pulse { patience: Duration::ZERO, ..Pulse::default() };
        assert!(!impatient.is_felt(0));
        impatient.patience = Duration::MAX;
        assert!(impatient.is_felt(1));
        impatient.patience = Duration::ZERO;
        assert!(!impatient.is_felt(1));
    }
}
