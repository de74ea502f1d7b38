//! Something that is lit or switched, wherever it is, and why it is not.

use std::io;
use std::path::{Path, PathBuf};

use embedded_hal::digital::{Error, ErrorKind, ErrorType, OutputPin};

use super::gpio;
use super::led_class::{self, Led};
use super::place::{Line, Place};

/// Why a light, a relay or a button does nothing. The key of the configuration is told by whoever knows it.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// No such LED.
    #[error("no LED `{name}` in {}; there are: {}", leds.display(), or_none(present))]
    NoLed {
        /// The name.
        name: String,
        /// Where LEDs are.
        leds: PathBuf,
        /// Those that are there.
        present: Vec<String>,
    },
    /// No such chip.
    #[error("no GPIO chip `{chip}` in /dev; there are: {}", or_none(present))]
    NoChip {
        /// Its name.
        chip: String,
        /// Those that are there.
        present: Vec<String>,
    },
    /// The chip has no such line.
    #[error("{line} is not there; {} has the lines 0 to {}", line.chip, lines.saturating_sub(1))]
    NoLine {
        /// Which.
        line: Line,
        /// How many it has.
        lines: u32,
    },
    /// Somebody else uses the line.
    #[error("{line} is used by `{by}` already; name another line, or end that use")]
    Taken {
        /// Which.
        line: Line,
        /// Who, as the kernel says.
        by: String,
    },
    /// A line that does not do what it is asked to.
    #[error("{line} cannot be {what}: {cause}")]
    Line {
        /// Which.
        line: Line,
        /// What was tried.
        what: &'static str,
        /// The kernel's answer.
        cause: Box<dyn core::error::Error + Send + Sync>,
    },
    /// A file of an LED that cannot be written.
    #[error("{} cannot be written: {cause}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// The kernel's answer.
        cause: io::Error,
    },
}

impl Error for PinError {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

/// Something that can be lit or switched.
#[derive(Debug)]
pub enum Output {
    /// An LED.
    Led(Led),
    /// A line.
    Line(gpio::OutputLine),
}

impl Output {
    /// The one at that place. A line is dark, or released, at first.
    ///
    /// # Errors
    /// It is not there, or somebody else has it.
    pub fn open(place: &Place, is_active_low: bool) -> Result<Self, PinError> {
        match place {
            Place::Led(name) => Led::open(Path::new(led_class::FOLDER), name).map(Self::Led),
            Place::Line(line) => gpio::OutputLine::open(line, is_active_low).map(Self::Line),
        }
    }
}

impl ErrorType for Output {
    type Error = PinError;
}

impl OutputPin for Output {
    fn set_low(&mut self) -> Result<(), PinError> {
        match self {
            Self::Led(led) => led.set_low(),
            Self::Line(line) => line.set_low(),
        }
    }

    fn set_high(&mut self) -> Result<(), PinError> {
        match self {
            Self::Led(led) => led.set_high(),
            Self::Line(line) => line.set_high(),
        }
    }
}

fn or_none(names: &[String]) -> String {
    if names.is_empty() { String::from("none") } else { names.join(", ") }
}
