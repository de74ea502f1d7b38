//! The front of the box at one moment: what its lights show, what its relay does, and what is wanted by its button.

use core::fmt::Display;
use core::time::Duration;

use embedded_hal::digital::{InputPin, OutputPin};

use super::lights::{Light, Pattern};
use super::press::{Press, Touch, Wish};
use super::slot::Slot;

/// How often the button is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// How often it is looked whether the light is to say something else.
const REST: Duration = Duration::from_millis(500);

/// What there is of it.
pub(super) struct Front<O, I> {
    pub led: Option<Slot<O>>,
    /// Shows alarms only.
    pub alarm_led: Option<Slot<O>>,
    /// Switched while the daemon looks at packets; released, it joins the two cables.
    pub relay: Option<Slot<O>>,
    pub button: Option<Slot<I>>,
    pub press: Press,
    /// What is shown, and since when.
    pub shown: (Pattern, Duration),
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Next {
    /// What was wanted a moment ago.
    pub wish: Option<Wish>,
    /// Nothing changes before.
    pub wait: Duration,
}

impl<O: OutputPin<Error: Display>, I: InputPin<Error: Display>> Front<O, I> {
    /// Brings it up to date.
    pub(super) fn step(&mut self, light: Light, is_switched: bool, now: Duration) -> Next {
        let touch = self.touch(now);
        let pattern = match touch {
            Touch::Held(wish) => held(wish),
            Touch::None | Touch::LetGo(_) => light.pattern(),
        };
        if self.shown.0 != pattern {
            self.shown = (pattern, now);
        }
        let moment = pattern.at(now.saturating_sub(self.shown.1));
        let shows_alarm = light.is_alarm() && !matches!(touch, Touch::Held(_));
        for (slot, is_high) in [
            (&mut self.led, moment.is_lit),
            (&mut self.alarm_led, moment.is_lit && shows_alarm),
            (&mut self.relay, is_switched),
        ] {
            if let Some(slot) = slot {
                slot.set(is_high, now);
            }
        }
        let look = if self.button.is_some() { LOOK_INTERVAL } else { REST };
        let wish = match touch {
            Touch::LetGo(wish) => Some(wish),
            Touch::None | Touch::Held(_) => None,
        };
        Next { wish, wait: moment.left.min(look) }
    }

    /// A button that cannot be read is not held: nothing is told of it, and the next press begins anew.
    fn touch(&mut self, now: Duration) -> Touch {
        let level = self.button.as_mut().and_then(|button| button.is_high(now));
        level.map_or(Touch::None, |is_down| self.press.look(is_down, now))
    }

    /// Everything is dark and released: the daemon ends.
    pub(super) fn end(&mut self, now: Duration) {
        for slot in [&mut self.led, &mut self.alarm_led, &mut self.relay].into_iter().flatten() {
            slot.set(false, now);
        }
    }

    /// What is wrong with it, one line each.
    pub(super) fn faults(&self) -> Vec<String> {
        let outputs = [&self.led, &self.alarm_led, &self.relay].into_iter().flatten();
        let faults = outputs.map(Slot::fault).chain(self.button.iter().map(Slot::fault));
        faults.flatten().cloned().collect()
    }
}

/// How the light says what is reached while the button is held.
const fn held(wish: Option<Wish>) -> Pattern {
    match wish {
        Some(Wish::Acknowledge) => Pattern::LIT,
        Some(Wish::Pause) => Pattern::SLOW,
        Some(Wish::ResetPassword) => Pattern::FAST,
        None => Pattern::DARK,
    }
}

#[cfg(test)]
mod tests {
    use embedded_hal_mock::eh1::digital::{Mock, State, Transaction};

    use super::*;

    fn slot(expected: &[Transaction]) -> (Slot<Mock>, Mock) {
        let mock = Mock::new(expected);
        let mut pin = Some(mock.clone());
        (Slot::new("hardware.led", Box::new(move || Ok(pin.take().expect("taken once")))), mock)
    }

    fn front() -> Front<Mock, Mock> {
        Front {
            led: None,
            alarm_led: None,
            relay: None,
            button: None,
            press: Press::default(),
            shown: (Pattern::DARK, Duration::ZERO),
        }
    }

    fn sets(states: &[State]) -> Vec<Transaction> {
        states.iter().copied().map(Transaction::set).collect()
    }

    /// Steps from one wait to the next until that moment; what was wanted.
    fn run(front: &mut Front<Mock, Mock>, light: Light, from_ms: u64, to_ms: u64) -> Vec<Wish> {
        let (mut now, end) = (Duration::from_millis(from_ms), Duration::from_millis(to_ms));
        let mut wishes = Vec::new();
        while now < end {
            let next = front.step(light, true, now);
            wishes.extend(next.wish);
            now += next.wait;
        }
        wishes
    }

    #[test]
    fn the_light_follows_its_pattern_and_the_one_for_alarms_shows_alarms_only() {
        use State::{High, Low};
        let (led, mut led_mock) = slot(&sets(&[High, Low, High, Low, High]));
        let (alarm, mut alarm_mock) = slot(&sets(&[Low, High, Low, High]));
        let mut front = Front { led: Some(led), alarm_led: Some(alarm), ..front() };
        run(&mut front, Light::Protecting, 0, 2_900);
        // Two flashes and a pause.
        run(&mut front, Light::Fault, 2_900, 3_400);
        led_mock.done();
        alarm_mock.done();
    }

    #[test]
    fn the_relay_is_switched_while_packets_are_looked_at_and_released_at_the_end() {
        let (relay, mut mock) = slot(&sets(&[State::Low, State::High, State::Low, State::High, State::Low]));
        let mut front = Front { relay: Some(relay), ..front() };
        for (ms, is_switched) in [(0, false), (1, true), (2, true), (3, false), (4, true)] {
            front.step(Light::Protecting, is_switched, Duration::from_millis(ms));
        }
        front.end(Duration::from_millis(5));
        mock.done();
    }

    #[test]
    fn a_press_is_told_once_and_the_light_says_meanwhile_what_is_reached() {
        let looks = |state, ms: u64| vec![Transaction::get(state); (ms / 20) as usize];
        let levels = [looks(State::Low, 200), looks(State::High, 6_000), looks(State::Low, 800)].concat();
        let (button, mut mock) = slot(&levels);
        let mut front = Front { button: Some(button), ..front() };
        assert!(run(&mut front, Light::Protecting, 0, 200).is_empty());
        assert!(run(&mut front, Light::Protecting, 200, 1_200).is_empty());
        assert_eq!(front.shown.0, Pattern::LIT);
        assert!(run(&mut front, Light::Protecting, 1_200, 6_200).is_empty());
        assert_eq!(front.shown.0, Pattern::SLOW);
        assert_eq!(run(&mut front, Light::Protecting, 6_200, 7_000), [Wish::Pause]);
        assert_eq!(front.shown.0, Light::Protecting.pattern());
        mock.done();
    }
}
