//! What the light says: the one table of it. `docs/hardware.md` shows the same, and a test compares the two.
//!
//! Whatever it says, it moves. A light that stands still, lit or dark, says that nobody is at work: what a program that was
//! killed leaves behind must not look like protection.

use core::time::Duration;

use traffic::features::ThreatClass;
use traffic::time::Timestamp;

use crate::control::Snapshot;

/// How long an attack is shown after the last alert or block.
const ATTACK_SHOWN: Duration = Duration::from_secs(60);

/// What the box has to say; where several hold, the first in the order of [`Light::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Light {
    /// The daemon starts.
    Starting,
    /// Attackers are not stopped though they should be.
    CannotEnforce,
    /// Somebody attacks.
    AttackNow,
    /// Something else needs a person.
    Fault,
    /// All is well, and nothing is stopped.
    Observing,
    /// All is well.
    Protecting,
}

impl Light {
    /// All of them, what matters most first.
    pub const ALL: [Self; 6] =
        [Self::Starting, Self::CannotEnforce, Self::AttackNow, Self::Fault, Self::Observing, Self::Protecting];

    /// What it is to say of this state. It says what the page says: both go by the same snapshot.
    #[must_use]
    pub fn of(snapshot: &Snapshot, now: Timestamp) -> Self {
        if snapshot.is_starting {
            Self::Starting
        } else if snapshot.cannot_enforce || snapshot.is_stale(now) {
            Self::CannotEnforce
        } else if is_attacked(snapshot, now) {
            Self::AttackNow
        } else if !snapshot.faults.is_empty() {
            Self::Fault
        } else if snapshot.paused_left.is_some() || !snapshot.modes.may_block() {
            Self::Observing
        } else {
            Self::Protecting
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::CannotEnforce => "cannot enforce",
            Self::AttackNow => "attack now",
            Self::Fault => "fault",
            Self::Observing => "observing",
            Self::Protecting => "protecting",
        }
    }

    /// How it looks.
    #[must_use]
    pub const fn look(self) -> &'static str {
        match self {
            Self::Starting => "blinks evenly, once a second",
            Self::CannotEnforce => "three flashes and a pause",
            Self::AttackNow => "blinks fast, five times a second",
            Self::Fault => "two flashes and a pause",
            Self::Observing => "dark, with a short flash every three seconds",
            Self::Protecting => "lit, with a short wink every three seconds",
        }
    }

    /// What it means.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Starting => "wait",
            Self::CannotEnforce => "attackers are not stopped, or not all of them; the page says why",
            Self::AttackNow => "somebody attacked within the last minute",
            Self::Fault => "something else needs you; the page says what",
            Self::Observing => "all is well, and nothing is stopped: by its mode, or for a pause",
            Self::Protecting => "all is well, and attackers are stopped",
        }
    }

    /// The same for a machine that drives the light.
    #[must_use]
    pub const fn pattern(self) -> Pattern {
        Pattern(match self {
            Self::Starting => &[500, 500],
            Self::CannotEnforce => &[150, 250, 150, 250, 150, 1_050],
            Self::AttackNow => &[100, 100],
            Self::Fault => &[150, 250, 150, 1_450],
            Self::Observing => &[150, 2_850],
            Self::Protecting => &[2_850, 150],
        })
    }

    /// Whether a light that is for alarms only shows it too.
    #[must_use]
    pub const fn is_alarm(self) -> bool {
        matches!(self, Self::CannotEnforce | Self::AttackNow | Self::Fault)
    }
}

/// Somebody attacked a moment ago, and nobody has said yet that he knows. What people block by hand is no attack, nor is an
/// alert that somebody found to be wrong.
fn is_attacked(snapshot: &Snapshot, now: Timestamp) -> bool {
    let is_wrong = |class: ThreatClass| class == ThreatClass::Benign;
    let alerts =
        snapshot.alerts.iter().filter(|alert| !alert.label.as_ref().is_some_and(|label| is_wrong(label.class)));
    let blocks = snapshot.blocks.iter().filter(|block| block.class.is_some());
    // What was stamped before the clock was set back would be shown until the clock has caught up.
    let is_sound = |time: &Timestamp| !time.is_from_before_a_reset(now);
    let known = snapshot.acknowledged.filter(is_sound);
    alerts
        .map(|alert| alert.time)
        .chain(blocks.map(|block| block.since))
        .filter(is_sound)
        .any(|time| now.since(time) < ATTACK_SHOWN && known.is_none_or(|known| time > known))
}

/// Lit, dark, lit, dark and so on for so many milliseconds each, over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern(&'static [u32]);

/// What a light does at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// It is lit.
    pub is_lit: bool,
    /// For so long yet.
    pub left: Duration,
}

impl Pattern {
    /// Lit.
    pub const LIT: Self = Self(&[1_000, 0]);
    /// Dark.
    pub const DARK: Self = Self(&[0, 1_000]);
    /// An even, slow blinking.
    pub const SLOW: Self = Self(&[500, 500]);
    /// An even, fast blinking.
    pub const FAST: Self = Self(&[100, 100]);

    /// What it does so long after it was begun.
    #[must_use]
    pub fn at(self, since: Duration) -> Moment {
        let step = |ms: &u32| Duration::from_millis(u64::from(*ms));
        let period: Duration = self.0.iter().map(step).sum();
        let mut left = Duration::from_nanos((since.as_nanos() % period.as_nanos().max(1)) as u64);
        for (number, length) in self.0.iter().map(step).enumerate() {
            if left < length {
                return Moment { is_lit: number % 2 == 0, left: length - left };
            }
            left -= length;
        }
        Moment { is_lit: false, left: period }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::policy::{Label, Mode, Modes};
    use crate::web::fixture;

    /// All is well, and the last alert is an hour old.
    fn calm(now: Timestamp) -> Snapshot {
        let hour = Duration::from_secs(3_600);
        let mut snapshot = fixture::snapshot(now);
        snapshot.alerts.iter_mut().for_each(|alert| alert.time = alert.time.minus(hour));
        snapshot.blocks.iter_mut().for_each(|block| block.since = block.since.minus(hour));
        snapshot
    }

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn ago(seconds: u64) -> Timestamp {
        NOW.minus(Duration::from_secs(seconds))
    }

    #[test]
    fn what_matters_most_is_said() {
        let mut snapshot = calm(NOW);
        let said = |snapshot: &Snapshot| Light::of(snapshot, NOW);
        assert_eq!(said(&snapshot), Light::Protecting);
        snapshot.paused_left = Some(Duration::from_secs(9));
        assert_eq!(said(&snapshot), Light::Observing);
        snapshot.paused_left = None;
        snapshot.modes = Modes::all(Mode::Observe);
        assert_eq!(said(&snapshot), Light::Observing);
        snapshot.faults.push(String::from("a fault"));
        assert_eq!(said(&snapshot), Light::Fault);
        snapshot.alerts[0].time = ago(59);
        assert_eq!(said(&snapshot), Light::AttackNow);
        snapshot.cannot_enforce = true;
        assert_eq!(said(&snapshot), Light::CannotEnforce);
        snapshot.is_starting = true;
        assert_eq!(said(&snapshot), Light::Starting);
        let hangs = Snapshot { time: ago(60), ..calm(NOW) };
        assert_eq!(said(&hangs), Light::CannotEnforce, "a snapshot that nobody renews is no good news");
    }

    #[test]
    fn an_attack_is_shown_for_a_minute_unless_somebody_says_that_he_knows() {
        let shows = |change: &dyn Fn(&mut Snapshot)| {
            let mut snapshot = calm(NOW);
            change(&mut snapshot);
            Light::of(&snapshot, NOW) == Light::AttackNow
        };
        assert!(shows(&|it| it.alerts[1].time = ago(59)) && !shows(&|it| it.alerts[1].time = ago(60)));
        assert!(shows(&|it| it.blocks[0].since = ago(1)), "a block without an alert");
        assert!(!shows(&|it| it.blocks[2].since = ago(1)), "a block by hand");
        let wrong = Label { class: ThreatClass::Benign, time: NOW, actor: String::from("anna") };
        assert!(!shows(&|it| (it.alerts[0].time, it.alerts[0].label) = (ago(1), Some(Arc::new(wrong.clone())))));
        assert!(!shows(&|it| (it.alerts[0].time, it.acknowledged) = (ago(9), Some(ago(5)))));
        assert!(shows(&|it| (it.alerts[0].time, it.acknowledged) = (ago(4), Some(ago(5)))), "another one");
        let later = NOW.plus(Duration::from_secs(86_400));
        assert!(!shows(&|it| it.alerts[0].time = later), "the clock was set back");
        assert!(shows(&|it| (it.alerts[0].time, it.acknowledged) = (ago(4), Some(later))), "the clock was set back");
    }

    /// What a person sees of a pattern in twelve seconds.
    #[derive(Debug, Default)]
    struct Seen {
        flashes: u32,
        lit_ms: u32,
        longest_dark_ms: u32,
    }

    fn seen(pattern: Pattern) -> Seen {
        let (mut seen, mut was_lit, mut dark_ms) = (Seen::default(), false, 0);
        for ms in 0..12_000 {
            let is_lit = pattern.at(Duration::from_millis(ms)).is_lit;
            seen.flashes += u32::from(is_lit && !was_lit);
            seen.lit_ms += u32::from(is_lit);
            dark_ms = if is_lit { 0 } else { dark_ms + 1 };
            seen.longest_dark_ms = seen.longest_dark_ms.max(dark_ms);
            was_lit = is_lit;
        }
        seen
    }

    #[test]
    fn a_person_can_tell_each_light_from_every_other_and_from_one_that_stands_still() {
        let patterns = Light::ALL.map(Light::pattern).into_iter().chain([Pattern::LIT, Pattern::DARK]);
        let all: Vec<_> = patterns.map(seen).collect();
        let ratio = |one: u32, other: u32| f64::from(one.max(other)) / f64::from(one.min(other).max(1));
        for (number, one) in all.iter().enumerate() {
            for other in &all[number + 1..] {
                let differs = ratio(one.flashes, other.flashes) >= 1.5
                    || one.lit_ms.abs_diff(other.lit_ms) >= 6_000
                    || ratio(one.longest_dark_ms, other.longest_dark_ms) >= 2.0;
                assert!(differs, "{one:?} looks like {other:?}");
            }
        }
        assert!(all[..6].iter().all(|seen| seen.flashes >= 4), "one of them stands still: {all:?}");
    }

    #[test]
    fn the_table_for_people_says_the_same() {
        let table = include_str!("../../../docs/hardware.md");
        for light in Light::ALL {
            let row = format!("| {} | {} | {} |", light.name(), light.look(), light.meaning());
            assert!(table.contains(&row), "docs/hardware.md lacks: {row}");
        }
    }

    proptest! {
        #[test]
        fn a_moment_lasts_as_long_as_it_says(number in 0..Light::ALL.len(), since_us in 0..100_000_000_u64) {
            let (pattern, since) = (Light::ALL[number].pattern(), Duration::from_micros(since_us));
            let Moment { is_lit, left } = pattern.at(since);
            let just_before = since + left - Duration::from_nanos(1);
            prop_assert!(left > Duration::ZERO);
            prop_assert_eq!(pattern.at(just_before).is_lit, is_lit);
            prop_assert_eq!(pattern.at(since + left).is_lit, !is_lit);
        }
    }
}
