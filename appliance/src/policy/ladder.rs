//! The ladder: who offends again is blocked for longer, and whoever keeps quiet comes down again, a step a day.
//!
//! While a block stands its record carries the step. Here are those whose block has ended.

use core::time::Duration;
use std::collections::BTreeMap;

use traffic::time::Timestamp;

use super::{PastBlock, Subject};

/// The longest that a step may last: addresses change hands.
pub const LONGEST_STEP_S: u32 = 7 * 86_400;

/// Most steps.
pub const MOST_STEPS: usize = 8;

/// A step down for each of these without an offence since the last block ended.
const QUIET: Duration = Duration::from_secs(86_400);

/// Past offenders that are remembered. Full: those on the lowest step go first, and of these the one whose block ended
/// first, so that a flood from many addresses does not wash out who comes again and again.
const OFFENDERS: usize = 4_096;

/// How many of them go at once: looking for them takes a walk over all.
const FORGOTTEN_AT_ONCE: usize = OFFENDERS / 8;

/// How long blocks last, and who was blocked before.
#[derive(Clone, Debug)]
pub struct Ladder {
    /// Never empty.
    steps: Vec<Duration>,
    past: BTreeMap<Subject, (u32, Timestamp)>,
}

impl Ladder {
    /// A ladder of these steps, in seconds (`policy.ladder_s`); each is taken as one second at least and seven days at most.
    #[must_use]
    pub fn new(steps_s: &[u32]) -> Self {
        let step = |seconds: &u32| Duration::from_secs((*seconds).clamp(1, LONGEST_STEP_S).into());
        let steps = if steps_s.is_empty() { vec![step(&1)] } else { steps_s.iter().map(step).collect() };
        Self { steps, past: BTreeMap::new() }
    }

    /// Remembers those that another ladder does, in the place of its own.
    pub fn take_over(&mut self, other: Self) {
        self.past = other.past;
    }

    /// Which offence it is if the offender is blocked now, counted from 1: its step of the ladder.
    #[must_use]
    pub fn offence(&self, subject: Subject, now: Timestamp) -> u32 {
        (self.remembered(subject, now) + 1).min(self.steps.len() as u32)
    }

    /// The offences that the offender has not made good yet.
    #[must_use]
    pub fn remembered(&self, subject: Subject, now: Timestamp) -> u32 {
        self.past.get(&subject).map_or(0, |past| left(*past, now))
    }

    /// How long an offence is blocked for.
    #[must_use]
    pub fn length(&self, offence: u32) -> Duration {
        let step = (offence.max(1) as usize).min(self.steps.len()) - 1;
        self.steps.get(step).copied().unwrap_or_default()
    }

    /// In words, for the reason of a block: `3rd time: 24 h`.
    #[must_use]
    pub fn words(&self, offence: u32) -> String {
        let ending = match offence {
            1 => "st",
            2 => "nd",
            3 => "rd",
            _ => "th",
        };
        let or_more = if offence > 1 && offence as usize == self.steps.len() { " or more" } else { "" };
        format!("{offence}{ending} time{or_more}: {}", spoken(self.length(offence)))
    }

    /// Remembers that a block has ended.
    pub fn remember(&mut self, past: &PastBlock) {
        if past.offence == 0 {
            self.past.remove(&past.subject);
            return;
        }
        if self.past.len() >= OFFENDERS && !self.past.contains_key(&past.subject) {
            self.make_room(past.ended);
        }
        self.past.insert(past.subject, (past.offence, past.ended));
    }

    fn make_room(&mut self, now: Timestamp) {
        self.past.retain(|_, past| left(*past, now) > 0);
        if self.past.len() < OFFENDERS {
            return;
        }
        let mut order: Vec<_> = self.past.iter().map(|(subject, past)| (*past, *subject)).collect();
        order.sort_unstable();
        for (_, subject) in order.iter().take(FORGOTTEN_AT_ONCE) {
            self.past.remove(subject);
        }
    }
}

/// What quiet days have left of the offences.
fn left((offence, ended): (u32, Timestamp), now: Timestamp) -> u32 {
    let quiet_days = now.since(ended).as_secs() / QUIET.as_secs();
    offence.saturating_sub(u32::try_from(quiet_days).unwrap_or(u32::MAX))
}

/// A length in the largest unit that leaves no rest.
fn spoken(length: Duration) -> String {
    let seconds = length.as_secs();
    let units = [(86_400, 2, "d"), (3_600, 1, "h"), (60, 1, "min")];
    let fits = |(unit, least, _): &&(u64, u64, &str)| seconds.is_multiple_of(*unit) && seconds / unit >= *least;
    units
        .iter()
        .find(fits)
        .map_or_else(|| format!("{seconds} s"), |(unit, _, name)| format!("{} {name}", seconds / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn subject(number: u32) -> Subject {
        Subject::of(core::net::Ipv4Addr::from_bits(0xcb00_7100 + number).into())
    }

    fn past(number: u32, offence: u32, ended_s: u64) -> PastBlock {
        PastBlock { subject: subject(number), offence, ended: Timestamp::from_secs(ended_s), exempt_until: None }
    }

    fn ladder() -> Ladder {
        Ladder::new(&[600, 3_600, 86_400, 604_800])
    }

    #[test]
    fn each_offence_is_a_step_up_and_each_quiet_day_one_down() {
        let mut ladder = ladder();
        let at = |ladder: &Ladder, seconds| ladder.offence(subject(1), Timestamp::from_secs(seconds));
        assert_eq!(at(&ladder, 0), 1);
        ladder.remember(&past(1, 3, 1_000));
        assert_eq!(at(&ladder, 1_000 + DAY - 1), 4);
        assert_eq!(at(&ladder, 1_000 + DAY), 3);
        assert_eq!(at(&ladder, 1_000 + 3 * DAY), 1);
        assert_eq!(at(&ladder, 500), 4, "a clock set back makes nothing good");
        ladder.remember(&past(1, 4, 1_000));
        assert_eq!(at(&ladder, 1_000), 4, "the last step is the last");
    }

    #[test]
    fn the_words_name_the_time_and_its_length() {
        let told: Vec<_> = (1..=4).map(|offence| ladder().words(offence)).collect();
        assert_eq!(told, ["1st time: 10 min", "2nd time: 1 h", "3rd time: 24 h", "4th time or more: 7 d"]);
        assert_eq!(Ladder::new(&[8]).words(1), "1st time: 8 s");
    }

    #[test]
    fn a_flood_of_new_offenders_does_not_wash_out_who_comes_again() {
        let mut ladder = ladder();
        ladder.remember(&past(0, 2, 0));
        for number in 1..3 * OFFENDERS as u32 {
            ladder.remember(&past(number, 1, u64::from(number)));
        }
        assert!(ladder.past.len() <= OFFENDERS);
        assert_eq!(ladder.offence(subject(0), Timestamp::from_secs(0)), 3);
        let last = 3 * OFFENDERS as u32 - 1;
        assert_eq!(ladder.offence(subject(last), Timestamp::from_secs(last.into())), 2, "the newest are kept");
        assert_eq!(ladder.offence(subject(1), Timestamp::from_secs(1)), 1, "the oldest are forgotten");
    }
}
