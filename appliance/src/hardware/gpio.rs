//! Lines of GPIO chips, through the kernel's character device. High is lit, switched or pressed, whatever the wiring.

use std::fs;
use std::path::Path;

use embedded_hal::digital::{ErrorType, InputPin, OutputPin, PinState};
use gpiocdev::line::{Bias, Offset, Value};
use gpiocdev::request::Builder;
use gpiocdev::{Chip, Request};

use super::pins::PinError;
use super::place::{CHIP, Line};

/// As whom the kernel shows that a line is used.
const CONSUMER: &str = "sluice";

/// Where the kernel keeps the chips.
const DEVICES: &str = "/dev";

/// A pin, and whether it is wired the other way round.
#[derive(Debug)]
pub struct Wired<P> {
    pin: P,
    is_active_low: bool,
}

/// A line that is written.
#[derive(Debug)]
pub struct OutputLine {
    line: Line,
    wired: Wired<gpiocdev_embedded_hal::OutputPin>,
}

/// A line that is read.
#[derive(Debug)]
pub struct InputLine {
    line: Line,
    wired: Wired<gpiocdev_embedded_hal::InputPin>,
}

impl OutputLine {
    /// Takes the line, and makes it dark, or releases what it switches.
    ///
    /// # Errors
    /// It is not there, or somebody else has it.
    pub fn open(line: &Line, is_active_low: bool) -> Result<Self, PinError> {
        let mut request = request(line)?;
        request.as_output(if is_active_low { Value::Active } else { Value::Inactive });
        let pin = taken(line, &mut request)?;
        Ok(Self { line: line.clone(), wired: Wired { pin, is_active_low } })
    }
}

impl InputLine {
    /// Takes the line. It is drawn to the level of a button that nobody presses, where the chip can do that.
    ///
    /// # Errors
    /// It is not there, or somebody else has it.
    pub fn open(line: &Line, is_active_low: bool) -> Result<Self, PinError> {
        let mut drawn = request(line)?;
        drawn.as_input().with_bias(if is_active_low { Bias::PullUp } else { Bias::PullDown });
        let pin = taken(line, &mut drawn).or_else(|_| taken(line, request(line)?.as_input()))?;
        Ok(Self { line: line.clone(), wired: Wired { pin, is_active_low } })
    }
}

/// Looks for the line, so that what is wrong is told in plain words; nothing is asked of it yet.
fn request(line: &Line) -> Result<Builder, PinError> {
    let path = Path::new(DEVICES).join(&line.chip);
    if !path.exists() {
        return Err(PinError::NoChip { chip: line.chip.clone(), present: chips(Path::new(DEVICES)) });
    }
    let chip = Chip::from_path(&path).map_err(refused(line, "reached"))?;
    let lines = chip.info().map_err(refused(line, "looked at"))?.num_lines;
    if line.offset >= lines {
        return Err(PinError::NoLine { line: line.clone(), lines });
    }
    let info = chip.line_info(line.offset).map_err(refused(line, "looked at"))?;
    if info.used {
        return Err(PinError::Taken { line: line.clone(), by: info.consumer });
    }
    let mut builder = Request::builder();
    builder.on_chip(path).with_consumer(CONSUMER).with_line(Offset::from(line.offset));
    Ok(builder)
}

fn taken<P: TryFrom<Request, Error = gpiocdev_embedded_hal::Error>>(
    line: &Line,
    request: &mut Builder,
) -> Result<P, PinError> {
    let request = request.request().map_err(refused(line, "taken"))?;
    P::try_from(request).map_err(refused(line, "taken"))
}

fn refused<E: core::error::Error + Send + Sync + 'static>(
    line: &Line,
    what: &'static str,
) -> impl FnOnce(E) -> PinError {
    let line = line.clone();
    move |cause| PinError::Line { line, what, cause: Box::new(cause) }
}

/// Names of the chips that are there, in their order.
fn chips(devices: &Path) -> Vec<String> {
    let entries = fs::read_dir(devices).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut chips: Vec<String> = names.filter(|name| name.starts_with(CHIP)).collect();
    chips.sort();
    chips
}

impl<P: ErrorType> ErrorType for Wired<P> {
    type Error = P::Error;
}

impl<P: OutputPin> OutputPin for Wired<P> {
    fn set_low(&mut self) -> Result<(), P::Error> {
        self.pin.set_state(PinState::from(self.is_active_low))
    }

    fn set_high(&mut self) -> Result<(), P::Error> {
        self.pin.set_state(PinState::from(!self.is_active_low))
    }
}

impl<P: InputPin> InputPin for Wired<P> {
    fn is_high(&mut self) -> Result<bool, P::Error> {
        Ok(self.pin.is_high()? != self.is_active_low)
    }

    fn is_low(&mut self) -> Result<bool, P::Error> {
        Ok(self.pin.is_high()? == self.is_active_low)
    }
}

impl ErrorType for OutputLine {
    type Error = PinError;
}

impl OutputPin for OutputLine {
    fn set_low(&mut self) -> Result<(), PinError> {
        self.wired.set_low().map_err(refused(&self.line, "written"))
    }

    fn set_high(&mut self) -> Result<(), PinError> {
        self.wired.set_high().map_err(refused(&self.line, "written"))
    }
}

impl ErrorType for InputLine {
    type Error = PinError;
}

impl InputPin for InputLine {
    fn is_high(&mut self) -> Result<bool, PinError> {
        self.wired.is_high().map_err(refused(&self.line, "read"))
    }

    fn is_low(&mut self) -> Result<bool, PinError> {
        self.wired.is_low().map_err(refused(&self.line, "read"))
    }
}

#[cfg(test)]
mod tests {
    use embedded_hal_mock::eh1::digital::{Mock, State, Transaction};

    use super::*;
    use crate::store::test_directory::TestDirectory;

    #[test]
    fn high_is_lit_and_pressed_whatever_the_wiring() {
        for (is_active_low, active) in [(false, State::High), (true, State::Low)] {
            let inactive = if is_active_low { State::High } else { State::Low };
            let mut mock = Mock::new(&[
                Transaction::set(active),
                Transaction::set(inactive),
                Transaction::get(active),
                Transaction::get(inactive),
                Transaction::get(active),
            ]);
            let mut wired = Wired { pin: mock.clone(), is_active_low };
            wired.set_high().unwrap();
            wired.set_low().unwrap();
            assert!(wired.is_high().unwrap() && !wired.is_high().unwrap() && !wired.is_low().unwrap());
            mock.done();
        }
    }

    #[test]
    fn a_chip_that_is_not_there_is_told_with_those_that_are() {
        let directory = TestDirectory::new("chips");
        for name in ["gpiochip4", "gpiochip0", "null"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        assert_eq!(chips(directory.path()), ["gpiochip0", "gpiochip4"]);
        let line: Line = "gpiochip99:3".parse().unwrap();
        let told = OutputLine::open(&line, false).unwrap_err().to_string();
        assert!(told.starts_with("no GPIO chip `gpiochip99` in /dev; there are: "), "{told}");
        assert_eq!(InputLine::open(&line, true).unwrap_err().to_string(), told);
    }
}
