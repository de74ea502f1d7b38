//! What is meant by a press of the button, told from its level at moments that somebody else measures.
//!
//! A contact bounces: a level counts once it has stood for [`DEBOUNCE`]. What is meant is told by how long it was held, and done
//! when it is let go, so that whoever holds it longer gets another thing and not both. Where it is not looked at for a while,
//! nobody knows whether it was held meanwhile, and the press counts for nothing; so does one of a button that is stuck.

use core::time::Duration;

/// How long a level must stand.
pub const DEBOUNCE: Duration = Duration::from_millis(30);

/// From when on holding it means a pause.
pub const PAUSE_AFTER: Duration = Duration::from_secs(5);

/// From when on it means another password.
pub const RESET_AFTER: Duration = Duration::from_secs(15);

/// From when on it means nothing any more: something lies on the button.
pub const STUCK_AFTER: Duration = Duration::from_secs(30);

/// The longest time between two looks at a button that is held.
const LONGEST_GAP: Duration = Duration::from_millis(500);

/// What a person wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Says that he knows of the attack.
    Acknowledge,
    /// Nothing is to be stopped for a while, or everything is again.
    Pause,
    /// A new password for the page.
    ResetPassword,
}

/// What is seen of the button.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// Nobody touches it.
    None,
    /// It is held; to let it go now would mean this. `None` where it would mean nothing.
    Held(Option<Wish>),
    /// It was let go a moment ago. Told once.
    LetGo(Wish),
}

/// What was seen of the button so far.
#[derive(Clone, Debug, Default)]
pub struct Press {
    /// The level that is waited for to stand, and since when it does.
    level: Option<(bool, Duration)>,
    last_look: Duration,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// It must be up first: it may be held since before anybody looked, or be broken.
    #[default]
    Void,
    Up,
    Down {
        since: Duration,
    },
}

impl Press {
    /// Takes in the level at that moment; moments never go back.
    pub fn look(&mut self, is_down: bool, now: Duration) -> Touch {
        let gap = now.saturating_sub(self.last_look);
        self.last_look = now;
        if gap > LONGEST_GAP {
            (self.level, self.phase) = (None, Phase::Void);
        }
        let since = match self.level {
            Some((level, since)) if level == is_down => since,
            _ => now,
        };
        self.level = Some((is_down, since));
        if now.saturating_sub(since) < DEBOUNCE {
            return self.touch(now);
        }
        match (self.phase, is_down) {
            (Phase::Void, false) => self.phase = Phase::Up,
            (Phase::Up, true) => self.phase = Phase::Down { since },
            (Phase::Down { since: pressed }, false) => {
                self.phase = Phase::Up;
                return wish(since.saturating_sub(pressed)).map_or(Touch::None, Touch::LetGo);
            }
            (Phase::Void | Phase::Down { .. }, true) | (Phase::Up, false) => {}
        }
        self.touch(now)
    }

    fn touch(&self, now: Duration) -> Touch {
        match self.phase {
            Phase::Down { since } => Touch::Held(wish(now.saturating_sub(since))),
            Phase::Void | Phase::Up => Touch::None,
        }
    }
}

/// What is meant by holding it for so long.
fn wish(held: Duration) -> Option<Wish> {
    match held {
        _ if held >= STUCK_AFTER => None,
        _ if held >= RESET_AFTER => Some(Wish::ResetPassword),
        _ if held >= PAUSE_AFTER => Some(Wish::Pause),
        _ => Some(Wish::Acknowledge),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How often it is looked at.
    const LOOK_MS: u64 = 20;

    /// What is seen of a button that is up, held for so long, and up again.
    fn held_for(ms: u64) -> Vec<Touch> {
        let (mut press, from) = (Press::default(), 200);
        let level = |at: u64| (from..from + ms).contains(&at);
        let looks = (0..from + ms + 200).step_by(LOOK_MS as usize);
        looks.map(|at| press.look(level(at), Duration::from_millis(at))).collect()
    }

    fn let_go(touches: &[Touch]) -> Vec<Wish> {
        touches
            .iter()
            .filter_map(|touch| match touch {
                Touch::LetGo(wish) => Some(*wish),
                Touch::None | Touch::Held(_) => None,
            })
            .collect()
    }

    #[test]
    fn how_long_it_is_held_says_what_is_meant() {
        for (ms, meant) in [
            (10, None),
            (100, Some(Wish::Acknowledge)),
            (4_900, Some(Wish::Acknowledge)),
            (5_100, Some(Wish::Pause)),
            (14_900, Some(Wish::Pause)),
            (15_100, Some(Wish::ResetPassword)),
            (29_900, Some(Wish::ResetPassword)),
            (30_100, None),
        ] {
            assert_eq!(let_go(&held_for(ms)), meant.into_iter().collect::<Vec<_>>(), "{ms} ms");
        }
    }

    #[test]
    fn while_it_is_held_it_is_said_what_is_reached() {
        let mut touches = held_for(31_000);
        touches.dedup();
        let held = [Some(Wish::Acknowledge), Some(Wish::Pause), Some(Wish::ResetPassword), None].map(Touch::Held);
        assert_eq!(touches, [&[Touch::None][..], &held, &[Touch::None]].concat());
    }

    #[test]
    fn a_button_that_is_down_from_the_start_counts_once_it_was_up() {
        let mut press = Press::default();
        let mut look = |is_down, ms: std::ops::Range<u64>| {
            ms.step_by(LOOK_MS as usize).map(|at| press.look(is_down, Duration::from_millis(at))).collect::<Vec<_>>()
        };
        assert!(look(true, 0..20_000).iter().all(|touch| *touch == Touch::None));
        assert!(let_go(&look(false, 20_000..20_200)).is_empty());
        look(true, 20_200..20_400);
        assert_eq!(let_go(&look(false, 20_400..20_600)), [Wish::Acknowledge]);
    }

    #[test]
    fn nobody_is_taken_to_have_held_it_while_nobody_looked() {
        let mut press = Press::default();
        for ms in [0, 40, 80] {
            press.look(false, Duration::from_millis(ms));
        }
        for ms in [100, 140, 16_000, 16_040] {
            press.look(true, Duration::from_millis(ms));
        }
        let after = [16_060, 16_100, 16_140].map(|ms| press.look(false, Duration::from_millis(ms)));
        assert!(let_go(&after).is_empty(), "{after:?}");
    }

    /// Levels that stand for a while each, as (level, milliseconds).
    fn levels() -> impl Strategy<Value = Vec<(bool, u64)>> {
        let lengths = prop_oneof![1..29_u64, 1..29_u64, 60..4_900_u64, 5_100..14_900_u64, 15_100..29_900_u64];
        prop::collection::vec((any::<bool>(), lengths), 1..12)
    }

    proptest! {
        #[test]
        fn whatever_bounces_only_what_was_held_long_enough_is_meant(levels in levels()) {
            let (mut press, mut at, mut held_since_ms) = (Press::default(), 0_u64, None);
            for (is_down, ms) in levels.into_iter().chain([(false, 500)]) {
                for _ in 0..ms {
                    at += 1;
                    match press.look(is_down, Duration::from_millis(at)) {
                        Touch::Held(_) => {
                            held_since_ms.get_or_insert(at);
                        }
                        Touch::LetGo(meant) => {
                            let since_ms = held_since_ms.take();
                            prop_assert!(since_ms.is_some(), "let go at {at} ms without having been held");
                            // Both moments are late by the time that a level must stand, or by one more of it where it bounced.
                            let held_ms = at - since_ms.unwrap_or_default();
                            let possible = [held_ms.saturating_sub(60), held_ms, held_ms + 60];
                            let possible = possible.map(|ms| wish(Duration::from_millis(ms)));
                            prop_assert!(possible.contains(&Some(meant)), "{meant:?} after {held_ms} ms");
                        }
                        Touch::None => held_since_ms = None,
                    }
                }
            }
            prop_assert!(press.phase == Phase::Up, "{press:?}");
        }

        #[test]
        fn what_is_shorter_than_the_bouncing_is_nothing(levels in prop::collection::vec((1..29_u64, 1..2_000_u64), 1..50)) {
            let (mut press, mut at) = (Press::default(), 0);
            for (down_ms, up_ms) in levels {
                for is_down in [vec![true; down_ms as usize], vec![false; up_ms as usize]].concat() {
                    at += 1;
                    prop_assert_eq!(press.look(is_down, Duration::from_millis(at)), Touch::None);
                }
            }
        }

        #[test]
        fn bouncing_at_both_ends_changes_nothing(held_ms in 100..29_000_u64, bounces in prop::collection::vec(1..25_u64, 0..6)) {
            let bouncing = |level: bool| -> Vec<bool> {
                bounces.iter().enumerate().flat_map(|(number, ms)| vec![(number % 2 == 0) == level; *ms as usize]).collect()
            };
            let up = vec![false; 100];
            let levels = [up.clone(), bouncing(true), vec![true; held_ms as usize], bouncing(false), up].concat();
            let mut press = Press::default();
            let touches: Vec<Touch> =
                levels.into_iter().zip(0..).map(|(level, ms)| press.look(level, Duration::from_millis(ms))).collect();
            prop_assert_eq!(let_go(&touches).len(), 1);
            let is_near = [5_000, 15_000].iter().any(|edge: &u64| edge.abs_diff(held_ms) < 300);
            if !is_near {
                prop_assert_eq!(let_go(&touches)[0], wish(Duration::from_millis(held_ms)).unwrap());
            }
        }
    }
}
