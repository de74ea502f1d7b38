//! A place where a light, a relay or a button belongs. It may be empty: then that is a fault to be shown, and looked at again
//! now and then, and never a reason to stop.

use core::fmt::Display;
use core::time::Duration;

use embedded_hal::digital::{InputPin, OutputPin, PinState};
use log::warn;

use super::pins::PinError;

/// When what is missing or broken is looked for again.
pub(super) const RETRY: Duration = Duration::from_secs(5);

/// Finds what belongs there.
pub(super) type Opener<P> = Box<dyn FnMut() -> Result<P, PinError> + Send>;

/// The place, and what is there.
pub(super) struct Slot<P> {
    /// The key of the configuration that names it.
    key: &'static str,
    open: Opener<P>,
    pin: Option<P>,
    /// What was written last.
    state: Option<bool>,
    fault: Option<String>,
    last_try: Option<Duration>,
}

impl<P> Slot<P> {
    pub(super) fn new(key: &'static str, open: Opener<P>) -> Self {
        Self { key, open, pin: None, state: None, fault: None, last_try: None }
    }

    /// What is wrong with it.
    pub(super) fn fault(&self) -> Option<&String> {
        self.fault.as_ref()
    }

    /// Does something with what is there; `None` where nothing is, or it fails.
    fn with<T, E: Display>(&mut self, now: Duration, act: impl FnOnce(&mut P) -> Result<T, E>) -> Option<T> {
        if self.pin.is_none() {
            self.look_for_it(now);
        }
        match act(self.pin.as_mut()?) {
            Ok(done) => {
                self.fault = None;
                Some(done)
            }
            Err(error) => {
                (self.pin, self.state, self.last_try) = (None, None, Some(now));
                self.complain(&error);
                None
            }
        }
    }

    fn look_for_it(&mut self, now: Duration) {
        if self.last_try.is_some_and(|last| now.saturating_sub(last) < RETRY) {
            return;
        }
        self.last_try = Some(now);
        match (self.open)() {
            Ok(pin) => self.pin = Some(pin),
            Err(error) => self.complain(&error),
        }
    }

    fn complain(&mut self, error: &impl Display) {
        let told = format!("{}: {error}", self.key);
        if self.fault.as_ref() != Some(&told) {
            warn!("{told}");
        }
        self.fault = Some(told);
    }
}

impl<P: OutputPin<Error: Display>> Slot<P> {
    /// Lights or switches it, where it is not so already.
    pub(super) fn set(&mut self, is_high: bool, now: Duration) {
        if self.state == Some(is_high) {
            return;
        }
        let done = self.with(now, |pin| pin.set_state(PinState::from(is_high)));
        self.state = done.map(|()| is_high);
    }
}

impl<P: InputPin<Error: Display>> Slot<P> {
    /// Whether it is pressed; `None` where that cannot be told.
    pub(super) fn is_high(&mut self, now: Duration) -> Option<bool> {
        self.with(now, InputPin::is_high)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use embedded_hal_mock::eh1::MockError;
    use embedded_hal_mock::eh1::digital::{Mock, State, Transaction};

    use super::*;
    use crate::hardware::led_class::{Led, tests as leds};
    use crate::store::test_directory::TestDirectory;

    const SOON: Duration = Duration::from_secs(1);

    /// A slot that finds these pins, one after the other, and nothing where there is none.
    fn slot(pins: Vec<Option<Mock>>) -> Slot<Mock> {
        let mut pins = pins.into_iter();
        let missing = || PinError::Write { path: "/nowhere".into(), cause: io::ErrorKind::NotFound.into() };
        Slot::new("hardware.led", Box::new(move || pins.next().flatten().ok_or_else(missing)))
    }

    #[test]
    fn what_is_as_it_should_be_is_not_written_again() {
        let mut mock = Mock::new(&[Transaction::set(State::High), Transaction::set(State::Low)]);
        let mut slot = slot(vec![Some(mock.clone())]);
        for (is_high, at_s) in [(true, 0), (true, 1), (false, 2), (false, 30)] {
            slot.set(is_high, Duration::from_secs(at_s));
        }
        assert_eq!(slot.fault(), None);
        mock.done();
    }

    #[test]
    fn what_is_missing_is_told_and_looked_for_again_after_a_while() {
        let mut mock = Mock::new(&[Transaction::set(State::High)]);
        let mut slot = slot(vec![None, Some(mock.clone())]);
        slot.set(true, Duration::ZERO);
        assert!(slot.fault().unwrap().starts_with("hardware.led: /nowhere cannot be written"));
        slot.set(true, SOON);
        assert!(slot.fault().is_some(), "it is not looked for all the time");
        slot.set(true, RETRY);
        assert_eq!(slot.fault(), None);
        mock.done();
    }

    #[test]
    fn a_pin_that_fails_is_taken_anew_and_told_as_it_should_be() {
        let broken = io::Error::from(io::ErrorKind::BrokenPipe);
        let mut first = Mock::new(&[
            Transaction::set(State::High),
            Transaction::set(State::Low).with_error(MockError::from(broken)),
        ]);
        let mut second = Mock::new(&[Transaction::set(State::Low)]);
        let mut slot = slot(vec![Some(first.clone()), Some(second.clone())]);
        slot.set(true, Duration::ZERO);
        slot.set(false, SOON);
        assert!(slot.fault().is_some());
        slot.set(false, SOON + RETRY);
        assert_eq!(slot.fault(), None);
        first.done();
        second.done();
    }

    #[test]
    fn a_button_that_cannot_be_read_is_neither_up_nor_down() {
        let mut mock = Mock::new(&[
            Transaction::get(State::High),
            Transaction::get(State::Low),
            Transaction::get(State::Low).with_error(MockError::from(io::Error::from(io::ErrorKind::BrokenPipe))),
        ]);
        let mut slot = slot(vec![Some(mock.clone())]);
        let seen = [0, 1, 2, 3].map(|at_s| slot.is_high(Duration::from_secs(at_s)));
        assert_eq!(seen, [Some(true), Some(false), None, None]);
        mock.done();
    }

    #[test]
    fn an_led_that_vanishes_and_comes_back_is_lit_again() {
        let directory = TestDirectory::new("slot-led");
        let folder = directory.path().to_owned();
        leds::make(&folder, "ACT");
        let opened = folder.clone();
        let mut slot = Slot::new("hardware.led", Box::new(move || Led::open(&opened, "ACT")));
        slot.set(true, Duration::ZERO);
        std::fs::remove_dir_all(folder.join("ACT")).unwrap();
        slot.set(false, SOON);
        assert!(slot.fault().unwrap().contains("ACT"));
        slot.set(false, SOON + RETRY);
        assert!(slot.fault().unwrap().contains("no LED `ACT`"));
        leds::make(&folder, "ACT");
        slot.set(true, SOON + RETRY * 2);
        assert_eq!(slot.fault(), None);
        assert_eq!(
            (leds::read(&folder, "ACT", "brightness"), leds::read(&folder, "ACT", "trigger")),
            ("255".into(), "none".into())
        );
    }
}
